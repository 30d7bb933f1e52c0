"""Both paths, one draw a weight and one a device, have the law of a slow simulation of devices, code by code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from nvm import slow_devices as slow
from steadynet.nvm.device import PATHS, Device
from steadynet.nvm.programming import program_tensor
from steadynet.nvm.variation import Gaussian, StateDependent, Variation

# A variance of 10,000 numbers has relative std 0.014. Each check's false-alarm rate is 1e-7 (5.3 std), so that
# of all 1,600 or so here is 2e-4; a std wrong by 7 % (variance by 14 %) is found with power above 0.999.
N = 20_000
ALPHA = 1e-7
M, K = 4, 2
TOP = 2**M - 1
VARIATIONS = [Gaussian(0.3), StateDependent(0.3, 4.0), StateDependent(0.3, 4.0, rule="weight")]


def slow_std(variation: Variation) -> slow.StdOf:
    if isinstance(variation, StateDependent):
        return slow.state_dependent(variation.sigma_d, variation.factor, variation.rule, M, K)
    return slow.gaussian(variation.sigma_d, K)


def held_by_code(device: Device, seed: int, peak: float = 1.0) -> NDArray[np.float64]:
    """What N weights of each magnitude hold, in code steps; the second half of them are negative weights."""
    codes = torch.arange(TOP + 1.0)[:, None].repeat(1, N)
    codes[:, N // 2 :] *= -1
    generator = torch.Generator().manual_seed(seed)
    held = program_tensor(codes * (peak / TOP), device, generator)
    return (held.double() / (peak / TOP)).numpy()


def check_variance(errors: NDArray[np.float64], std: float) -> None:
    n = errors.size
    total = float((errors**2).sum()) / std**2
    assert stats.chi2.ppf(ALPHA / 2, n) < total < stats.chi2.isf(ALPHA / 2, n), (total / n) ** 0.5
    # The mean's std is std/√n; the sum of squares alone would not see a small shift.
    assert abs(float(errors.mean())) < stats.norm.isf(ALPHA / 2) * std / n**0.5


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_every_code_errs_as_its_devices_do(path: Any, both: bool, variation: Variation) -> None:
    held = held_by_code(Device(M, K, variation, crossbars="both" if both else "one", path=path), seed=0)
    std = slow_std(variation)
    for code in range(TOP + 1):
        expected = slow.error_std(code, M, K, std, both)
        check_variance(held[code, : N // 2] - code, expected)
        check_variance(held[code, N // 2 :] + code, expected)


@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
@pytest.mark.parametrize("both", [False, True])
def test_both_paths_and_the_slow_simulation_have_one_distribution(variation: Variation, both: bool) -> None:
    # Kolmogorov-Smirnov's critical distance at 1e-7 and 20,000 numbers each is 0.029. A uniform error of the
    # same std (distance 0.057), or a std wrong by 30 % (0.063), is found with power above 0.99.
    rng = np.random.default_rng(1)
    paths = [
        held_by_code(Device(M, K, variation, crossbars="both" if both else "one", path=path), seed)
        for seed, path in enumerate(PATHS)
    ]
    for code in (0, 1, 4, 6, 11, 15):
        drawn = slow.simulate(code, M, K, slow_std(variation), N, rng, both)
        samples = [np.concatenate([held[code, : N // 2], -held[code, N // 2 :]]) for held in paths]
        for one, other in ((samples[0], samples[1]), (samples[0], drawn), (samples[1], drawn)):
            found: Any = stats.ks_2samp(one, other, method="asymp")
            assert found.pvalue > ALPHA


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_both_crossbars_add_the_variance_of_unused_devices(path: Any, variation: Variation) -> None:
    # √2 for Gaussian; for the others, each code's own. The ratio of two variances of 10,000 numbers has relative
    # std 0.02: a ratio wrong by 20 % (a std by 10 %) is found with power above 0.999.
    one = held_by_code(Device(M, K, variation, path=path), seed=2)
    two = held_by_code(Device(M, K, variation, path=path, crossbars="both"), seed=3)
    std = slow_std(variation)
    for code in range(TOP + 1):
        ratio = two[code, : N // 2].var() / one[code, : N // 2].var()
        expected = (slow.error_std(code, M, K, std, True) / slow.error_std(code, M, K, std)) ** 2
        if isinstance(variation, Gaussian):
            assert expected == pytest.approx(2)
        bounds = stats.f(N // 2 - 1, N // 2 - 1)
        assert bounds.ppf(ALPHA / 2) < ratio / expected < bounds.isf(ALPHA / 2)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_each_channel_errs_by_its_own_maximum(path: Any, variation: Variation) -> None:
    codes = torch.arange(TOP + 1.0)[:, None].repeat(1, N).flatten()
    peaks = (1.0, 0.01, 30.0)
    weight = torch.stack([codes * (peak / TOP) for peak in peaks])
    device = Device(M, K, variation, scale="channel", path=path)
    held = program_tensor(weight, device, torch.Generator().manual_seed(4)).double()
    std = slow_std(variation)
    for row, peak in zip(held, peaks, strict=True):
        errors = (row / (peak / TOP) - codes).view(TOP + 1, N).numpy()
        for code in range(TOP + 1):
            check_variance(errors[code], slow.error_std(code, M, K, std))


@pytest.mark.parametrize("path", PATHS)
def test_errors_of_neighbours_are_independent(path: Any) -> None:
    # Coefficients of 320,000 pairs have std 0.0018; the bound of 5.3 std finds one of 0.02 surely.
    held = held_by_code(Device(M, K, Gaussian(0.3), path=path), seed=5)
    codes = np.arange(TOP + 1.0)[:, None] * np.where(np.arange(N) < N // 2, 1, -1)
    errors = (held - codes) / (held - codes).std()
    for pairs in (errors[:, 1:] * errors[:, :-1], errors[1:] * errors[:-1]):
        assert abs(pairs.mean()) < stats.norm.isf(ALPHA / 2) / pairs.size**0.5
