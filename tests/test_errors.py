"""Refusals name the object, the value and the mend."""

from __future__ import annotations

import math
from typing import Any

import pytest

from steadynet.errors import (
    DivergenceError,
    SteadyNetError,
    check_choice,
    check_integer,
    check_number,
    unknown,
)


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    message = str(unknown("recipe", "ovff", ["noise", "ovf", "irs"]))
    assert message == "unknown recipe 'ovff': did you mean 'ovf'? known: irs, noise, ovf"
    assert "did you mean" not in str(unknown("recipe", "zzz", ["noise", "ovf"]))


def test_errors_are_value_errors_and_divergence_is_one_of_ours() -> None:
    assert issubclass(SteadyNetError, ValueError)
    assert issubclass(DivergenceError, SteadyNetError)


def test_a_choice_is_one_of_those_given() -> None:
    check_choice("scale", "tensor", ("tensor", "channel"))
    with pytest.raises(SteadyNetError, match="unknown scale 'tensr': did you mean 'tensor'"):
        check_choice("scale", "tensr", ("tensor", "channel"))


@pytest.mark.parametrize("value", [0, 0.5, 1, 1.0])
def test_numbers_within_their_bounds_pass(value: float) -> None:
    check_number("x", value, at_least=0, at_most=1)


@pytest.mark.parametrize("value", [-1e-9, 1.0001, math.nan, math.inf, -math.inf, True, "0.5", None])
def test_numbers_outside_and_what_is_no_number_are_refused(value: Any) -> None:
    with pytest.raises(SteadyNetError, match=r"x must be a finite number ≥ 0 and ≤ 1, got"):
        check_number("x", value, at_least=0, at_most=1)


def test_above_is_strict_and_no_bound_leaves_finite() -> None:
    with pytest.raises(SteadyNetError, match="> 0, got 0"):
        check_number("x", 0, above=0)
    check_number("x", 1e-300, above=0)
    check_number("x", -1e300)
    with pytest.raises(SteadyNetError, match="x must be a finite number, got nan"):
        check_number("x", math.nan)


@pytest.mark.parametrize("value", [0, 1.0, True, "2", None, 9])
def test_integers_are_checked(value: Any) -> None:
    check_integer("n", 1, at_least=1, at_most=8)
    check_integer("n", 8, at_least=1, at_most=8)
    with pytest.raises(SteadyNetError, match=r"n must be an integer ≥ 1 and ≤ 8, got"):
        check_integer("n", value, at_least=1, at_most=8)
