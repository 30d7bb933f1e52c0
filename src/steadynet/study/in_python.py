"""A study from Python: run what is left of it, and get its rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.study.plan import OtherCode, Plan, plan, searches_for, select
from steadynet.study.rows import Row, rows_of
from steadynet.study.runner import OnOutcome, run
from steadynet.study.specification import Study, read_study
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
    if isinstance(study, Study):
        made = study
    elif isinstance(study, str | os.PathLike):
        made = read_study(Path(study), preset)
    else:
        made = study_from(study, preset)

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
            f"{len(failed)} of {len(ended)} cells failed; the first, {place.folder.name}: {outcome.message} (log: "
            f"{place.folder / 'log.txt'})"
        )
    rows, _ = rows_of(whole, made, made.name)
    folders = {place.folder.name for place in chosen}
    return [row for row in rows if row["cell"] in folders]
