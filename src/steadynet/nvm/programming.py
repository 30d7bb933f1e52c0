"""One weight tensor onto its devices and back: the clean part, the error, and their sum.

    W_p = W_d + max|W|/(2^M − 1) · Σ_j Δg_j 2^{jK}        (Eq. 5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadynet.nvm.quantize import from_codes, lsb, max_abs, to_codes
from steadynet.nvm.slicing import slice_levels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from steadynet.nvm.device import Device


def program_tensor(weight: Tensor, device: Device, generator: torch.Generator) -> Tensor:
    """Return the weights that one programming of `weight` leaves, detached from it.

    Args:
        weight: Clean weights of any floating dtype and shape.
        device: Where they are programmed.
        generator: The source of the errors; its device is where they are drawn. They are drawn in
            float32 and in contiguous order, so they depend on nothing but the generator and the shape.

    Returns:
        A tensor of the weight's shape, dtype and device, contiguous.
    """
    values = weight.detach().contiguous()
    maximum = max_abs(values, device.scale)
    quantised = device.quantize or not device.variation.uniform
    codes = to_codes(values, maximum, device.weight_bits) if quantised else values
    clean = from_codes(codes, maximum, device.weight_bits) if device.quantize else values
    if device.sigma_d == 0:
        return clean.clone() if clean is values else clean
    unit = lsb(maximum, device.weight_bits)
    if device.path == "device":
        if not quantised:
            codes = to_codes(values, maximum, device.weight_bits)
        return clean + device_errors(codes, device, generator).to(clean.dtype) * unit
    normal = standard_normal(tuple(values.shape), generator, clean)
    if device.variation.uniform:
        return normal.mul_(unit * (device.sigma_d * device.relative_std * device.max_code)).add_(clean)
    return normal.mul_(code_std(codes, device).to(normal.dtype)).mul_(unit).add_(clean)


def standard_normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return float32 standard normals drawn on the generator's device, as dtype and device of `like`."""
    import torch

    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return drawn.to(device=like.device, dtype=like.dtype)


def code_std(codes: Tensor, device: Device) -> Tensor:
    """Return each weight's error std in code steps, sqrt(Σ_j std_j² 4^{jK}), float32 [*shape].

    Both crossbars are summed where `device.both_crossbars`. The std of each of the 2^M magnitudes is
    computed once and looked up.
    """
    import torch

    magnitudes = torch.arange(device.max_code + 1, device=codes.device)
    levels = slice_levels(magnitudes, device.weight_bits, device.device_bits)
    variance = device.variation.level_std(levels, magnitudes, device).double() ** 2
    variance = variance.expand(levels.shape)
    if device.both_crossbars:
        # The other crossbar's devices are aimed at level 0, and belong to no weight: code 0.
        variance = variance + variance[:, :1]
    powers = 4.0 ** (device.device_bits * torch.arange(device.slices, device=codes.device, dtype=torch.float64))
    table = (variance * powers[:, None]).sum(0).sqrt().float()
    return table[codes.abs().long()]


def device_errors(codes: Tensor, device: Device, generator: torch.Generator) -> Tensor:
    """Return each weight's error in code steps from one draw per device: the reference path.

    Every device errs on its own: Σ_j Δg_j 2^{jK} over the weight's crossbar, signed as its weight (that
    of weight 0 counts as positive), minus the same over the other crossbar where both are programmed.
    """
    import torch

    magnitude = codes.abs()
    sign = torch.where(codes < 0, -1.0, 1.0)
    levels = slice_levels(magnitude, device.weight_bits, device.device_bits)

    def crossbar(levels: Tensor, magnitude: Tensor) -> Tensor:
        total = torch.zeros(codes.shape, dtype=torch.float32, device=codes.device)
        std = device.variation.level_std(levels, magnitude, device).expand(levels.shape)
        for j in range(device.slices):
            error = standard_normal(tuple(codes.shape), generator, total) * std[j]
            total += error * 2.0 ** (j * device.device_bits)
        return total

    total = crossbar(levels, magnitude)
    if device.both_crossbars:
        total -= crossbar(torch.zeros_like(levels), torch.zeros_like(magnitude))
    return total * sign
