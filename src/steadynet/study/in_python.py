"""A study from Python: run what is left of it, and get its rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steadynet.errors import SteadyNetError, unknown
from steadynet.extras import require_extra
from steadynet.study.cells import Point
from steadynet.study.definition import Study
from steadynet.study.flat import RUN_OPTIONS
from steadynet.study.plan import OtherCode, Plan, plan
from steadynet.study.rows import Row, rows_of
from steadynet.study.runner import OnOutcome, run
from steadynet.study.selection import matches, searches_for, select
from steadynet.study.specification import read_study
from steadynet.study.specification import study as study_from


def run_study(
    study: Study | Mapping[str, Any] | Path | str,
    *,
    out: Path | str = "runs/studies",
    preset: str | None = None,
    only: Sequence[str] = (),
    workers: int = 1,
    ray: str | None = None,
    gpus: float = 0,
    storage: str | None = None,
    other_code: OtherCode = "refuse",
    options: Mapping[str, Any] | None = None,
    on_outcome: OnOutcome | None = None,
) -> list[Row]:
    """Run what is left of a study, and return a row for each point of its grid and σ_d of its test.

    Args:
        study: Its YAML file, the mapping that such a file holds, or a `Study`.
        out: Folder of all studies; finished cells are not run again.
        preset: Which of its presets; the first one if None.
        only: Terms such as "recipe=OVF", all of which must hold for a cell to be run and returned.
        workers: Cells at once on this machine.
        ray: "local" or HOST:PORT of a Ray cluster whose machines share the folder.
        gpus: GPUs of each cell on a Ray cluster.
        storage: Where searches are kept, an SQLAlchemy URL; a file in the folder if None.
        other_code: What becomes of cells that another version of the code made: "refuse", "keep" or "rerun".
        options: Options of all trainings that change no numbers, such as data_root or accelerator.
        on_outcome: Called as each cell ends.

    Returns:
        Rows as plain types: the point's labels under "axes", and what `steadynet.report.rows.Row` tells of.

    Raises:
        SteadyNetError: If the study cannot be used, or a cell failed (its log has the reason); the others are finished then.
    """
    if isinstance(only, str):
        raise SteadyNetError(f"only must be a list of terms, got the text {only!r}")
    for name in options or {}:
        if name not in RUN_OPTIONS:
            raise unknown("option that changes no numbers", name, RUN_OPTIONS)
    if isinstance(study, Study):
        made = study
    elif isinstance(study, str | os.PathLike):
        made = read_study(Path(study), preset)
    elif isinstance(study, Mapping):
        made = study_from(study, preset)
    else:
        raise SteadyNetError(f"a study is a YAML file, a mapping or a Study, got {study!r}")

    def planned() -> Plan:
        return plan([made], Path(out), other_code=other_code, run_options=options)

    whole = planned()
    searches = searches_for(whole, only)
    if searches:
        require_extra("study", "a search")
        from steadynet.study.search_run import run_searches

        hopeless = run_searches(searches, storage=storage, workers=workers, ray=ray, gpus=gpus)
        if hopeless:
            search, why = hopeless[0]
            raise SteadyNetError(f"{search.sought.named()}: {why}")
        whole = planned()
    chosen = select(whole, only=only)
    ended = run(whole, chosen, workers=workers, ray=ray, gpus=gpus, on_outcome=on_outcome)
    failed = [(place, outcome) for place, outcome in ended if outcome.end == "failed"]
    if failed:
        place, outcome = failed[0]
        raise SteadyNetError(
            f"{len(failed)} of {len(ended)} cells failed; the first, {place.folder.name}: {outcome.message}{place.log()}"
        )
    left = [place for place in chosen if not place.finished()]
    if left:
        raise SteadyNetError(
            f"{len(left)} of {len(chosen)} cells are being done by other processes ({left[0].folder.name}): "
            "call again when they are done"
        )
    file = str(study) if isinstance(study, str | os.PathLike) else None
    rows, _ = rows_of(whole, made, file)
    folders = {place.folder.name for place in chosen}
    return [row for row in rows if row["cell"] in folders and _is_meant(row, whole, made, only)]


def _is_meant(row: Row, whole: Plan, study: Study, only: Sequence[str]) -> bool:
    point = Point(study.name, row["axes"], ())
    return all(matches(point, study, term) is not False for term in only)
