"""The law of the paper on a real network: the programmed weights of VGG-8 err by max|W| σ_d times its constant."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats

from steadynet.chip import program
from steadynet.mapping import layout
from steadynet.models.vgg import VGG8
from steadynet.nvm.device import PATHS, Device
from steadynet.nvm.quantize import fake_quantize
from steadynet.nvm.variation import Gaussian

SIGMA_D = 0.2
DRAWS = 24
# Each check's false-alarm rate is 1e-6 (4.9 std), that of all 200 or so 2e-4. Power 0.999:
# - by tensor (5,184 numbers of the smallest, conv1): a std wrong by 8 %;
# - over the network (4.7 million numbers): a std wrong by 0.3 %, less than the constant's 0.77763 against 0.78;
# - the mean, over the network: a shift of 0.004 std.
ALPHA = 1e-6


def constant(weight_bits: int, device_bits: int) -> float:
    """(2^K − 1)/(2^M − 1) · sqrt(Σ_j 4^{jK}), written out."""
    total = sum(4 ** (j * device_bits) for j in range(weight_bits // device_bits))
    return (2**device_bits - 1) / (2**weight_bits - 1) * math.sqrt(total)


def standard_errors(device: Device, factor: float) -> dict[str, torch.Tensor]:
    """Each tensor's errors over `DRAWS` chips, in units of the std that the law gives it."""
    model = VGG8(width=0.125, seed=3)
    parameters = dict(model.named_parameters())
    clean = {
        name: fake_quantize(parameters[name].detach(), device.weight_bits)
        if device.quantize
        else parameters[name].detach()
        for name in layout(model, device).names
    }
    std = {name: factor * SIGMA_D * max(map(abs, parameters[name].flatten().tolist())) for name in clean}
    chips = [program(model, device, seed=7, draw=draw) for draw in range(DRAWS)]
    return {
        name: torch.stack([(chip[name].detach() - weight) / std[name] for chip in chips]).double().flatten()
        for name, weight in clean.items()
    }


def check_moments(numbers: torch.Tensor, where: str) -> None:
    n = numbers.numel()
    total = float(numbers.square().sum())
    assert stats.chi2.ppf(ALPHA / 2, n) < total < stats.chi2.isf(ALPHA / 2, n), (where, (total / n) ** 0.5)
    assert abs(float(numbers.mean())) < stats.norm.isf(ALPHA / 2) / math.sqrt(n), where


def test_the_constant_is_the_papers() -> None:
    assert constant(8, 2) == pytest.approx(0.77763, abs=5e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("weight_bits", "device_bits"), [(8, 2), (4, 1), (6, 3), (16, 4)])
def test_programmed_weights_err_by_the_law(weight_bits: int, device_bits: int, path: Any) -> None:
    factor = 0.77763 if (weight_bits, device_bits) == (8, 2) else constant(weight_bits, device_bits)
    device = Device(weight_bits, device_bits, Gaussian(SIGMA_D), path=path)
    errors = standard_errors(device, factor)
    assert len(errors) == 8
    for name, numbers in errors.items():
        check_moments(numbers, name)
    together = torch.cat([*errors.values()])
    assert together.numel() > 4_000_000
    check_moments(together, "network")
    # Normality. The fourth moment of 4.7 million normals is 3 with std √96/√n = 0.0045; errors that are
    # 1 % a Gaussian of twice the std would have 3.25. Kolmogorov-Smirnov on 200,000 numbers finds any
    # distance above 0.008 (uniform errors have 0.057).
    bound = stats.norm.isf(ALPHA / 2) * math.sqrt(96 / together.numel())
    assert abs(float(together.pow(4).mean()) - 3) < bound
    some = together[:: together.numel() // 200_000].numpy()
    assert stats.kstest(some, "norm").pvalue > ALPHA


@pytest.mark.parametrize("path", PATHS)
def test_unquantised_weights_err_alike_and_both_crossbars_by_root_two(path: Any) -> None:
    plain = Device(variation=Gaussian(SIGMA_D), quantize=False, path=path)
    check_moments(torch.cat([*standard_errors(plain, 0.77763).values()]), "not quantised")
    both = Device(variation=Gaussian(SIGMA_D), crossbars="both", path=path)
    check_moments(torch.cat([*standard_errors(both, 0.77763 * math.sqrt(2)).values()]), "both crossbars")


def test_the_checks_have_the_power_they_state() -> None:
    device = Device(variation=Gaussian(SIGMA_D))
    errors = standard_errors(device, 0.77763)
    together = torch.cat([*errors.values()])
    smallest = min(errors.values(), key=torch.Tensor.numel)
    assert smallest.numel() == DRAWS * 216
    for wrong in (together * 1.003, together / 1.003, together + 0.004, smallest * 1.08, smallest / 1.08):
        with pytest.raises(AssertionError):
            check_moments(wrong, "wrong")
