"""Clipping against a computation by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadynet.errors import SteadyNetError
from steadynet.recipes import Clip


def test_weights_are_clipped_at_alpha_times_their_std() -> None:
    # Mean 1, squared deviations 1, 1, 1, 9, 0, 4: variance 16/6, std 1.632993, bound 1.5 · std = 2.449490.
    weight = torch.tensor([[0.0, 0.0], [2.0, 4.0], [1.0, -1.0]])
    Clip(1.5).project({"w": weight}, 1.0, Clip(1.5).setup({"w": weight}, 0.1))
    assert weight.flatten().tolist() == pytest.approx([0, 0, 2, 2.449490, 1, -1], abs=1e-5)


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30),
    st.floats(1.01, 4),
)
def test_clipping_only_pulls_in_what_lies_beyond_the_bound(values: list[float], alpha: float) -> None:
    before = torch.tensor(values, dtype=torch.float64)
    weight = before.clone()
    other = torch.tensor([7.0, -7.0], dtype=torch.float64)
    weights = {"w": weight, "other": other}
    Clip(alpha).project(weights, 1.0, Clip(alpha).setup(weights, 0.1))
    bound = alpha * float(((before - before.mean()) ** 2).mean().sqrt())
    if bound == 0:
        assert torch.equal(weight, before), "equal weights are left alone"
    else:
        assert weight.tolist() == pytest.approx([max(-bound, min(bound, v)) for v in before.tolist()])
    assert other.tolist() == [7.0, -7.0], "each tensor has a std of its own, and ±7 lie within 1.01 of it"


def test_a_parameter_is_clipped_in_place_and_outside_the_graph() -> None:
    weight = torch.nn.Parameter(torch.tensor([0.0, 0.0, 0.0, 9.0]))
    Clip(1.5).project({"w": weight}, 1.0, Clip(1.5).setup({"w": weight}, 0.1))
    assert weight.requires_grad
    assert weight.grad_fn is None
    assert float(weight.detach().max()) < 9


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0, -2.0, math.nan, math.inf])
def test_alpha_of_one_and_below_is_refused(alpha: float) -> None:
    with pytest.raises(SteadyNetError, match=r"clip \(alpha\) must be a finite number > 1"):
        Clip(alpha)


def test_clipping_adds_nothing_to_the_loss() -> None:
    assert Clip(2.0).penalty({"w": torch.ones(2)}, torch.nn.Module()) is None
