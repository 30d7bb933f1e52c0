"""One cell: trained, tested, and written down, from wherever an earlier attempt was cut off."""

from __future__ import annotations

import math
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from torch import nn

from steadynet.data import DataSplits, checksums
from steadynet.deploy.state import load_state, save_backbone
from steadynet.errors import DiskFullError, SteadyNetError
from steadynet.files import TEMPORARY_SUFFIX, checksum, write_json_atomically
from steadynet.folders import LOCK
from steadynet.options.build import (
    build_model,
    check_model,
    is_main_process,
    training_hardware,
    training_settings,
)
from steadynet.study import code_version, images
from steadynet.study.as_run import write_options
from steadynet.study.memory import Peak
from steadynet.study.store import (
    BACKBONE,
    CHECKPOINT,
    FAILURE,
    LOG,
    RESULT,
    TESTS,
    TRAINING,
    Place,
    describe,
    make_folder,
)
from steadynet.study.testing import put_to_test, versions
from steadynet.training import fit
from steadynet.training.checkpoints import load_checkpoint

End = Literal["finished", "failed", "busy", "waiting"]
# A look at the state of a cell takes its lock for an instant.
_PATIENCE = 5.0


@dataclass(frozen=True)
class Job:
    """A cell to be done.

    Attributes:
        place: Where it lies.
        start: File of the weights that it starts from; None from scratch.
        out: Folder of the studies.
        progress: Whether a progress bar is shown.
        weights: Whether its weights must be here in the end, since others start from them.
        start_is_old: Whether those weights are of another version of the code, which are kept.
    """

    place: Place
    start: Path | None
    out: Path
    progress: bool = False
    start_is_old: bool = False
    weights: bool = False

    def done(self) -> bool:
        """Return whether nothing is left to do."""
        return self.place.finished() and (self.place.has_weights() or not self.weights)


@dataclass(frozen=True)
class Outcome:
    """How a cell ended, and why if it failed, in one line.

    It is busy if another process is at it, and waiting if another process is at the training that it starts from.
    """

    end: End
    message: str = ""
    seconds: float = 0.0


def run_cell(job: Job) -> Outcome:
    """Do what is left of a cell.

    A failure is written into its folder and returned, so that the others go on.

    Raises:
        KeyboardInterrupt: If Ctrl-C ended it; it goes on from there the next time.
        DiskFullError: If nothing can be written.
    """
    if not is_main_process():
        _join_training(job)
        return Outcome("finished")
    place, since = job.place, time.monotonic()
    if job.done():
        return Outcome("finished")
    if place.images.why:
        return Outcome("failed", place.images.why)
    if job.start is not None and not job.start.is_file() and not place.has_weights():
        return Outcome(
            "waiting", f"the training that it starts from is not finished: {job.start.parent.name}"
        )
    if place.old and not place.has_weights() and not place.is_own_code():
        return Outcome(
            "failed",
            "its weights are not here, and it is of another code version, which is kept: take --other-code rerun",
        )
    if job.start_is_old and not place.has_weights():
        return Outcome(
            "failed",
            f"it starts from a training of another code version ({job.start.parent.name if job.start else ''}), which is kept: "
            "take --other-code rerun, so that both are of this one",
        )
    make_folder(place)
    lock = FileLock(place.folder / LOCK)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        return Outcome("busy")
    try:
        if job.done():  # by the process that had the lock
            return Outcome("finished")
        describe(place)
        write_options(place)
        with _logged(place.folder) as tell:
            _run(job, tell)
    except DiskFullError:
        raise
    except Exception as error:
        message = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, SteadyNetError):
            message = f"{type(error).__name__}: {message}"
        told = {"message": message, "traceback": traceback.format_exc(), "when": _now()}
        write_json_atomically(place.folder / FAILURE, told)
        return Outcome("failed", message, time.monotonic() - since)
    finally:
        lock.release()
    return Outcome("finished", seconds=time.monotonic() - since)


def _run(job: Job, tell: Callable[[str], None]) -> None:
    place = job.place
    (place.folder / FAILURE).unlink(missing_ok=True)
    for left in place.folder.glob(f"**/.*{TEMPORARY_SUFFIX}*"):
        left.unlink(missing_ok=True)  # By a process that was killed while it wrote.
    data = images.check(place.cell.training.data, place.images, job.out)
    model = build_model(place.cell.training.model, data.classes, data.shape, place.cell.training.seed)
    if place.has_weights() and place.result().get("weights") not in (
        None,
        checksum(place.folder / BACKBONE),
    ):
        # It was killed between its weights and what they were, or records of another machine lie beside weights of this one.
        tell("its weights are not those of its result: training anew")
        (place.folder / BACKBONE).unlink()
    if place.has_weights():
        load_state(model, place.folder / BACKBONE)
    else:
        check_model(model, data)
        if not place.trained():
            for test in (place.folder / TESTS).glob("*.json"):
                test.unlink()  # Of weights that are no more.
        tell("training goes on" if _can_resume(place.folder / CHECKPOINT, tell) else "training")
        _train(job, model, data)
    for wanted in place.missing():
        tell(f"testing at sigma_d {wanted.sigma_d:g}")
        put_to_test(place, model, wanted, data)
    (place.folder / CHECKPOINT).unlink(missing_ok=True)


def _train(job: Job, model: nn.Module, data: DataSplits) -> None:
    place, peak = job.place, Peak()
    found = _fitted(job, model, data)
    _check_code(place)
    save_backbone(model, place.folder / BACKBONE)
    write_json_atomically(
        place.folder / RESULT,
        {
            **found,
            "weights": checksum(place.folder / BACKBONE),
            "train_sigma_d": place.cell.training.train_sigma_d,
            "images": checksums(data),
            "train_images": len(data.train),
            "validation_images": len(data.validation),
            "peak_mib": _finite(round(peak.mib(), 1)),
            "versions": versions(),
            "finished": _now(),
        },
    )


def _fitted(job: Job, model: nn.Module, data: DataSplits) -> dict[str, Any]:
    """Train the model; return what the training found."""
    place, made = job.place, job.place.cell.training
    if made.epochs == 0:
        assert job.start is not None  # training_of refuses it otherwise
        load_state(model, job.start)
        return {"best_epoch": -1, "best_accuracy": None, "steps": 0, "seconds": 0.0, "history": []}
    trained = fit(
        model,
        made.recipe,
        made.device,
        data.train,
        data.validation,
        settings=training_settings(made.training, made.seed),
        hardware=training_hardware(made.training),
        out=place.folder / TRAINING,
        resume=(place.folder / CHECKPOINT).is_file(),
        overwrite=True,
        init=job.start,
        progress=job.progress,
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    return {
        "best_epoch": trained.best_epoch,
        "best_accuracy": trained.best_accuracy,
        "steps": int(trained.history[-1]["step"]),
        "seconds": round(trained.seconds, 2),
        "history": [dict(row) for row in trained.history],
    }


def _check_code(place: Place) -> None:
    """Raise if the code on disk is no longer the one that the cell is named for: which of the two was run is not known.

    Raises:
        SteadyNetError: If a module that takes part has changed since the cells were planned.
    """
    code_version.forget()
    if not place.old and not place.is_own_code():
        raise SteadyNetError(
            "the code changed while it was trained: run the study again, from an installation that is not edited meanwhile"
        )


def _can_resume(checkpoint: Path, tell: Callable[[str], None]) -> bool:
    """Return whether there is a checkpoint to go on from; one that cannot be read is set aside."""
    if not checkpoint.is_file():
        return False
    try:
        load_checkpoint(checkpoint)
    except SteadyNetError as error:
        aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
        checkpoint.replace(aside)
        tell(f"{error}; set aside as {aside.name}, and trained anew")
        return False
    return True


def _join_training(job: Job) -> None:
    """Take part in a training as one of the processes that do not write."""
    made = job.place.cell.training
    if job.place.has_weights() or made.epochs == 0:
        return
    data = images.load(made.data)
    _fitted(job, build_model(made.model, data.classes, data.shape, made.seed), data)


@contextmanager
def _logged(folder: Path) -> Generator[Callable[[str], None]]:
    """Write what happens to a cell, warnings and tracebacks included, to its log."""
    with (folder / LOG).open("a", encoding="utf-8") as log, warnings.catch_warnings():

        def tell(line: str) -> None:
            print(f"{_now()} {line}", file=log, flush=True)

        def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
            tell(f"{category.__name__}: {' '.join(str(message).split())}")

        warnings.showwarning = show
        tell(f"started, {' '.join(f'{name} {value}' for name, value in versions().items())}")
        try:
            yield tell
        except BaseException:
            tell(f"ended early\n{traceback.format_exc()}")
            raise
        tell("finished")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
