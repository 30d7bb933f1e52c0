"""Do the searches that a plan's points wait for: trial by trial, one at a time in each worker, beside any other process."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steadynet.errors import DiskFullError, SteadyNetError
from steadynet.montecarlo.result import MonteCarloResult
from steadynet.study import images
from steadynet.study.cells import Cell
from steadynet.study.execute import Job, Outcome, run_cell
from steadynet.study.search import Score
from steadynet.study.search_store import Planned, Trial
from steadynet.study.store import BACKBONE, Place, place
from steadynet.study.trials import Taken, Trials
from steadynet.workers import JobDiedError, open_workers

# A trial under which a process died so often in one run fails, so that the others go on.
_DEATHS = 2
# Seconds between looks at what other processes have done.
_PATIENCE = 1.0


@dataclass(frozen=True)
class TrialJob:
    """Do one trial of the first of these searches that has one to be done."""

    searches: tuple[Planned, ...]
    storage: str | None
    run: str


@dataclass(frozen=True)
class Done:
    """A trial that was done: of which search, by its key; and the seconds that it took."""

    key: str
    trial: Trial
    seconds: float


OnTrial = Callable[[Planned, Done], None]


def run_searches(
    searches: Sequence[Planned],
    *,
    storage: str | None = None,
    workers: int = 1,
    ray: str | None = None,
    gpus: float = 0,
    on_trial: OnTrial | None = None,
) -> list[tuple[Planned, str]]:
    """Do what is left of some searches; return those in which every trial failed, and why.

    Trials that other processes are at are waited for, and taken over if their process is killed.

    Args:
        searches: The searches.
        storage: An SQLAlchemy URL; None for a file in the folder of the studies.
        workers: Trials at once on this machine.
        ray: None; or "local" or HOST:PORT of a Ray cluster, whose nodes share the folder.
        gpus: GPUs of each trial on a Ray cluster.
        on_trial: Called as each trial of this run ends.

    Raises:
        SteadyNetError: If the storage cannot be used, or workers cannot be had.
        DiskFullError: If nothing can be written.
        KeyboardInterrupt: On Ctrl-C; what is finished stays, what was begun goes on the next time.
    """
    by_key = {search.key: search for search in searches}
    for search in by_key.values():
        Trials(search, storage).renew()
    while opened := tuple(s for s in by_key.values() if s.chosen() is None and not s.failure()):
        left = sum(max(1, search.sought.search.trials - len(search.trials())) for search in opened)
        # A name for each pool: trials whose processes it ended with another's are not to blame.
        jobs = [TrialJob(opened, storage, uuid.uuid4().hex)] * left
        moved = False
        with open_workers(_worker, (), processes=workers, ray=ray, gpus=gpus) as pool:
            try:
                for _, done in pool.stream(jobs):
                    if done is not None:
                        moved = True
                        if on_trial is not None:
                            on_trial(by_key[done.key], done)
            except JobDiedError:
                # Several trials in turn killed their processes; each is counted where it stands.
                moved = True
        if not moved:
            time.sleep(_PATIENCE)
    return [(search, search.failure()) for search in by_key.values() if search.chosen() is None]


def run_trial(job: TrialJob) -> Done | None:
    """Do one trial; return None if there is none to be done now."""
    for search in job.searches:
        trials = Trials(search, job.storage, job.run)
        if search.chosen() is not None or search.failure():
            continue
        taken = trials.take()
        if taken is None:
            continue
        since = time.monotonic()
        try:
            trial = _trial(search, taken)
            trials.finish(taken, trial.score, trial.cell, trial.why)
        finally:
            taken.lock.release()
        return Done(search.key, trial, time.monotonic() - since)
    return None


def _worker() -> Callable[[TrialJob], Done | None]:
    return run_trial


def _trial(search: Planned, taken: Taken) -> Trial:
    """Train and judge a trial's networks, one for each seed."""
    name = ""
    try:
        places = [
            _place(search, search.sought.cell(taken.values, seed)) for seed in search.sought.search.seeds
        ]
        name = " ".join(found.folder.name for found in places)
        if taken.deaths >= _DEATHS:
            raise SteadyNetError(
                f"its process died {taken.deaths} times, perhaps for want of memory: take fewer workers"
            )
        scores: list[float] = []
        for found in places:
            outcome = _trained(search, found)
            if outcome.end == "failed":
                return Trial(taken.values, None, name, outcome.message)
            scores.append(score_of(found, search.sought.search.score))
        score = math.fsum(scores) / len(scores)
    except DiskFullError:
        raise
    except SteadyNetError as error:
        return Trial(taken.values, None, name, " ".join(str(error).split()))
    if not math.isfinite(score):
        return Trial(taken.values, None, name, f"its {search.sought.search.score} is {score}")
    return Trial(taken.values, score, name)


def _trained(search: Planned, found: Place) -> Outcome:
    """Train and test a cell, after those that it starts from."""
    chain = [found]
    if found.finished():
        return Outcome("finished")
    while chain[0].cell.parent is not None:
        chain.insert(0, _place(search, chain[0].cell.parent))
    start, old, outcome = None, False, Outcome("finished")
    for part in chain:
        # The same training may be a trial of another search, or be the start of several.
        job = Job(part, start, search.out, start_is_old=old, weights=part is not found)
        while (outcome := run_cell(job)).end == "busy":
            time.sleep(_PATIENCE)
        if outcome.end == "failed":
            break
        start, old = part.folder / BACKBONE, bool(part.old)
    return outcome


def _place(search: Planned, cell: Cell) -> Place:
    return place(cell, search.out, images.known(cell.training.data, search.out), search.keep_old)


def score_of(found: Place, score: Score) -> float:
    """Return the score of a trial that is finished: the mean over its tests.

    Raises:
        SteadyNetError: If a file of results cannot be read.
    """
    values: list[float] = []
    for wanted, path in found.tests.items():
        try:
            result = MonteCarloResult.from_dict(found.test(wanted)["result"])
        except (KeyError, TypeError, AttributeError) as error:
            raise SteadyNetError(f"{path} is damaged: delete it, and run the study again") from error
        if score == "accuracy":
            values.append(result.accuracy.mean)
        elif score == "nll":
            values.append(result.nll.mean)
        else:
            values.append(result.percentile(5).value)
    return math.fsum(values) / len(values)
