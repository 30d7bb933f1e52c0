"""What watches a training: the best backbone, the history, checkpoints, and Ctrl-C."""

from __future__ import annotations

import csv
import math
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from steadynet.errors import DivergenceError, SteadyNetError
from steadynet.files import write_atomically
from steadynet.mapping import check_finite
from steadynet.training.checkpoints import CHECKPOINT
from steadynet.training.module import TrainingModule

HISTORY = "history.csv"


class TrainingInterrupted(BaseException):
    """Ctrl-C was pressed; a checkpoint was written if there is a folder for it.

    It is no `Exception`, as `KeyboardInterrupt` is none, so that no handler of ordinary errors takes it.
    """


class Keeper(Checkpoint):
    """Keeps what a training must not lose.

    It remembers the backbone of the epoch with the best noisy validation accuracy (the first of equals), or of a task other
    than classification with the least noisy validation loss; one whose constraint has not settled yet gives way to any that
    has. It writes a row of history at each epoch's end, and `last.ckpt` at each epoch's end, every `every` steps, and on
    Ctrl-C. All that it remembers lies in the checkpoint.

    Args:
        folder: Where the files go; None writes none.
        every: Steps between checkpoints within an epoch; 0 for none.
        table: Whether the history is written as a CSV too.
    """

    def __init__(self, folder: Path | None, every: int = 0, table: bool = True) -> None:
        super().__init__()
        self.folder = folder
        self.every = every
        self.table = table
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best_state: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self.interrupted = False
        self._since = time.monotonic()

    @property
    def checkpoint(self) -> Path | None:
        """Where the checkpoint lies."""
        return None if self.folder is None else self.folder / CHECKPOINT

    def state_dict(self) -> dict[str, Any]:
        """Return all that is remembered, as plain types and tensors."""
        return {
            # By this name earlier versions wrote it, whose checkpoints go on.
            "best_accuracy": self.best_score,
            "best_epoch": self.best_epoch,
            "best_state": self.best_state,
            "history": self.history,
            "seconds": self.seconds + time.monotonic() - self._since,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.best_score = state_dict["best_accuracy"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_state = state_dict["best_state"]
        self.history = state_dict["history"]
        self.seconds = state_dict["seconds"]

    @contextmanager
    def watching(self) -> Generator[None]:
        """Take Ctrl-C while a training runs, and give it back after.

        It spans the whole of Lightning's `fit`, which itself puts back what it finds when it starts.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.getsignal(signal.SIGINT)

        def first(number: int, frame: FrameType | None) -> None:
            # The first Ctrl-C waits for the step to end, so that the checkpoint is whole; the second does not.
            self.interrupted = True
            signal.signal(signal.SIGINT, previous)

        signal.signal(signal.SIGINT, first)
        try:
            yield
        except SystemExit as error:
            # Lightning ends the process where the second Ctrl-C finds it; whether to end is for our caller to say.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        finally:
            signal.signal(signal.SIGINT, previous)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint where one is due, and stop where Ctrl-C was pressed."""
        if trainer.is_last_batch:
            return  # The epoch's end follows, validation and all, and is where a resumed run can start.
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        due = self.every and stepped and trainer.global_step % self.every == 0
        if stepped and (due or self.interrupted):
            _check_weights(trainer)
            self._save(trainer)
        if stepped and self.interrupted:
            raise TrainingInterrupted

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare with the best epoch so far, write history and checkpoint.

        Raises:
            DivergenceError: If a weight is not finite.
        """
        if not isinstance(pl_module, TrainingModule):
            return
        _check_weights(trainer)
        before = int(self.history[self.best_epoch]["step"]) if self.best_epoch >= 0 else -1
        settled_since = pl_module.is_settled(trainer.global_step) and not pl_module.is_settled(before)
        # A score that is NaN is above nothing, so such an epoch is never kept.
        if pl_module.score > (-math.inf if settled_since else self.best_score):
            self.best_score, self.best_epoch = pl_module.score, trainer.current_epoch
            self.best_state = pl_module.deployed_state()
        self.history.append(
            {
                "epoch": trainer.current_epoch,
                "step": trainer.global_step,
                "lr": trainer.optimizers[0].param_groups[0]["lr"],
                "loss": pl_module.mean_loss(),
                **pl_module.validated,
                "seconds": round(self.seconds + time.monotonic() - self._since, 3),
            }
        )
        if self.folder is not None and self.table and trainer.is_global_zero:
            append_history(self.folder / HISTORY, self.history)
        self._save(trainer)
        if self.interrupted:
            raise TrainingInterrupted

    def _save(self, trainer: pl.Trainer) -> None:
        if self.checkpoint is not None:
            trainer.save_checkpoint(self.checkpoint)


def _check_weights(trainer: pl.Trainer) -> None:
    # A step whose loss is finite may leave weights that are not; the last good checkpoint must outlive it.
    try:
        check_finite(trainer.lightning_module)
    except SteadyNetError as error:
        raise DivergenceError(f"after step {trainer.global_step}, {error}; lower lr") from None


def append_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Bring the CSV at `path` up to `rows`: rows of epochs that it lacks are appended, none is deleted.

    A run that was killed between its history and its checkpoint writes that epoch again, with the same
    numbers, so an epoch that the file has is left as it is.
    """
    written: list[Mapping[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            written = list(csv.DictReader(file))
    known = {int(float(row["epoch"])) for row in written}

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer: csv.DictWriter[str] = csv.DictWriter(file, list(rows[-1]))
            writer.writeheader()
            writer.writerows(written)
            writer.writerows(row for row in rows if row["epoch"] not in known)

    write_atomically(path, write)
