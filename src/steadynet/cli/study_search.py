"""What `steadynet study run` says and does of searches: first they, then the cells that wait for them."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

from steadynet.cli.parser import Options
from steadynet.cli.study_options import ChosenOptions, RunStudyOptions, StudyOptions
from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.study.plan import Plan, plan
from steadynet.study.selection import searches_for, select_waiting
from steadynet.study.store import Place, place

if TYPE_CHECKING:
    from steadynet.study.search_run import Done
    from steadynet.study.search_store import Planned


def search(options: Options, whole: Plan) -> list[str] | None:
    """Do the searches that points which are meant wait for; return a line for each that came to nothing.

    Returns:
        None if there is nothing to search for.

    Raises:
        SteadyNetError: If Optuna is not installed, the storage cannot be used, or a trial would be trained by several processes.
    """
    only = tuple(options[ChosenOptions].only or ())
    searches = searches_for(whole, only)
    if not searches:
        return None
    asked = options[RunStudyOptions]
    if max(asked.devices or 1, asked.nodes or 1) > 1:
        raise SteadyNetError(
            "a search trains each trial on one device: run the study without --devices and --nodes until its searches are done"
        )
    require_extra("study", "a search")
    from steadynet.study.search_run import run_searches
    from steadynet.study.search_store import told_values

    points = len(select_waiting(whole, only))
    print(f"{len(searches)} searches, for which {points} points wait", flush=True)
    shown: set[str] = set()

    def ended(of: Planned, done: Done) -> None:
        trial, number = done.trial, len(of.trials())
        what = (
            f"failed: {trial.why}" if trial.score is None else f"{of.sought.search.score} {trial.score:.4f}"
        )
        print(
            f"trial {number}/{of.sought.search.trials} of {of.sought.named()}: {told_values(trial.values)}: {what} in "
            f"{done.seconds:.0f} s",
            flush=True,
        )
        tell(of)

    def tell(of: Planned) -> None:
        if of.key not in shown and of.chosen() is not None:
            shown.add(of.key)
            print(f"search {of.sought.named()}: {of.told()}", flush=True)

    try:
        hopeless = run_searches(
            searches,
            storage=asked.storage,
            workers=asked.workers,
            ray=asked.ray,
            gpus=asked.ray_gpus,
            on_trial=ended,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("nothing finished is lost; the same command goes on") from None
    for one in searches:
        tell(one)  # Another process may have done the last trial.
    lines: list[str] = []
    for of, why in hopeless:
        waits = sum(search.key == of.key for _, search in select_waiting(whole, only))
        lines.append(f"failed: {of.sought.named()}: {why}; {waits} points wait for it")
        print(lines[-1], file=sys.stderr)
    return lines


def trials_left(options: Options, whole: Plan) -> list[Place]:
    """Return a place for each trial that is left, to estimate by: with the first values, and tested on validation images."""
    found: list[Place] = []
    for of in searches_for(whole, tuple(options[ChosenOptions].only or ())):
        cell = of.sought.cell(of.sought.search.corners()[0])
        images = dataclasses.replace(of.images, test_images=of.images.validation_images)
        # No folder of its own: what lies there is no part of what is left.
        one = dataclasses.replace(place(cell, whole.out / "none", images), images=images)
        found += [one] * ((of.sought.search.trials - len(of.trials())) * len(of.sought.search.seeds))
    return found


def after_searches(options: Options, whole: Plan) -> list[Place]:
    """Return places of the cells that wait for searches, as the first values would make them, to estimate by."""
    waiting = select_waiting(whole, tuple(options[ChosenOptions].only or ()))
    if not waiting:
        return []
    from steadynet.study.cells import point_key
    from steadynet.study.search import options_from

    found: dict[str, dict[str, dict[str, object]]] = {}
    for search in whole.searches:
        for point in search.sought.points:
            values = search.chosen() or search.sought.search.corners()[0]
            found.setdefault(point.study, {}).setdefault(point_key(point.labels), {}).update(
                options_from(values)
            )
    # The plan's studies have the run's options already.
    supposed = plan(whole.studies, whole.out, other_code=options[StudyOptions].other_code, found=found)
    keys = {(point.study, point_key(point.labels)) for point, _ in waiting}
    return [
        one
        for one in supposed.places
        if any((point.study, point_key(point.labels)) in keys for point in one.cell.points)
    ]
