"""Which forwards move BatchNorm's running statistics: by count, and by value against a computation by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recipes.reference import Net, chip, forward, leaves, make_batch, make_net
from steadynet.loader import as_dataset
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import IRS, OVF, CrossEntropy, NoVariation, Recipe, SelfFeedback
from steadynet.training import Settings, fit
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule
from training.small import CPU, DEVICE, images, small_net

SIGMA, SEED = 0.15, 5


def step_of(net: Net, recipe: Recipe | None = None, draw: int = 0) -> StepForwards:
    batch, labels = make_batch()
    data = as_dataset((batch, labels))
    device = Device(weight_bits=6, device_bits=3, variation=Gaussian(SIGMA))
    module = TrainingModule(net, recipe or Recipe(), device, data, data, batch[:2], Settings(seed=SEED))
    return StepForwards(module.setting, batch, labels, draw)


def statistics(net: Net) -> tuple[Tensor, Tensor, int]:
    state = net.bn1.state_dict()
    return state["running_mean"].clone(), state["running_var"].clone(), int(state["num_batches_tracked"])


def expected(passes: list[tuple[float, int]]) -> tuple[Tensor, Tensor]:
    """Return running mean and variance after forwards at these (σ, pass), with BatchNorm's momentum 0.1."""
    batch, _ = make_batch()
    clean = {name: w.detach() for name, w in leaves(make_net()).items()}
    mean, variance = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    count = batch.shape[0] * 64
    for sigma, pass_ in passes:
        _, _, m, v = forward(chip(clean, sigma, seed=SEED, draw=0, pass_=pass_))(batch)
        mean = 0.9 * mean + 0.1 * m
        variance = 0.9 * variance + 0.1 * v * count / (count - 1)
    return mean, variance


@pytest.mark.parametrize(
    ("objective", "passes"),
    [
        (CrossEntropy(), [(0.15, 0)]),
        (IRS(), [(0.15, 0)]),
        (SelfFeedback(), [(0.15, 0)]),
        (OVF(), [(0.15, 0), (0.20, 1), (0.25, 2), (0.30, 3)]),
        (OVF(n=1), [(0.15, 0), (0.20, 1)]),
        (OVF(detach_feedback=True), [(0.15, 0), (0.20, 1), (0.25, 2), (0.30, 3)]),
        (OVF(memory="lean"), [(0.15, 0), (0.20, 1), (0.25, 2), (0.30, 3)]),
        (OVF(detach_feedback=True, memory="lean"), [(0.15, 0), (0.20, 1), (0.25, 2), (0.30, 3)]),
        (OVF(batchnorm="backbone"), [(0.15, 0)]),
        (OVF(batchnorm="backbone", memory="lean"), [(0.15, 0)]),
        (OVF(batchnorm="backbone", rescale_draws=True), [(0.15, 0)]),
    ],
)
def test_one_step_moves_the_statistics_as_often_as_it_says(
    objective: Any, passes: list[tuple[float, int]]
) -> None:
    net = make_net()
    recipe = Recipe(objective=objective)
    recipe.objective.loss(step_of(net, recipe)).backward()
    mean, variance, count = statistics(net)
    wanted_mean, wanted_variance = expected(passes)
    assert count == len(passes)
    torch.testing.assert_close(mean, wanted_mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(variance, wanted_variance, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variation", [None, NoVariation()])
def test_a_forward_may_leave_the_statistics_alone(variation: Any) -> None:
    net = make_net()
    recipe = Recipe() if variation is None else Recipe(variation=variation)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    step = step_of(net, recipe)
    quiet = step.backbone(update_batchnorm=False).output
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    # It is the same forward all the same: batch statistics, the same chip.
    assert torch.equal(quiet, step.backbone().output)
    assert statistics(net)[2] == 1


def test_each_pass_has_a_chip_of_its_own_and_another_sigma_the_same_normals() -> None:
    net = make_net(batchnorm=False)
    step = step_of(net)
    clean = net.fc.weight.detach().clone()
    seen: list[Tensor] = []
    net.fc.register_forward_pre_hook(lambda *_: seen.append(net.fc.weight.detach().clone()))
    for options in ({}, {"pass_": 1}, {"sigma_d": 0.3}, {"sigma_d": 0.0}, {}):
        step.backbone(**options)  # type: ignore[arg-type]
    first, other, doubled, quantised, again = seen
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(doubled - quantised, 2 * (first - quantised), rtol=1e-9, atol=1e-12)
    assert float((quantised - clean).abs().max()) <= float(clean.abs().max()) / 63 / 2 * (1 + 1e-12)
    assert step.sigma_d == SIGMA
    assert step_of(net, Recipe(variation=NoVariation())).sigma_d == 0


@pytest.mark.parametrize(("batchnorm", "updates"), [("all", 4), ("backbone", 1)])
def test_a_training_counts_the_same(batchnorm: Any, updates: int) -> None:
    net = small_net()
    recipe = Recipe(objective=OVF(batchnorm=batchnorm))
    fit(net, recipe, DEVICE, images(24), images(8), hardware=CPU, epochs=1, batch_size=8)
    assert int(net.bn.state_dict()["num_batches_tracked"]) == 3 * updates, "validation moves nothing"
