"""Refusals name the object, the value and the mend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import steadynet as sn
from steadynet.errors import (
    DivergenceError,
    SteadyNetError,
    check_choice,
    check_integer,
    check_number,
    check_seed,
    told,
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


@pytest.mark.parametrize("seed", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_a_seed_of_any_kind_of_integer_is_that_integer(seed: Any) -> None:
    """Draws hash the seed with its type: another type would be another draw."""
    found = check_seed(seed)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("seed", [-1, 1.5, "3", None, True, np.float64(3)])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(SteadyNetError, match="seed must be an integer ≥ 0, got"):
        check_seed(seed)
    with pytest.raises(SteadyNetError, match="seed must be an integer ≥ 0, got"):
        sn.data.load("digits", seed=seed)
    with pytest.raises(SteadyNetError, match="seed must be an integer ≥ 0, got"):
        sn.models.build("cnn", classes=10, shape=(1, 8, 8), seed=seed)


def test_somebody_elses_error_is_told_in_one_line_of_bounded_length() -> None:
    assert told(ValueError("\n  first\nsecond")) == "ValueError: first"
    assert told(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert len(told(RuntimeError("x" * 10_000))) < 400


def test_of_very_many_names_the_nearest_are_told_and_how_many_there_are() -> None:
    error = str(unknown("model", "nte", [f"net{number}" for number in range(1200)]))
    assert "did you mean" in error
    assert error.endswith("known: 1,200 names")
