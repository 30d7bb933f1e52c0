"""Ctrl-C: the step ends, a checkpoint is written, the result tells, and resuming loses nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.nn import functional as F

from steadynet.recipes import recipe
from steadynet.training import FitResult, fit
from steadynet.training.checkpoints import load_checkpoint
from training.small import CPU, DEVICE, differences, images, kept, read, small_net


class InterruptAt:
    """Cross entropy; Ctrl-C is pressed during one of its calls."""

    def __init__(self, call: int) -> None:
        self.call, self.calls = call, 0

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        if not output.requires_grad:  # Of no training step.
            return F.cross_entropy(output, targets)
        if self.calls == self.call:
            os.kill(os.getpid(), signal.SIGINT)
        self.calls += 1
        return F.cross_entropy(output, targets)


NEVER = InterruptAt(-1)


def train(out: Path | None, loss: Any = F.cross_entropy, resume: bool = False, **options: Any) -> FitResult:
    return fit(
        small_net(),
        recipe("noise"),
        DEVICE,
        images(24, augmented=True),
        images(12),
        hardware=CPU,
        out=out,
        loss=loss,
        resume=resume,
        **{"epochs": 3, "batch_size": 8, **options},
    )


# Calls 0 … 8 are three epochs of three batches; 5 is the last of its epoch, which ends with its validation.
@pytest.mark.parametrize(
    ("call", "calls", "steps", "epochs", "options"),
    [
        (0, 1, 1, 0, {}),
        (4, 5, 5, 1, {}),
        (5, 6, 6, 2, {}),
        # Two batches make a step (the third of an epoch makes one alone): pressed in the first, it stops after the second.
        (3, 5, 3, 1, {"accumulate": 2, "epochs": 2}),
    ],
)
def test_ctrl_c_writes_a_checkpoint_and_resuming_is_exact(
    call: int, calls: int, steps: int, epochs: int, options: dict[str, Any], tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    loss = InterruptAt(call)
    result = train(tmp_path / "run", loss, **options)
    assert result.interrupted
    assert loss.calls == calls, "it stops at the end of the step"
    assert len(result.history) == epochs
    assert signal.getsignal(signal.SIGINT) is handler
    assert result.checkpoint is not None
    assert load_checkpoint(result.checkpoint)["global_step"] == steps
    resumed = train(tmp_path / "run", NEVER, resume=True, **options)
    assert not resumed.interrupted
    expected = train(tmp_path / "whole", NEVER, **options)
    assert kept(resumed) == kept(expected)
    assert differences(read(tmp_path / "run" / "last.ckpt"), read(tmp_path / "whole" / "last.ckpt")) == []
    assert signal.getsignal(signal.SIGINT) is handler


def test_without_a_folder_the_best_weights_so_far_are_left() -> None:
    result = train(None, InterruptAt(7))
    assert result.interrupted
    assert result.checkpoint is None
    assert len(result.history) == 2
    assert result.best_epoch in (0, 1)
    assert result.best_accuracy == max(row["val_accuracy_noisy"] for row in result.history)


def test_ctrl_c_works_again_after_an_error() -> None:
    handler = signal.getsignal(signal.SIGINT)

    def fails(output: Tensor, targets: Tensor) -> Tensor:
        raise RuntimeError("the user's own")

    with pytest.raises(RuntimeError, match="the user's own"):
        train(None, fails)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_does_not_wait_for_the_step() -> None:
    handler = signal.getsignal(signal.SIGINT)

    def twice(output: Tensor, targets: Tensor) -> Tensor:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")

    with pytest.raises(KeyboardInterrupt):
        train(None, twice)
    assert signal.getsignal(signal.SIGINT) is handler
