"""NaN: refused at the door, told with its step in training, and never written over a good checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from steadynet.errors import DivergenceError, SteadyNetError
from steadynet.mapping import check_finite
from steadynet.recipes import recipe
from steadynet.training import FitResult, fit
from steadynet.training.checkpoints import load_checkpoint
from training.small import CPU, DEVICE, images, small_net


class LossAt:
    """Cross entropy, and something else at one call."""

    def __init__(self, call: int, kind: str) -> None:
        self.call, self.kind, self.calls = call, kind, 0

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        loss = F.cross_entropy(output, targets)
        if not output.requires_grad:  # Of no training step.
            return loss
        self.calls += 1
        if self.calls != self.call + 1:
            return loss
        if self.kind == "gradient":
            # Its value is 0, its gradient infinite times 0: NaN.
            return loss + torch.sqrt((output - output.detach()).sum().square())
        return loss * (math.nan if self.kind == "nan" else math.inf)


def train(loss: Any, out: Path | None, **options: Any) -> FitResult:
    return fit(
        small_net(),
        recipe("noise"),
        DEVICE,
        images(24),
        images(8, seed=1),
        hardware=CPU,
        out=out,
        loss=loss,
        **{"epochs": 3, "batch_size": 8, **options},
    )


def finite(path: Path) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in load_checkpoint(path)["state_dict"].values())


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_with_its_step(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    message = rf"the loss is {kind} at step 4 \(epoch 1, batch 1\): lower lr"
    with pytest.raises(DivergenceError, match=message):
        train(LossAt(4, kind), out)
    checkpoint = load_checkpoint(out / "last.ckpt")
    assert checkpoint["global_step"] == 3, "the end of the first epoch"
    assert finite(out / "last.ckpt")
    # What was kept can be gone on with: the same training without the fault.
    result = train(LossAt(99, kind), out, resume=True)
    assert len(result.history) == 3


@pytest.mark.parametrize("call", [4, 5])
def test_weights_that_a_step_ruins_are_never_written(call: int, tmp_path: Path) -> None:
    # Call 5 is the last of its epoch: the loss of no further step would tell, and the epoch's end would be saved.
    out = tmp_path / "run"
    with pytest.raises(DivergenceError, match=rf"after step {call + 1}, .*backbone.* NaN .*lower lr"):
        train(LossAt(call, "gradient"), out, checkpoint_every=1)
    assert load_checkpoint(out / "last.ckpt")["global_step"] == call
    assert finite(out / "last.ckpt")


def test_a_ruined_epoch_is_no_best_epoch_even_without_a_folder() -> None:
    with pytest.raises(DivergenceError, match="after step 3"):
        train(LossAt(2, "gradient"), None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    net = small_net()
    with torch.no_grad():
        net.conv2.weight[0, 0, 0, 0] = value
    with pytest.raises(SteadyNetError, match=r"conv2.weight of SmallNet holds 1 NaN or infinite values"):
        fit(net, recipe("noise"), DEVICE, images(16), images(8), hardware=CPU, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    net = small_net()
    net.bn.running_var[2] = value  # type: ignore[index]
    with pytest.raises(SteadyNetError, match=r"bn\.running_var"):
        fit(net, recipe("noise"), DEVICE, images(16), images(8), hardware=CPU)


def test_labels_outside_the_classes_are_told() -> None:
    x, y = torch.randn(16, 1, 8, 8), torch.full((16,), 3)
    with pytest.raises(SteadyNetError, match="labels run from 3 to 3, the model has classes 0 to 2"):
        fit(small_net(), recipe("noise"), DEVICE, (x, y), (x, y), hardware=CPU, epochs=1, batch_size=8)


def test_a_finite_model_passes() -> None:
    check_finite(small_net())
