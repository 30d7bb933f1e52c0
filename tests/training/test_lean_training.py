"""Whole trainings in OVF's lean form end where those in the fast form do, and either may go on with the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from recipes.reference import make_batch, make_net
from steadynet.comparison import Plan, Problem, _identity
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.recipes import OVF, Recipe, recipe
from steadynet.training import FitResult, Settings, fit
from steadynet.training.callbacks import Keeper
from steadynet.training.checkpoints import load_checkpoint
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule
from training.small import CPU, DEVICE, images, kept, small_net

# Dropout in the net, augmentation in the data; the last batch of five is smaller, and steps alone where two are added.
CASES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "lr": 3e-2},
    "accumulated and clipped": {"accumulate": 2, "gradient_clip": 0.1, "optimizer": "sgd", "lr": 0.1},
    "bf16": {"precision": "bf16", "optimizer": "sgd", "lr": 3e-2},
    "channels-last, adam": {"channels_last": True, "lr": 1e-3},
}


def train(memory: Any, out: Path | None = None, resume: bool = False, **settings: Any) -> FitResult:
    return fit(
        small_net(7 if resume else 0),
        recipe("ovf", beta=0.3, memory=memory),
        DEVICE,
        images(36, augmented=True),
        images(12, seed=1),
        hardware=CPU,
        out=out,
        resume=resume,
        **{"epochs": 2, "batch_size": 8, "val_draws": 2, **settings},
    )


def check_same(found: FitResult, expected: FitResult) -> None:
    assert found.model.state_dict().keys() == expected.model.state_dict().keys()
    for name, tensor in expected.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    for row, other in zip(kept(found), kept(expected), strict=True):
        assert row == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_training_ends_in_the_same_weights_and_statistics(case: str) -> None:
    fast, lean = train("fast", **CASES[case]), train("lean", **CASES[case])
    check_same(lean, fast)
    start = torch.cat([p.detach().flatten() for p in small_net().parameters()])
    end = torch.cat([p.detach().flatten() for p in lean.model.parameters()])
    assert float((end - start).norm()) > 1e-2, "it went somewhere"


class KilledError(Exception):
    """Stands for a kill right after a checkpoint."""


@pytest.mark.parametrize(("first", "then"), [("fast", "lean"), ("lean", "fast")])
def test_a_training_may_be_resumed_in_the_other_form(
    first: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train("fast")
    save = Keeper._save

    def save_and_die(self: Keeper, trainer: pl.Trainer) -> None:
        save(self, trainer)
        if trainer.global_step == 3:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "_save", save_and_die)
        with pytest.raises(KilledError):
            train(first, tmp_path / "run", checkpoint_every=1)
    held = load_checkpoint(tmp_path / "run" / "last.ckpt")["steadynet"]["recipe"]["objective"]
    assert "memory" not in held, "checkpoints from before there were two forms go on too"
    check_same(train(then, tmp_path / "run", resume=True), expected)
    with pytest.raises(SteadyNetError, match=r"recipe.objective: .*'beta': 0.3"):
        fit(
            small_net(), recipe("ovf", memory="lean"), DEVICE, images(36, augmented=True), images(12, seed=1),
            hardware=CPU, out=tmp_path / "run", resume=True, epochs=2, batch_size=8, val_draws=2,
        )  # fmt: skip


def test_the_form_makes_no_other_comparison_but_is_told() -> None:
    problem = Problem(small_net, images, DEVICE)  # type: ignore[arg-type]
    fast, lean, other = (
        Plan((recipe("ovf", **changes),), (0.1,)) for changes in ({}, {"memory": "lean"}, {"beta": 0.5})
    )
    assert _identity(problem, fast, Settings()) == _identity(problem, lean, Settings())
    assert _identity(problem, fast, Settings()) != _identity(problem, other, Settings())
    assert lean.recipes[0].describe()["objective"]["memory"] == "lean"


class Step(nn.Module):
    """A training step as a module, which is what data-parallel training wraps."""

    def __init__(self, module: TrainingModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor, targets: Tensor, draw: int) -> Tensor:
        forwards = StepForwards(self.module.setting, inputs, targets, draw)
        loss: Tensor = self.module.recipe.objective.loss(forwards)
        return loss


def stepper(memory: Any) -> Step:
    inputs, targets = make_batch()
    data = as_dataset((inputs, targets))
    made = Recipe(objective=OVF(beta=0.5, memory=memory))
    return Step(TrainingModule(make_net(), made, DEVICE, data, data, inputs[:2], Settings(seed=3)))


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=(tmp_path / "meeting").as_uri(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("static_graph", [False, True])
def test_data_parallel_training_counts_each_gradient_once(static_graph: bool, one_process: None) -> None:
    plain, lean = stepper("fast"), stepper("lean")
    parallel = DistributedDataParallel(lean, static_graph=static_graph)
    inputs, targets = make_batch()
    # A static graph is learnt in the first step and relied on in the others.
    for draw in range(3):
        for step in (plain, parallel):
            step(inputs, targets, draw).backward()
    for (name, parameter), other in zip(plain.named_parameters(), lean.parameters(), strict=True):
        assert parameter.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad, parameter.grad, rtol=1e-12, atol=1e-12, msg=name)
