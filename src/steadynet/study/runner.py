"""Run the cells of a plan: one after the other, in processes, a share of them, or on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from steadynet.files import write_json_atomically
from steadynet.study.execute import Job, Outcome, run_cell
from steadynet.study.plan import Plan
from steadynet.study.store import FAILURE, Place, is_locked
from steadynet.workers import JobDiedError, open_workers

# Seconds between looks at what other processes do.
_LOOK = 2.0
OnOutcome = Callable[[Place, Outcome], None]


def run(
    whole: Plan,
    chosen: Sequence[Place],
    *,
    workers: int = 1,
    ray: str | None = None,
    gpus: float = 0,
    progress: bool = False,
    on_outcome: OnOutcome | None = None,
) -> list[tuple[Place, Outcome]]:
    """Do what is left of some cells; return how each ended.

    What another process is at, on this machine or on another that shares the folder, is left to it.

    Args:
        whole: The plan.
        chosen: Its places that are meant; those that others start from come first.
        workers: Cells at once on this machine, each with its share of the CPU's cores.
        ray: None; or "local" or HOST:PORT of a Ray cluster, whose nodes share the folder. A cell whose worker dies goes on
            from its checkpoint in another one.
        gpus: GPUs of each cell on a Ray cluster.
        progress: Whether each training shows a progress bar (in one process).
        on_outcome: Called as each cell ends.

    Raises:
        SteadyNetError: If workers cannot be had.
        DiskFullError: If nothing can be written.
        KeyboardInterrupt: On Ctrl-C; what is finished stays, what was begun goes on the next time.
    """
    ended: list[tuple[Place, Outcome]] = []

    def end(place: Place, outcome: Outcome) -> None:
        ended.append((place, outcome))
        if on_outcome is not None:
            on_outcome(place, outcome)

    bar = progress and workers == 1 and ray is None
    for wave in _waves(whole.left(chosen)):
        left, waiting = list(wave), list[Place]()
        while left:
            with open_workers(_worker, (), processes=workers, ray=ray, gpus=gpus) as pool:
                jobs = [
                    Job(place, whole.start(place), whole.out, bar, whole.start_is_old(place), weights=True)
                    for place in left
                ]
                done: set[int] = set()
                try:
                    for index, outcome in pool.stream(jobs):
                        done.add(index)
                        if outcome.end == "waiting":
                            waiting.append(left[index])
                        else:
                            end(left[index], outcome)
                except JobDiedError as error:
                    # Its workers are gone with it; the other cells need new ones.
                    done.add(error.job)
                    write_json_atomically(left[error.job].folder / FAILURE, {"message": str(error)})
                    end(left[error.job], Outcome("failed", str(error)))
            left = [place for index, place in enumerate(left) if index not in done]
            if not left and waiting:
                left = _ready(whole, waiting)
                for place in waiting:
                    if place not in left:
                        end(place, Outcome("waiting", "the training that it starts from is not finished"))
                waiting = []
    return ended


def _ready(whole: Plan, waiting: Sequence[Place]) -> list[Place]:
    """Wait as long as other processes are at the trainings that cells start from; return the cells whose starts are there."""
    starts = {place.folder: whole.start(place) for place in waiting}
    while any(
        start is not None and not start.is_file() and is_locked(start.parent) for start in starts.values()
    ):
        time.sleep(_LOOK)
    return [place for place in waiting if (start := starts[place.folder]) is None or start.is_file()]


def _worker() -> Callable[[Job], Outcome]:
    return run_cell


def _waves(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Yield cells that start from none of the rest."""
    depths = {place.folder: _depth(place) for place in places}
    for depth in sorted(set(depths.values())):
        yield [place for place in places if depths[place.folder] == depth]


def _depth(place: Place) -> int:
    depth, cell = 0, place.cell
    while cell.parent is not None:
        depth, cell = depth + 1, cell.parent
    return depth
