"""How the search for the worst case starts, how long its steps are, and where it may not leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deploy.small_chip import DEVICE, images, trained
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
