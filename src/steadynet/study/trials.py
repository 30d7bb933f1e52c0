"""Who tries what: the trials of a search in an Optuna study that any number of processes share.

A trial is taken under the lock of the folder `searches`, and from then until its score is told its own lock is held.
So a trial that Optuna calls running while its lock is free was left behind by a process that was killed: it is taken over
with the values that it has, and counts once. Values that are listed stand in a queue from the start; those from ranges
are drawn by TPE, whose seed is a hash of the search's and of how many trials there are, so that a search that is cut off
goes on as it would have.
"""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from filelock import FileLock, Timeout

from steadynet.errors import SteadyNetError
from steadynet.files import write_text_atomically
from steadynet.randomness import stable_seed
from steadynet.study.search import Range, Value
from steadynet.study.search_store import FOLDER, Planned, Trial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Taken:
    """A trial that is this process's until it is told or its lock is let go.

    Attributes:
        number: Optuna's.
        values: What is to be tried.
        lock: Held.
        deaths: How often a process died under it in this run.
    """

    number: int
    values: Mapping[str, Value]
    lock: FileLock
    deaths: int = 0


@dataclass(frozen=True)
class _Opened:
    """An Optuna study, its storage, and its number there."""

    study: optuna.Study
    storage: BaseStorage
    number: int

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that count."""
        every = self.study.get_trials(deepcopy=False)
        return [trial for trial in every if not trial.user_attrs.get("lost", False)]

    def note(self, trial: int, **notes: Any) -> None:
        """Write something down with a trial."""
        identity = self.storage.get_trial_id_from_study_id_trial_number(self.number, trial)
        for name, value in notes.items():
            self.storage.set_trial_user_attr(identity, name, value)


class Trials:
    """The trials of one search.

    Args:
        planned: The search.
        storage: An SQLAlchemy URL; None for a file in the folder of the searches.
        run: Names the run; a trial that is taken over from the same run lost its process by its own fault, perhaps.
    """

    def __init__(self, planned: Planned, storage: str | None = None, run: str = "") -> None:
        self._planned, self._storage, self._run = planned, storage, run
        self._folder = planned.out / FOLDER

    def take(self) -> Taken | None:
        """Return a trial to be done; None if all are done, or others are at the rest.

        Raises:
            SteadyNetError: If the storage cannot be used.
        """
        with self._opened() as opened:
            for left in opened.trials():
                taken = self._taken_over(opened, left) if left.state.name == "RUNNING" else None
                if taken is not None:
                    return taken
            there = opened.trials()
            queued = any(trial.state.name == "WAITING" for trial in there)
            if not queued and len(there) >= self._planned.sought.search.trials:
                self._settle(opened)
                return None
            return self._asked(opened, there)

    def finish(self, taken: Taken, score: float | None, cell: str, why: str = "") -> None:
        """Tell what a trial came to, and let go of it; with the last one the choice is written.

        Args:
            taken: The trial.
            score: Its score; None if it failed.
            cell: Its cell's folder.
            why: Why it failed.

        Raises:
            SteadyNetError: If the storage cannot be used.
        """
        from optuna.trial import TrialState

        with self._opened() as opened:
            opened.note(taken.number, cell=cell, why=why)
            if score is None:
                opened.study.tell(taken.number, state=TrialState.FAIL, skip_if_finished=True)
            else:
                opened.study.tell(taken.number, score, skip_if_finished=True)
            self._settle(opened)
            Path(taken.lock.lock_file).unlink(missing_ok=True)
            taken.lock.release()

    def renew(self) -> None:
        """Forget the trials if all of them failed, so that they are tried again.

        Raises:
            SteadyNetError: If the storage cannot be used.
        """
        if not self._planned.failure():
            return
        with self._opened() as opened:
            if self._planned.failure():  # and no other process was faster
                opened.storage.delete_study(opened.number)
                self._planned.trials_path.unlink(missing_ok=True)

    def _taken_over(self, opened: _Opened, left: FrozenTrial) -> Taken | None:
        """Take a trial that runs nowhere, since its process was killed; return None if it does run."""
        from optuna.trial import TrialState

        lock = self._lock(left.number)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        values = _values(left)
        if set(values) != set(self._planned.sought.search.over):
            # Killed before all were drawn: no trial, and the next one draws the same.
            opened.note(left.number, lost=True)
            opened.study.tell(left.number, state=TrialState.FAIL)
            lock.release()
            return None
        same = left.user_attrs.get("run") == self._run
        deaths = int(left.user_attrs.get("deaths", 0)) + 1 if same else 0
        opened.note(left.number, run=self._run, deaths=deaths)
        return Taken(left.number, values, lock, deaths)

    def _asked(self, opened: _Opened, there: Sequence[FrozenTrial]) -> Taken:
        """Take a trial that no process had yet."""
        search = self._planned.sought.search
        grid = search.grid()
        if grid is None:
            opened.study.sampler = _sampler(search.trials, stable_seed(self._planned.key, len(there)) % 2**32)
        else:
            # All at once; or what is left of them, if a process was killed in between.
            queued = [_values(trial) for trial in there]
            for values in grid:
                if values not in queued:
                    opened.study.enqueue_trial(dict(values))
        trial = opened.study.ask({name: _distribution(values) for name, values in search.over.items()})
        opened.note(trial.number, run=self._run)
        lock = self._lock(trial.number)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise SteadyNetError(
                f"another process is at a trial of {self._planned.sought.named()} that its storage knows nothing of: "
                "run all of them with one --storage"
            ) from None
        return Taken(trial.number, dict(trial.params), lock)

    def _settle(self, opened: _Opened) -> None:
        """Write the trials that ended, and the choice after the last."""
        if self._planned.chosen() is not None:
            return
        self._planned.write(
            [
                Trial(
                    _values(trial),
                    None if trial.value is None else float(trial.value),
                    str(trial.user_attrs.get("cell", "")),
                    str(trial.user_attrs.get("why", "")),
                )
                for trial in opened.trials()
                if trial.state.is_finished()
            ]
        )

    def _lock(self, number: int) -> FileLock:
        return FileLock(self._folder / f".{self._planned.version}-{number}.lock")

    @contextmanager
    def _opened(self) -> Generator[_Opened]:
        """Open the Optuna study; one process at a time is at any of a folder's."""
        import optuna

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SteadyNetError(
                f"cannot make {self._folder} ({error.strerror}): give another --out"
            ) from error
        optuna.logging.set_verbosity(logging.WARNING)
        with FileLock(self._folder / ".lock"), _storage(self._storage, self._folder) as storage:
            name = self._name()
            study = optuna.create_study(
                study_name=name,
                storage=storage,
                direction="maximize" if self._planned.sought.search.maximise else "minimize",
                load_if_exists=True,
            )
            yield _Opened(study, storage, storage.get_study_id_from_name(name))

    def _name(self) -> str:
        if self._storage is None:
            return self._planned.version
        # A folder's trials are its own: only who shares the folder sees who is at work.
        path = self._folder / "id"
        if not path.is_file():
            write_text_atomically(path, uuid.uuid4().hex[:12] + "\n")
        return f"{self._planned.version}-{path.read_text(encoding='utf-8').strip()}"


def _values(trial: FrozenTrial) -> dict[str, Value]:
    """Return what a trial tries: what stood in the queue, or was drawn."""
    return dict(trial.system_attrs.get("fixed_params") or trial.params)


def _distribution(values: tuple[Value, ...] | Range) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Range):
        return CategoricalDistribution(values)
    if values.integer:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _sampler(trials: int, seed: int) -> Any:
    from optuna.samplers import TPESampler

    # Few trials are mostly not to be spent on what is known of nothing.
    return TPESampler(seed=seed, n_startup_trials=max(2, min(10, trials // 3)))


@contextmanager
def _storage(url: str | None, folder: Path) -> Generator[Any]:
    """Open a storage, and close it again."""
    import optuna
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    shown = "" if url is None else _without_password(url)
    path = folder.parent / "searches.db"
    where = url or f"sqlite:///{path}"
    options = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(where, engine_kwargs=options)
        try:
            yield storage
        finally:
            storage.remove_session()
            cast("Any", storage).engine.dispose()
    except (ArgumentError, ImportError) as error:
        raise SteadyNetError(
            f"--storage {shown} cannot be used ({_line(error)}): give an SQLAlchemy URL"
        ) from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        what = f"--storage {shown}" if url else str(path)
        mend = "" if url else "; if it is damaged, delete it: trials that are finished are not trained again"
        raise SteadyNetError(f"{what} cannot be used ({_line(error)}){mend}") from error


def _line(error: Exception) -> str:
    return str(error.__cause__ or error).strip().split("\n")[0]


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(url)
