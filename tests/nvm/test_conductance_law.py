"""Laws of measured devices: sizes, interpolation, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steadynet.errors import SteadyNetError
from steadynet.nvm.conductance_law import Measured, Polynomial, Saturating
from steadynet.nvm.device import Device

TABLE = Measured((2.0, 10.0, 25.0), (2.5, 9.0, 26.0), (0.5, 1.5, 1.0), unit="nA")


def test_a_table_is_interpolated_linearly() -> None:
    # Levels of two bits between 2 and 25 stand for 2, 9.667, 17.333 and 25.
    device = Device(2, 2, TABLE, on_off_ratio=12.5)
    levels = torch.arange(4)[None]
    step = 23 / 3
    at = [2, 2 + step, 2 + 2 * step, 25]
    std = [np.interp(g, (2, 10, 25), (0.5, 1.5, 1.0)) / step for g in at]
    shift = [np.interp(g, (2, 10, 25), (0.5, -1.0, 1.0)) / step for g in at]
    assert TABLE.level_std(levels, levels[0], device)[0].tolist() == pytest.approx(std, rel=1e-9)
    assert TABLE.level_shift(levels, levels[0], device)[0].tolist() == pytest.approx(
        shift, rel=1e-9, abs=1e-12
    )


@given(st.floats(0.001, 2))
@settings(deadline=None)
def test_another_size_scales_the_whole_error(sigma_d: float) -> None:
    device = Device(4, 2, TABLE, on_off_ratio=12.5)
    other = device.at(sigma_d)
    assert other.sigma_d == sigma_d
    assert other.at(TABLE.own_sigma_d).variation == TABLE
    levels = torch.arange(4)[None]
    ratio = sigma_d / TABLE.own_sigma_d
    for name in ("level_std", "level_shift"):
        one = getattr(TABLE, name)(levels, levels[0], device)
        scaled = getattr(other.law, name)(levels, levels[0], other)
        torch.testing.assert_close(scaled, one * ratio, rtol=1e-9, atol=1e-12)


def test_no_error_at_size_0() -> None:
    weight = torch.linspace(-1, 1, 50)
    from steadynet.nvm.programming import program_tensor

    held = program_tensor(weight, Device(variation=TABLE, on_off_ratio=12.5).at(0.0), torch.Generator())
    assert torch.equal(held, program_tensor(weight, Device(), torch.Generator()))


def test_the_largest_level_may_stand_for_less_than_the_largest_target() -> None:
    law = Measured((1.0, 5.0, 9.0), (1.0, 5.0, 9.0), (0.1, 0.2, 0.3), g_max=5.0)
    assert law.g_max == 5.0
    assert law.own_sigma_d == pytest.approx(np.sqrt(np.mean(np.linspace(0.1, 0.2, 1001) ** 2)) / 5, rel=1e-9)


def test_the_ratio_of_a_laws_own_ends_is_in_its_range() -> None:
    law = Polynomial((1.0,), g_max=20.7, g_min=0.9)
    device = Device(variation=law, on_off_ratio=20.7 / 0.9)
    assert device.least * 20.7 < 0.9, "level 0 misses the range by a rounding"
    with pytest.raises(SteadyNetError, match="give an on_off_ratio of 23 at most"):
        Device(variation=law, on_off_ratio=23.001)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Measured((1.0,), (1.0,), (0.1,)), "two or more: got 1 targets"),
        (lambda: Measured((1.0, 2.0), (1.0,), (0.1, 0.1)), "2 targets, 1 means, 2 stds"),
        (lambda: Measured((2.0, 1.0), (1.0, 1.0), (0.1, 0.1)), r"must rise: targets\[1\] = 1 comes after 2"),
        (lambda: Measured((1.0, 1.0), (1.0, 1.0), (0.1, 0.1)), r"must rise: targets\[1\] = 1 is there twice"),
        (lambda: Measured((1.0, 2.0), (1.0, 1.0), (0.1, -0.1)), r"stds\[1\] must be a finite number ≥ 0, got -0.1"),
        (lambda: Measured((1.0, 2.0), (1.0, float("nan")), (0.1, 0.1)), r"means\[1\] must be a finite number"),
        (lambda: Measured((1.0, 2.0), (1.0, 1.0), (0.1, 0.1), g_max=3.0), "g_max 3 µS lies above the largest target 2"),
        (lambda: Measured((1.0, 2.0), (1.0, 1.0), (0.1, 0.1), g_max=1.0), "g_min 1 must be below g_max 1"),
        (lambda: Measured((1.0, 2.0), (1.0, 1.0), (0.0, 0.0)), "no error at all"),
        (lambda: Polynomial((), g_max=1.0), "needs coefficients"),
        (lambda: Polynomial((1.0, -2.0), g_max=1.0), "std is negative or not finite at 1 µS"),
        (lambda: Polynomial((1.0, float("inf")), g_max=1.0), r"coefficients\[1\] must be a finite number"),
        (lambda: Polynomial((1.0,), g_max=0.0), "g_max must be a finite number > 0, got 0.0"),
        (lambda: Saturating(1.0, 0.0, g_max=1.0), "scale must be a finite number > 0, got 0.0"),
        (lambda: Saturating(1.0, 1.0, g_max=1.0, unit=""), "unit must be a word"),
        (lambda: Polynomial((1.0,), g_max=1.0, sigma_d=-1.0), "sigma_d must be a finite number ≥ 0, got -1.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()
