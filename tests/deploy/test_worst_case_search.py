"""How the search for the worst case starts, how long its steps are, and where it may not leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deploy.small_chip import DEVICE, images, trained
from steadynet.converters import Converters, with_converters
from steadynet.deploy import worst_case
from steadynet.deploy.held import Held, holding
from steadynet.deploy.worst_case import NORMS, Norm, _Search
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.effects.read import Read
from steadynet.nvm.variation import Gaussian


@pytest.fixture
def held() -> Iterator[Held]:
    with holding(trained(), DEVICE, images()) as lent:
        yield lent


@pytest.mark.parametrize("norm", NORMS)
def test_errors_within_the_bound_stay_as_they_are(held: Held, norm: Norm) -> None:
    search = _Search(held, DEVICE, norm, 2.0, 0)
    inside = {name: torch.full_like(zero, 0.5) for name, zero in search.zeros().items()}
    projected = search.projected(inside)
    assert all(torch.equal(projected[name], delta) for name, delta in inside.items())


@pytest.mark.parametrize("norm", NORMS)
def test_two_starts_are_without_error_and_the_others_at_the_bound(held: Held, norm: Norm) -> None:
    search = _Search(held, DEVICE, norm, 2.0, 0)
    assert [search.size(search.start(restart)) for restart in (0, 1)] == [0, 0]
    start = search.start(2)
    if norm == "linf":
        assert all(torch.equal(delta.abs(), torch.full_like(delta, 2.0)) for delta in start.values())
    else:
        # Of 900 normals the root mean square has a std of 0.024, and what is above the bound is projected.
        assert 2 * (1 - 4 * 0.024) < search.size(start) <= 2 * (1 + 1e-6)
    other = search.start(3)
    assert not any(torch.equal(other[name], delta) for name, delta in start.items())


def test_steps_fall_evenly_to_a_tenth_of_the_first(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    search = _Search(held, DEVICE, "linf", 1e9, 0)
    seen: list[float] = []

    def uphill(delta: Mapping[str, Tensor], tau: float) -> dict[str, Tensor]:
        return {name: -torch.ones_like(part) for name, part in delta.items()}

    def note(delta: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(float(next(iter(delta.values())).flatten()[0]))
        return delta

    monkeypatch.setattr(search, "_gradient", uphill)
    monkeypatch.setattr(search, "projected", note)
    search.descend(search.zeros(), 3, 1.0)
    assert np.diff([0.0, *seen]).tolist() == pytest.approx([1.0, 0.55, 0.1])


def test_every_second_start_begins_with_short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[float] = []
    descend = _Search.descend

    def note(self: _Search, delta: dict[str, Tensor], steps: int, first: float) -> Any:
        lengths.append(first)
        return descend(self, delta, steps, first)

    monkeypatch.setattr(_Search, "descend", note)
    worst_case(trained(), DEVICE, images(), bound=0.8, steps=1, restarts=3, draws=2)
    assert lengths == pytest.approx([0.4, 0.05, 0.4])


def test_an_effect_that_states_no_std_is_named() -> None:
    with pytest.raises(SteadyNetError, match="Read states no std"):
        worst_case(trained(), Device(variation=Gaussian(0.1) + Read(0.1)), images(), draws=2)


def test_weights_that_evaluation_does_not_use_stay_as_they_are() -> None:
    """As those of an auxiliary head."""
    net = trained()
    net.add_module("head", nn.Linear(4, 3))
    found = worst_case(net, DEVICE, images(), draws=2, steps=2)
    assert found.accuracy <= found.quantised
    assert not bool(found.errors["head.weight"].any())


@pytest.mark.parametrize("norm", NORMS)
def test_a_network_with_converters_is_searched_as_well_as_one_without(norm: Norm) -> None:
    net, data = trained(), images()
    options: dict[str, Any] = {"norm": norm, "bound": 0.3, "steps": 8, "draws": 20}
    copied = with_converters(net, DEVICE, images(40, 9)[0], Converters(8, 8))
    plain, found = (worst_case(one, DEVICE, data, **options) for one in (net, copied))
    assert 0 < found.size <= 0.3 * (1 + 1e-5)
    assert found.accuracy < found.drawn.min(), "errors that conspire cost more than random ones"
    assert found.accuracy == pytest.approx(plain.accuracy, abs=0.1)


class Stepped(nn.Module):
    """Rounds its logits, or holds them apart from its weights."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.fc, self.how = nn.Linear(36, 3), how

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.flatten(1))
        return logits.round() if self.how == "round" else logits.detach()


@pytest.mark.parametrize("how", ["round", "detach"])
def test_a_search_that_no_gradient_leads_is_refused_in_one_line(how: str) -> None:
    told = "the gradient of Stepped's logits by its weights on devices is 0 everywhere, so no worst case"
    with pytest.raises(SteadyNetError, match=told) as refused:
        worst_case(Stepped(how), DEVICE, images(), draws=2)
    assert "\n" not in str(refused.value)


def test_a_gradient_that_vanishes_on_the_way_ends_a_start_alone() -> None:
    """In float32 a margin of 100 τ has none, where all images are wrong."""
    net, (x, _) = trained().eval(), images()
    with torch.no_grad():
        labels = net(x).argmax(1)
    found = worst_case(net, DEVICE, (x, labels), bound=1000.0, steps=3, draws=2)
    assert found.accuracy < 1
