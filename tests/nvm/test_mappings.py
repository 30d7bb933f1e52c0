"""Crossbars, on/off ratios and laws of devices: what weights hold has the law of a slow simulation, by both paths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from nvm.one_by_one import Law, simulate
from steadynet.nvm.conductance_law import Measured, Polynomial
from steadynet.nvm.device import CROSSBARS, PATHS, Device
from steadynet.nvm.device_law import LogNormalDevice
from steadynet.nvm.programming import program_tensor
from steadynet.nvm.variation import Gaussian, Variation

# Kolmogorov-Smirnov's critical distance at 1e-7 and 20,000 numbers each is 0.029: a std wrong by 30 % (distance 0.063)
# or a mean wrong by 0.15 std (0.06) is found with power above 0.99; moments, below, find less.
# Of some 400 checks 4e-5 fail by chance.
N = 20_000
ALPHA = 1e-7
M, K = 4, 2
CODES = (0, 1, 6, 11, 15)
MEASURED = Measured((10.0, 40.0, 100.0), (12.0, 44.0, 98.0), (3.0, 9.0, 6.0))
LAWS: dict[str, tuple[Variation, float | None, Law]] = {
    "gaussian": (Gaussian(0.1), None, lambda x, n, rng: rng.normal(x, 0.1, n)),
    "gaussian, small ratio": (Gaussian(0.1), 3.0, lambda x, n, rng: rng.normal(x, 0.1, n)),
    "polynomial": (
        Polynomial((1.0, 8.0, -4.0), g_max=50.0), 20.0,
        lambda x, n, rng: rng.normal(x, (1 + 8 * x - 4 * x**2) / 50, n),
    ),
    "measured, shifted": (
        MEASURED, 10.0,
        lambda x, n, rng: rng.normal(
            np.interp(x, (0.1, 0.4, 1), (0.12, 0.44, 0.98)), np.interp(x, (0.1, 0.4, 1), (0.03, 0.09, 0.06)), n
        ),
    ),
    "log-normal": (LogNormalDevice(0.2), 10.0, lambda x, n, rng: x * np.exp(rng.normal(0, 0.2, n))),
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("crossbars", CROSSBARS)
@pytest.mark.parametrize("law", LAWS)
def test_weights_hold_what_their_devices_do(law: str, crossbars: Any, path: Any) -> None:
    variation, ratio, slow = LAWS[law]
    device = Device(M, K, variation, crossbars=crossbars, on_off_ratio=ratio, path=path)
    codes = torch.tensor(CODES, dtype=torch.float32)[:, None].repeat(1, N)
    codes[:, N // 2 :] *= -1
    # A last row that holds the largest code, so that a code step is one.
    weight = torch.cat([codes, torch.full((1, N), 15.0)])
    held = program_tensor(weight, device, torch.Generator().manual_seed(0)).double().numpy()
    rng = np.random.default_rng(1)
    for row, code in enumerate(CODES):
        expected = simulate(code, M, K, slow, N, rng, crossbars=crossbars, ratio=ratio)
        # Weight 0 counts as positive; the second half of the others are negative.
        found = np.concatenate([held[row, : N // 2], (1 if code == 0 else -1) * held[row, N // 2 :]])
        same: Any = stats.ks_2samp(found, expected, method="asymp")
        assert same.pvalue > ALPHA, (code, found.mean(), expected.mean(), found.std(), expected.std())
        # Two means of 20,000 differ by √2 std/√N at random; 5.3 of them are 0.053 std.
        gap = abs(found.mean() - expected.mean())
        assert gap < stats.norm.isf(ALPHA / 2) * expected.std() * (2 / N) ** 0.5, code
        # Two stds of 20,000 differ by 1/√N of them at random, more where tails are long.
        assert found.std() == pytest.approx(expected.std(), rel=0.06)


@pytest.mark.parametrize("crossbars", CROSSBARS)
@pytest.mark.parametrize(("weight_bits", "device_bits"), [(8, 2), (4, 1), (6, 3), (5, 5)])
def test_crossbars_hold_the_code_and_fit(crossbars: Any, weight_bits: int, device_bits: int) -> None:
    device = Device(weight_bits, device_bits, crossbars=crossbars)
    magnitudes = torch.arange(2**weight_bits)
    for dtype in (torch.int64, torch.float32):
        held = device.sides(magnitudes.to(dtype))
        difference = held[0] - sum(held[1:])
        assert torch.equal(difference, magnitudes.to(dtype))
        for one in held:
            assert one.dtype == dtype
            assert 0 <= one.min() <= one.max() <= 2**weight_bits - 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("crossbars", CROSSBARS)
def test_devices_without_error_hold_the_codes(crossbars: Any, path: Any) -> None:
    weight = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    plain = program_tensor(weight, Device(), torch.Generator())
    device = Device(crossbars=crossbars, on_off_ratio=3.0, path=path)
    assert torch.equal(program_tensor(weight, device, torch.Generator()), plain)


def test_a_small_ratio_makes_gaussian_errors_larger_by_its_window() -> None:
    wide, narrow = Device(variation=Gaussian(0.1)), Device(variation=Gaussian(0.1), on_off_ratio=4.0)
    assert narrow.relative_std / wide.relative_std == pytest.approx(1 / (1 - 1 / 4), rel=1e-12)
