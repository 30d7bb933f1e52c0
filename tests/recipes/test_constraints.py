"""Constraints against computations by hand, and what a training makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from recipes.reference import make_batch, make_net
from steadynet.chip import program, run
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import (
    Clip,
    LearnedRange,
    NoConstraint,
    Orthogonal,
    Pace,
    Peak,
    Recipe,
    Saturate,
    Several,
    Sparse,
)
from steadynet.recipes.base import FreeWeights
from steadynet.training import fit

EMPTY = nn.Module()


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3, 3)])
@pytest.mark.parametrize("lipschitz", [None, 0.8])
def test_the_orthogonal_penalty_and_its_gradient_by_hand(
    shape: tuple[int, ...], lipschitz: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    part = Orthogonal(0.5, lipschitz=lipschitz)
    state = part.setup({"w": weight}, 0.3)
    penalty = part.penalty({"w": weight}, state)
    assert penalty is not None
    square = 0.09
    radius = (
        1.0
        if lipschitz is None
        else 0.8 / (math.exp(square / 2) + 3 * math.sqrt((math.exp(square) - 1) * math.exp(square)))
    )
    w = weight.detach().flatten(1)
    gram = w.T @ w - radius**2 * torch.eye(w.shape[1], dtype=torch.float64)
    assert float(penalty.detach()) == pytest.approx(0.5 * float((gram**2).sum()), rel=1e-6)
    (gradient,) = torch.autograd.grad(penalty, weight)
    # d/dW ‖WᵀW − λ²I‖² = 4 W (WᵀW − λ²I).
    torch.testing.assert_close(gradient.flatten(1), 0.5 * 4 * w @ gram, rtol=1e-5, atol=1e-6)


def test_several_weights_add_up_and_a_given_sigma_wins() -> None:
    w = torch.eye(2, dtype=torch.float64)
    part = Orthogonal(1.0)
    state = part.setup({"a": w, "b": 2 * w}, 0.0)
    # Of b: 4 I − I = 3 I, twice 9.
    assert float(part.penalty({"a": w, "b": 2 * w}, state) or 0) == pytest.approx(18.0)
    assert Orthogonal(lipschitz=1.0, sigma=0.0).radius(0.4) == 1.0


def test_the_sparse_penalty_by_hand() -> None:
    penalty = Sparse(0.1).penalty({"a": tensor(1, -2), "b": tensor(0.5)}, EMPTY)
    assert float(penalty if penalty is not None else 0) == pytest.approx(0.35)


def test_a_saturated_weight_by_hand() -> None:
    weight = tensor(3, -4, 0, 0)  # root mean square 2.5
    part = Saturate(0.5)
    state = part.setup({"w": weight}, 0.1)
    found = part.transform("w", tensor(1.25, -10, 0, 0), state)
    assert found.tolist() == pytest.approx([2.5 * math.tanh(1), 2.5 * math.tanh(-8), 0, 0])


def test_a_learned_range_and_its_gradients_by_hand() -> None:
    weight = tensor(3, -4, 1, 0).requires_grad_()
    size = math.sqrt(26 / 4)
    part = LearnedRange(start=1.0, strength=0.2)
    state = part.setup({"w": weight}, 0.1)
    (log_range,) = state.parameters()
    assert float(log_range.detach().exp()) == pytest.approx(size)
    found = part.transform("w", weight, state)
    assert found.tolist() == pytest.approx([size, -size, 1, 0])
    coefficients = tensor(1, 10, 100, 1000)
    by_weight, by_range = torch.autograd.grad((found * coefficients).sum(), [weight, log_range])
    assert by_weight.tolist() == [0, 0, 100, 1000]
    assert float(by_range) == pytest.approx(size * (1 - 10))
    penalty = part.penalty({"w": found.detach()}, state)
    assert penalty is not None
    ratio = size**2 / float(found.detach().square().mean())
    assert float(penalty.detach()) == pytest.approx(0.2 * ratio)
    (pull,) = torch.autograd.grad(penalty, log_range)
    assert float(pull) == pytest.approx(2 * 0.2 * ratio)


def test_a_channel_is_clipped_at_its_own_std() -> None:
    weight = torch.tensor([[0.0, 0.0, 0.0, 10.0], [0.0, 0.0, 0.0, 1.0]])
    part = Clip(1.5, per="channel")
    part.project({"w": weight}, 1.0, part.setup({"w": weight}, 0.1))
    # Each row: std of (0, 0, 0, a) is a·sqrt(3)/4.
    assert weight[:, 3].tolist() == pytest.approx([1.5 * 10 * math.sqrt(3) / 4, 1.5 * math.sqrt(3) / 4])


@pytest.mark.parametrize(("progress", "alpha"), [(0.0, 3.0), (0.25, 2.25), (0.5, 1.5), (1.0, 1.5)])
def test_an_annealed_clip_falls_evenly_and_stays(progress: float, alpha: float) -> None:
    part = Clip(1.5, start=3.0, until=0.5)
    assert part.at(progress) == pytest.approx(alpha)
    weight = torch.cat([torch.zeros(99), torch.tensor([1.0])])
    std = float(weight.std(correction=0))
    part.project({"w": weight}, progress, part.setup({"w": weight}, 0.1))
    assert float(weight.max()) == pytest.approx(alpha * std)


def test_the_peak_is_clipped_and_the_size_given_back() -> None:
    weight = tensor(3, -4, 1, 0)
    size = math.sqrt(26 / 4)
    part = Peak(1.2)
    state = part.setup({"w": weight}, 0.1)
    part.project({"w": weight}, 0.5, state)
    bound = 1.2 * size
    clipped = [min(bound, 3), max(-bound, -4), 1, 0]
    factor = size / math.sqrt(sum(v * v for v in clipped) / 4)
    assert weight.tolist() == pytest.approx([v * factor for v in clipped])
    for _ in range(60):
        part.project({"w": weight}, 0.5, state)
    assert math.sqrt(float(weight.square().mean())) == pytest.approx(size)
    assert float(weight.abs().max()) <= 1.2 * size * 1.001


def test_a_stride_is_a_rate_for_each_tensor_by_its_size() -> None:
    weights = {"a": tensor(3, -4), "b": tensor(0.3, -0.4, 0)}
    part = Peak(1.2, stride=0.5)
    rates = part.rates(part.setup(weights, 0.1))
    assert rates == pytest.approx({"a": 0.5 * math.sqrt(12.5), "b": 0.5 * math.sqrt(0.25 / 3)})
    assert not Peak(1.2).rates(Peak(1.2).setup(weights, 0.1))
    both = Several((Pace(2.0), part))
    assert both.rates(both.setup(weights, 0.1)) == rates
    twice = Several((part, Stride2()))
    with pytest.raises(SteadyNetError, match="two constraints have a learning rate for a"):
        twice.rates(twice.setup(weights, 0.1))


class Unprojected(Peak):
    """The rates alone."""

    def project(self, weights: Mapping[str, torch.Tensor], progress: float, state: nn.Module) -> None:
        return


@pytest.mark.parametrize("pace", [1.0, 3.0])
def test_the_first_step_of_adam_goes_as_far_as_the_stride(pace: float) -> None:
    # Adam's first step is its learning rate in each weight whose gradient is not 0.
    net, parts = make_net(), (Unprojected(1.2, stride=0.25), Pace(pace))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    images, labels = make_batch(8)
    fit(
        net, Recipe(constraint=Several(parts)), Device(), (images, labels), (images, labels),
        epochs=1, batch_size=8, lr=1e-3, seed=0, val_draws=1, progress=False,
    )  # fmt: skip
    devices = {t.name for t in layout(net, Device())}
    for name, p in net.named_parameters():
        moved = (p.detach() - before[name]).abs()
        size = float(before[name].square().mean().sqrt())
        rate = 0.25 * size if name in devices else pace * 1e-3
        assert float(moved.max()) == pytest.approx(rate, rel=1e-2), name


def test_a_stride_needs_adam() -> None:
    images, labels = make_batch(8)
    with pytest.raises(
        SteadyNetError, match="stride says how far a step of Adam goes, and the optimizer is 'sgd'"
    ):
        fit(
            make_net(), Recipe(constraint=Peak(1.2, stride=0.25)), Device(), (images, labels), (images, labels),
            epochs=1, batch_size=8, optimizer="sgd", progress=False,
        )  # fmt: skip


class Stride2(FreeWeights):
    """Another part that has a rate for a weight."""

    def rates(self, state: nn.Module) -> Mapping[str, float]:
        return {"a": 0.1}


def test_several_constraints_act_in_their_order() -> None:
    part = Several((Saturate(1.0), Sparse(0.5), Pace(2.0), Pace2(3.0)))
    weights = {"w": tensor(3, -4)}
    state = part.setup(weights, 0.1)
    assert part.pace == 6.0
    found = part.transform("w", weights["w"], state)
    assert torch.equal(found, Saturate(1.0).transform("w", weights["w"], Saturate(1.0).setup(weights, 0.1)))
    penalty = part.penalty({"w": found}, state)
    assert float(penalty if penalty is not None else 0) == pytest.approx(0.5 * float(found.abs().sum()))
    silent = Several((Clip(2.0), Pace(2.0)))
    assert silent.penalty(weights, silent.setup(weights, 0.1)) is None


class Pace2(Pace):
    """Another class, so that two of them may stand together."""


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((Clip(2.0),), "several constraints are two or more, got 1"),
        ((Clip(2.0), Clip(1.5)), "several constraints hold Clip twice"),
        ((Clip(2.0), 3), "each of several constraints must be a Constraint, got 3"),
        ((Pace(2.0), Clip(2.5), Peak(1.3)), "Clip and Peak contradict each other: both bound the weights"),
        ((Saturate(), LearnedRange()), "Saturate and LearnedRange contradict each other"),
    ],
)
def test_several_refuses_what_is_none(parts: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        Several(parts)


@pytest.mark.parametrize("part", [Saturate(), LearnedRange(), Peak()])
def test_weights_that_are_all_0_are_named(part: Any) -> None:
    with pytest.raises(SteadyNetError, match="w is all 0, so it has no size"):
        part.setup({"w": torch.zeros(3)}, 0.1)


@pytest.mark.parametrize(
    "constraint", [Saturate(0.5), LearnedRange(1.0), Several((Saturate(1.0), Sparse(1e-3)))]
)
def test_the_deployed_backbone_holds_what_was_programmed(constraint: Any) -> None:
    images, labels = make_batch(40)
    data = (images.float(), labels)
    net = make_net().float()
    start = net.conv1.weight.detach().square().mean().sqrt()
    device = Device(variation=Gaussian(0.1))
    result = fit(
        net, Recipe(constraint=constraint), device, data, data, epochs=2, batch_size=10, lr=1e-2, seed=1
    )
    best = result.history[result.best_epoch]
    net.eval()
    with torch.no_grad():
        clean = float((net(data[0]).argmax(1) == labels).float().mean())
        chips = [
            program(net, device, seed=1, draw=draw, stream="validation", noise_device=None)
            for draw in range(4)
        ]
        noisy = sum(float((run(net, chip, data[0]).argmax(1) == labels).float().mean()) for chip in chips) / 4
    assert clean == pytest.approx(best["val_accuracy"])
    assert noisy == pytest.approx(best["val_accuracy_noisy"])
    if isinstance(constraint, Saturate):
        assert float(net.conv1.weight.detach().abs().max()) < float(start), (
            "|w| < s: it is tanh of what was trained"
        )


def test_the_pace_multiplies_the_learning_rate() -> None:
    images, labels = make_batch(20)
    data = (images.float(), labels)
    rates: list[list[float]] = []
    nets = [make_net().float(), make_net().float()]
    for net, constraint, lr in zip(nets, (Pace(5.0), NoConstraint()), (1e-3, 5e-3), strict=True):
        result = fit(net, Recipe(constraint=constraint), Device(), data, data, epochs=3, batch_size=10, lr=lr)
        rates.append([row["lr"] for row in result.history])
    assert rates[0] == pytest.approx(rates[1]), "the history tells the rate that was taken"
    for name, tensor in nets[0].state_dict().items():
        torch.testing.assert_close(tensor, nets[1].state_dict()[name])


def test_several_within_several_hide_no_contradiction() -> None:
    inner = Several((Clip(2.0), Sparse(1e-5)))
    with pytest.raises(SteadyNetError, match="Clip and Peak contradict each other"):
        Several((inner, Peak(1.2)))
    with pytest.raises(SteadyNetError, match="hold Sparse twice"):
        Several((inner, Sparse(1e-4)))
    flat = Several((inner, Orthogonal(1e-3)))
    assert flat == Several((Clip(2.0), Sparse(1e-5), Orthogonal(1e-3)))


def test_a_constraint_has_settled_once_all_of_it_has() -> None:
    assert Clip(2.0).settled == 0
    assert Several((Clip(2.0, start=4.0, until=0.3), Sparse(1e-5))).settled == 0.3
