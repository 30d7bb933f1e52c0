"""One weight tensor onto its devices and back: the clean part, the error, and their sum.

W_p = W_d + max|W|/(2^M − 1) · Σ_j Δg_j 2^{jK}        (Eq. 5)

`program_tensor` does it once, for weights that change from programming to programming, as they do in training. Where the same
weights are programmed many times, `Target` holds what never changes: the clean part and the error's std.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.nvm.quantize import from_codes, lsb, max_abs, to_codes
from steadynet.nvm.slicing import slice_levels
from steadynet.nvm.weight_law import WeightLaw

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from steadynet.nvm.device import Device

# Weights at a time: what is drawn, scaled and added then stays in the cache, and no temporary is of the weight's size.
# A multiple of 16, so that torch's generator gives a block the numbers that it would give the whole tensor.
_BLOCK = 2**18


def program_tensor(
    weight: Tensor,
    device: Device,
    generator: torch.Generator,
    out: Tensor | None = None,
    *,
    mirrored: bool = False,
) -> Tensor:
    """Return the weights that one programming of `weight` leaves, detached from it.

    Args:
        weight: Clean weights of any floating dtype and shape. Half precision is computed in float32.
        device: Where they are programmed.
        generator: The source of the errors; its device is where they are drawn. They are drawn in
            float32 and in contiguous order, so they depend on nothing but the generator and the shape.
        out: Where they are written, a contiguous tensor of the weight's shape and device; a new one of its dtype if None.
        mirrored: Whether every normal that is drawn has the other sign: the same law, and, where errors are Gaussian, the very
            errors negated.

    Returns:
        `out`, or a tensor of the weight's shape, dtype and device, contiguous. A NaN weight makes NaN of all that
        share its max|W|, or of itself alone if there is neither quantising nor error.

    Raises:
        SteadyNetError: If the tensor is empty.
    """
    import torch

    values = _wide(weight)
    maximum = max_abs(values, device.scale)
    out = torch.empty(values.shape, dtype=weight.dtype, device=values.device) if out is None else out
    if device.sigma_d == 0:
        return out.copy_(clean_tensor(values, maximum, device))
    if device.path == "device" or isinstance(device.variation, WeightLaw):
        return Target.of(weight, device).program(generator, out, mirrored=mirrored)
    table = _std_table(device, values) * (-1 if mirrored else 1)
    if maximum.dim() or not _in_blocks(generator, values):
        return _add_errors(*_aim(values, maximum, table, device), generator, out)
    flat, result = values.view(-1), out.view(-1)
    for start, stop in _blocks(flat.numel()):
        _add_errors(*_aim(flat[start:stop], maximum, table, device), generator, result[start:stop])
    return out


@dataclass(frozen=True, eq=False)
class Target:
    """What the devices of one weight tensor are aimed at, to be programmed many times.

    Attributes:
        clean: The weights that devices without error hold, float32 or float64, contiguous.
        std: Std of the error in weights: of shape (), [C, 1, …, 1], or the weight's.
        codes: The codes, where each device draws an error of its own or a law of whole weights needs them; `std` is then one
            code step.
        device: Where they are programmed.
    """

    clean: Tensor
    std: Tensor
    codes: Tensor | None
    device: Device

    @classmethod
    def of(cls, weight: Tensor, device: Device) -> Target:
        """Return the target of a weight tensor; see `program_tensor`."""
        values = _wide(weight)
        maximum = max_abs(values, device.scale)
        if device.sigma_d == 0:
            return cls(clean_tensor(values, maximum, device), maximum.new_zeros(()), None, device)
        if device.path == "device" or isinstance(device.variation, WeightLaw):
            # A NaN weight has no levels: it is given those of 0, and its programmed weight is NaN by its clean part.
            codes = to_codes(values, maximum, device.weight_bits).nan_to_num_(0.0)
            unit = lsb(maximum, device.weight_bits)
            return cls(clean_tensor(values, maximum, device), unit, codes, device)
        clean, std = _aim(values, maximum, _std_table(device, values), device)
        return cls(clean, std, None, device)

    def program(self, generator: torch.Generator, out: Tensor, *, mirrored: bool = False) -> Tensor:
        """Write into `out` what one programming leaves: the very numbers of `program_tensor`."""
        import torch

        side = -1 if mirrored else 1

        if self.device.sigma_d == 0:
            return out.copy_(self.clean)
        if self.codes is not None:
            law = self.device.variation
            if isinstance(law, WeightLaw):
                normals = standard_normal(tuple(self.codes.shape), generator, self.codes)
                errors = law.weight_error(normals * side, self.codes, self.device)
            else:
                errors = device_errors(self.codes, self.device, generator).to(self.clean.dtype) * side
            return out.copy_(torch.addcmul(self.clean, errors, self.std))
        stds = self.std if side == 1 else -self.std
        by_row = stds.dim() and stds.shape != self.clean.shape
        if by_row or not _in_blocks(generator, self.clean):
            return _add_errors(self.clean, stds, generator, out)
        clean, result = self.clean.view(-1), out.view(-1)
        flat = stds.view(-1) if stds.dim() else None
        for start, stop in _blocks(clean.numel()):
            scale = stds if flat is None else flat[start:stop]
            _add_errors(clean[start:stop], scale, generator, result[start:stop])
        return out


def clean_tensor(values: Tensor, maximum: Tensor, device: Device) -> Tensor:
    """Return what devices without error hold: the quantised weights, or a copy where there is no quantising."""
    if not device.quantize:
        return values.clone()
    return from_codes(to_codes(values, maximum, device.weight_bits), maximum, device.weight_bits)


def _wide(weight: Tensor) -> Tensor:
    import torch

    return weight.detach().contiguous().to(torch.promote_types(weight.dtype, torch.float32))


def _std_table(device: Device, values: Tensor) -> Tensor:
    """Return the error's std in code steps of each code magnitude [2^M], or of all alike, of shape ()."""
    table = code_std(device).to(values.dtype).to(values.device)
    return table[0] if device.variation.uniform else table


def _aim(values: Tensor, maximum: Tensor, table: Tensor, device: Device) -> tuple[Tensor, Tensor]:
    """Return the clean part and the error's std, in weights."""
    unit = lsb(maximum, device.weight_bits)
    if not device.quantize and not table.dim():
        return values, table * unit
    codes = to_codes(values, maximum, device.weight_bits)
    std = table
    if table.dim():
        # A NaN weight has no code: its index is made a valid one, and its programmed weight is NaN.
        magnitudes = codes.abs().int().clamp_(0, device.max_code)
        std = table.index_select(0, magnitudes.flatten()).view_as(codes)
    return codes.mul_(unit) if device.quantize else values, std * unit


def _add_errors(clean: Tensor, std: Tensor, generator: torch.Generator, out: Tensor) -> Tensor:
    """Write clean + std · normals into `out`, drawn into it where its dtype and device allow."""
    import torch

    if out.dtype == clean.dtype == torch.float32 and out.device == generator.device:
        return torch.addcmul(clean, out.normal_(generator=generator), std, out=out)
    errors = standard_normal(tuple(clean.shape), generator, clean)
    return out.copy_(torch.addcmul(clean, errors, std, out=errors))


def _in_blocks(generator: torch.Generator, values: Tensor) -> bool:
    # A GPU is better off with few large kernels, and has other numbers for a block than for the whole.
    return generator.device.type == "cpu" and values.device.type == "cpu"


def _blocks(size: int) -> list[tuple[int, int]]:
    """Return the ends of blocks; none but a whole tensor has fewer than 16 weights, where torch draws in another way."""
    starts = list(range(0, size, _BLOCK))
    if len(starts) > 1 and size - starts[-1] < 16:
        starts.pop()
    return list(zip(starts, [*starts[1:], size], strict=True))


def standard_normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Return float32 standard normals drawn on the generator's device, as dtype and device of `like`."""
    import torch

    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return drawn.to(device=like.device, dtype=like.dtype)


def code_std(device: Device) -> Tensor:
    """Return the error's std of a weight of each code magnitude, sqrt(Σ_j std_j² 4^{jK}) code steps.

    Both crossbars are summed where `device.both_crossbars`.

    Returns:
        A float64 table [2^M] on the CPU, to be indexed by the magnitude.
    """
    import torch

    magnitudes = torch.arange(device.max_code + 1)
    levels = slice_levels(magnitudes, device.weight_bits, device.device_bits)
    variance = device.variation.level_std(levels, magnitudes, device).double() ** 2
    variance = variance.expand(levels.shape)
    if device.both_crossbars:
        # The other crossbar's devices are aimed at level 0, and belong to no weight: code 0.
        variance = variance + variance[:, :1]
    powers = 4.0 ** (device.device_bits * torch.arange(device.slices, dtype=torch.float64))
    return (variance * powers[:, None]).sum(0).sqrt()


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
        std = device.variation.level_std(levels, magnitude, device).to(total.dtype).expand(levels.shape)
        for j in range(device.slices):
            error = standard_normal(tuple(codes.shape), generator, total) * std[j]
            total += error * 2.0 ** (j * device.device_bits)
        return total

    total = crossbar(levels, magnitude)
    if device.both_crossbars:
        total -= crossbar(torch.zeros_like(levels), torch.zeros_like(magnitude))
    return total * sign
