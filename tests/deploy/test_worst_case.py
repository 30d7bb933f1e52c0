"""The worst case against brute force, and what the search may not do."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deploy.small_chip import DEVICE, images, trained
from steadynet.deploy import layer_sensitivity, worst_case
from steadynet.deploy.held import per_weight
from steadynet.deploy.worst_case import Norm, WorstCase, margins, right
from steadynet.errors import SteadyNetError
from steadynet.montecarlo import monte_carlo
from steadynet.nvm.conductance_law import Measured
from steadynet.nvm.device import Device
from steadynet.nvm.programming import Target
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored


def tiny(seed: int = 0) -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    """Return a linear classifier of 3 × 3 weights that is right on most of its images."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.eye(3) + 0.2 * torch.randn(3, 3, generator=generator))
    x = torch.randn(80, 3, generator=generator)
    return net, x, (x @ (torch.eye(3) + 0.1).T).argmax(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_tiny_networks_worst_corner_is_found(seed: int) -> None:
    # Accuracy is no convex function, but on a linear classifier the search must come close to the worst corner of all 2⁹.
    net, x, y = tiny(seed)
    device = Device(variation=Gaussian(0.2))
    bound = 0.8
    found = worst_case(net, device, (x, y), norm="linf", bound=bound, steps=40, restarts=4, draws=2)
    std = device.relative_std * 0.2 * float(net.weight.detach().abs().max())
    worst = min(
        float(
            ((x @ (net.weight.detach() + bound * std * torch.tensor(signs).view(3, 3)).T).argmax(1) == y)
            .float()
            .mean()
        )
        for signs in itertools.product([-1.0, 1.0], repeat=9)
    )
    assert found.accuracy <= worst + 0.05
    assert found.accuracy < found.quantised


@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(bound=st.floats(0.05, 3.0))
@settings(max_examples=10, deadline=None)
def test_the_errors_keep_their_bound_and_give_the_accuracy_that_is_told(norm: str, bound: float) -> None:
    net, x, y = tiny()
    device = Device(variation=Gaussian(0.3))
    found = worst_case(net, device, (x, y), norm=norm, bound=bound, steps=6, restarts=2, draws=2)  # pyright: ignore[reportArgumentType]
    std = device.relative_std * 0.3 * float(net.weight.detach().abs().max())
    delta = found.errors["weight"].double() / std
    size = float(delta.abs().max()) if norm == "linf" else math.sqrt(float(delta.square().mean()))
    assert size == pytest.approx(found.size, rel=1e-4, abs=1e-6)
    assert size <= bound * (1 + 1e-5)
    codes = (net.weight.detach() / net.weight.detach().abs().max() * 255).round()
    clean = codes * net.weight.detach().abs().max() / 255
    accuracy = float(((x @ (clean + found.errors["weight"]).T).argmax(1) == y).float().mean())
    assert accuracy == pytest.approx(found.accuracy)


def test_it_is_worse_than_random_chips_of_its_own_size() -> None:
    net, data = trained(), images()
    found = worst_case(net, DEVICE, data, bound=1.0, steps=8, draws=30)
    assert found.accuracy < found.drawn.min()
    assert found.drawn.tolist() == pytest.approx(monte_carlo(net, DEVICE, data, draws=30).accuracy.values)
    assert found.percentile(5).value == sorted(found.drawn)[1]
    assert net.training
    half = 2.0452 * found.drawn.std(ddof=1) / math.sqrt(30)  # Student's t at 97.5 %, 29 degrees of freedom
    assert found.mean.mean == pytest.approx(found.drawn.mean())
    assert found.mean.half_width == pytest.approx(half, rel=1e-4)


def test_percentiles_tell_their_interval_or_the_chips_that_one_needs() -> None:
    drawn = np.linspace(0.5, 0.9, 100)
    found = WorstCase(0.1, {}, 1.0, 0.9, drawn, "l2", 1.0, 0.2, 0, 60)
    at = found.percentile(5)
    assert at.value == pytest.approx(drawn[4])
    assert at.interval is not None
    # P(x_(1) ≤ q ≤ x_(11)) by the binomial: neither tail has more than 2.5 %.
    assert at.interval == pytest.approx((drawn[0], drawn[10]))
    assert (found.percentile(1).interval, found.percentile(1).needs_draws) == (None, 368)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_wider_bound_finds_no_better_accuracy(norm: Norm) -> None:
    # The wider ball holds the narrower one. Long steps leave all images of one class, where sigmoids of margins are flat.
    net, data = trained(), images(120, seed=4)
    narrow, *wide = (
        worst_case(net, DEVICE, data, norm=norm, bound=bound, draws=2).accuracy
        for bound in (2.0, 30.0, 100.0)
    )
    assert all(accuracy <= narrow + 0.01 for accuracy in wide)


def test_the_search_is_replayed_by_its_seed() -> None:
    net, data = trained(), images()
    first, again = (
        worst_case(net, DEVICE, data, norm="linf", bound=0.2, steps=3, draws=2, seed=4) for _ in range(2)
    )
    assert all(torch.equal(first.errors[name], again.errors[name]) for name in first.errors)


def test_margins_and_the_smooth_count_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.5], [0.0, 5.0, 9.0]])
    found = margins(logits, torch.tensor([0, 0, 2]))
    assert found.tolist() == [2.0, -2.0, 4.0]
    # At τ 2: sigmoid(1) + sigmoid(−1) + sigmoid(2) = 1 + 0.880797, and (1 + 0 + 2)/100.
    assert float(right(found, 2.0)) == pytest.approx(1.910797)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_a_bound_that_is_none_is_refused(bound: float) -> None:
    with pytest.raises(SteadyNetError, match="bound must be a finite number > 0"):
        worst_case(trained(), DEVICE, images(), bound=bound)


def test_a_law_without_a_std_and_a_device_without_error_are_refused() -> None:
    with pytest.raises(SteadyNetError, match="Censored states no std"):
        worst_case(trained(), Device(variation=Censored(0.1)), images())
    with pytest.raises(SteadyNetError, match="sigma_d is 0"):
        worst_case(trained(), DEVICE.at(0.0), images())


def test_where_means_miss_their_targets_the_search_starts_from_what_devices_hold() -> None:
    # What devices hold on average is not what they were aimed at, so no chip is near the targets.
    net, x, y = tiny()
    law = Measured((0.0, 5.0, 10.0), (4.0, 5.0, 7.0), (1.0, 1.0, 1.0))
    device = Device(weight_bits=4, device_bits=4, variation=law)
    options: dict[str, Any] = {"norm": "linf", "bound": 0.5, "steps": 30, "restarts": 4, "draws": 40}
    found = worst_case(net, device, (x, y), **options)
    target = Target.of(net.weight, per_weight(device))
    assert not torch.allclose(target.mean, target.clean), "the law misses its targets"

    def accuracy(weight: torch.Tensor) -> float:
        return float(((x @ weight.T).argmax(1) == y).float().mean())

    corners = [
        accuracy(target.mean + 0.5 * target.std * torch.tensor(signs).view(3, 3))
        for signs in itertools.product([-1.0, 1.0], repeat=9)
    ]
    assert min(corners) - 1e-6 <= found.accuracy <= min(corners) + 0.05
    assert found.accuracy <= float(found.drawn.mean())
    assert found.quantised == pytest.approx(accuracy(target.clean))
    held = target.mean + found.errors["weight"]
    assert found.accuracy == pytest.approx(accuracy(held))


def test_weights_that_a_parametrisation_computes_are_searched() -> None:
    net, x, y = tiny()
    plain = worst_case(net, DEVICE, (x, y), draws=3, steps=5)
    normed = nn.Linear(3, 3, bias=False)
    normed.load_state_dict(net.state_dict())
    torch.nn.utils.parametrizations.weight_norm(normed)
    found = worst_case(normed, DEVICE, (x, y), draws=3, steps=5)
    assert found.accuracy == pytest.approx(plain.accuracy, abs=0.03)
    assert found.accuracy < found.quantised


def test_a_network_in_bfloat16_is_searched() -> None:
    net, x, y = tiny()
    found = worst_case(net.bfloat16(), DEVICE, (x.bfloat16(), y), draws=3, steps=5)
    assert found.accuracy < found.quantised


@pytest.mark.parametrize("label", [7, -1])
def test_a_label_that_is_no_class_is_named(label: int) -> None:
    net, x, y = tiny()
    wrong = y.clone()
    wrong[3] = label
    message = f"labels run from {min(0, label)} to {max(2, label)}, the network has classes 0 to 2"
    with pytest.raises(SteadyNetError, match=message):
        worst_case(net, DEVICE, (x, wrong), draws=2)
    with pytest.raises(SteadyNetError, match=message):
        layer_sensitivity(net, DEVICE, (x, wrong), draws=2)
