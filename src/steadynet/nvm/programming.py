"""One weight tensor onto its devices and back: the clean part, the error, and their sum.

W_p = W_d + max|W|/(2^M − 1) · Σ_j Δg_j 2^{jK}        (Eq. 5)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from steadynet.nvm.quantize import from_codes, lsb, max_abs, to_codes
from steadynet.nvm.slicing import slice_levels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from steadynet.nvm.device import Device

_BLOCK = 2**18  # weights at a time: their codes then stay in the cache, and are never all in memory


def program_tensor(weight: Tensor, device: Device, generator: torch.Generator) -> Tensor:
    """Return the weights that one programming of `weight` leaves, detached from it.

    Args:
        weight: Clean weights of any floating dtype and shape. Half precision is computed in float32.
        device: Where they are programmed.
        generator: The source of the errors; its device is where they are drawn. They are drawn in
            float32 and in contiguous order, so they depend on nothing but the generator and the shape.

    Returns:
        A tensor of the weight's shape, dtype and device, contiguous. A NaN weight makes NaN of all that
        share its max|W|, or of itself alone if there is neither quantising nor error.

    Raises:
        SteadyNetError: If the tensor is empty.
    """
    import torch

    values = weight.detach().contiguous().to(torch.promote_types(weight.dtype, torch.float32))
    maximum = max_abs(values, device.scale)
    if device.sigma_d == 0:
        return clean_tensor(values, maximum, device).to(weight.dtype)
    if device.path == "device":
        # A NaN weight has no levels: it is given those of 0, and its programmed weight is NaN by its code.
        codes = to_codes(values, maximum, device.weight_bits).nan_to_num_(0.0)
        errors = device_errors(codes, device, generator).to(values.dtype)
        std = None
    else:
        errors = standard_normal(tuple(values.shape), generator, values)
        std = device.sigma_d * device.relative_std * device.max_code
        if not device.variation.uniform:
            std = code_std(device, values.device).to(values.dtype)
    need_codes = device.quantize or isinstance(std, torch.Tensor)
    for error, value, peak in _row_blocks(errors, values, maximum):
        codes = to_codes(value, peak, device.weight_bits) if need_codes else value
        unit = lsb(peak, device.weight_bits)
        if isinstance(std, torch.Tensor):
            # A NaN weight has no code: its index is made a valid one, and its programmed weight is NaN.
            magnitudes = codes.abs().int().clamp_(0, device.max_code)
            error.mul_(std.index_select(0, magnitudes.flatten()).view_as(codes))
        elif std is not None:
            error.mul_(std)
        if device.quantize:
            error.add_(codes).mul_(unit)
        else:
            error.mul_(unit).add_(value)
    return errors.to(weight.dtype)


def clean_tensor(values: Tensor, maximum: Tensor, device: Device) -> Tensor:
    """Return what devices without error hold: the quantised weights, or a copy where there is no quantising."""
    if not device.quantize:
        return values.clone()
    return from_codes(to_codes(values, maximum, device.weight_bits), maximum, device.weight_bits)


def _row_blocks(errors: Tensor, values: Tensor, maximum: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield views of about `_BLOCK` weights, whole rows of the first dimension, with their maximum."""
    if values.dim() == 0:
        yield errors, values, maximum
        return
    rows = max(1, _BLOCK * values.shape[0] // values.numel())
    for start in range(0, values.shape[0], rows):
        part = slice(start, start + rows)
        yield errors[part], values[part], maximum[part] if maximum.dim() else maximum


def standard_normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return float32 standard normals drawn on the generator's device, as dtype and device of `like`."""
    import torch

    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return drawn.to(device=like.device, dtype=like.dtype)


def code_std(device: Device, where: torch.device | str = "cpu") -> Tensor:
    """Return the error's std of a weight of each code magnitude, sqrt(Σ_j std_j² 4^{jK}) code steps.

    Both crossbars are summed where `device.both_crossbars`.

    Returns:
        A float32 table [2^M] on the torch device `where`, to be indexed by the magnitude.
    """
    import torch

    magnitudes = torch.arange(device.max_code + 1, device=where)
    levels = slice_levels(magnitudes, device.weight_bits, device.device_bits)
    variance = device.variation.level_std(levels, magnitudes, device).double() ** 2
    variance = variance.expand(levels.shape)
    if device.both_crossbars:
        # The other crossbar's devices are aimed at level 0, and belong to no weight: code 0.
        variance = variance + variance[:, :1]
    powers = 4.0 ** (device.device_bits * torch.arange(device.slices, device=where, dtype=torch.float64))
    return (variance * powers[:, None]).sum(0).sqrt().float()


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
