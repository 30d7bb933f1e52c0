"""The error of a whole weight, for each magnitude that it can have: sums over its devices, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadynet.nvm.slicing import slice_levels
from steadynet.nvm.variation import Shifted

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device


def code_std(device: Device) -> Tensor:
    """Return the error's std of a weight of each code magnitude, sqrt(Σ_j std_j² 4^{jK}) code steps.

    Both crossbars are summed where both are read.

    Returns:
        A float64 table [2^M] on the CPU, to be indexed by the magnitude.
    """
    import torch

    total = torch.zeros(device.max_code + 1, dtype=torch.float64)
    powers = 4.0 ** (device.device_bits * torch.arange(device.slices, dtype=torch.float64))
    for levels, ruling in _tables(device):
        variance = device.law.level_std(levels, ruling, device).double() ** 2
        total += (variance.expand(levels.shape) * powers[:, None]).sum(0)
    return total.sqrt()


def code_shift(device: Device) -> Tensor:
    """Return the mean error of a weight of each code magnitude, in code steps away from 0 [2^M], float64 on the CPU."""
    import torch

    total = torch.zeros(device.max_code + 1, dtype=torch.float64)
    if not isinstance(device.law, Shifted):
        return total
    powers = 2.0 ** (device.device_bits * torch.arange(device.slices, dtype=torch.float64))
    for crossbar, (levels, ruling) in enumerate(_tables(device)):
        shift = (device.law.level_shift(levels, ruling, device).double() * powers[:, None]).sum(0)
        total += -shift if crossbar else shift
    return total


def _tables(device: Device) -> list[tuple[Tensor, Tensor]]:
    """Return each crossbar's levels [J, 2^M] for every code magnitude, and the magnitudes that rule over its errors."""
    import torch

    magnitudes = torch.arange(device.max_code + 1)
    found: list[tuple[Tensor, Tensor]] = []
    for crossbar, own in enumerate(device.sides(magnitudes)):
        # Devices that only balance another's are aimed at level 0, and belong to no weight: code 0.
        ruling = own if crossbar and device.crossbars == "both" else magnitudes
        found.append((slice_levels(own, device.weight_bits, device.device_bits), ruling))
    return found
