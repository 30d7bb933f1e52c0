"""One weight tensor onto its devices and back: the clean part, the error, and their sum.

W_p = W_d + max|W|/(2^M − 1) · Σ_j Δg_j 2^{jK}        (Eq. 5)

`program_tensor` does it once, for weights that change from programming to programming, as they do in training. Where the same
weights are programmed many times, `Target` holds what never changes: the clean part and the error's std.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError
from steadynet.nvm.code_tables import code_shift, code_std
from steadynet.nvm.composed import numbered
from steadynet.nvm.device_path import Devices, Settled, device_errors
from steadynet.nvm.matrix import PLAIN, Matrix
from steadynet.nvm.normals import standard_normal
from steadynet.nvm.quantize import from_codes, lsb, max_abs, to_codes
from steadynet.nvm.variation import Shifted
from steadynet.nvm.weight_law import WeightLaw
from steadynet.randomness import Source

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
    source: Source | torch.Generator,
    out: Tensor | None = None,
    *,
    mirrored: bool = False,
    matrix: Matrix = PLAIN,
) -> Tensor:
    """Return the weights that one programming of `weight` leaves, detached from it.

    Args:
        weight: Clean weights of any floating dtype and shape. Half precision is computed in float32.
        device: Where they are programmed.
        source: Where the errors are drawn, in float32 and in contiguous order, so that they depend on nothing but the source and
            the shape. A generator will do for laws without effects.
        out: Where they are written, a contiguous tensor of the weight's shape and device; a new one of its dtype if None.
        mirrored: Whether every normal that is drawn from a generator has the other sign: the same law, and, where errors are
            Gaussian, the very errors negated. A `Source` says so itself.
        matrix: How the weight lies on crossbars, where channels or tiles have a scale of their own.

    Returns:
        `out`, or a tensor of the weight's shape, dtype and device, contiguous. A NaN weight makes NaN of all that
        share its max|W|, or of itself alone if there is neither quantising nor error.

    Raises:
        SteadyNetError: If the tensor is empty.
    """
    import torch

    values = _wide(weight)
    maximum = max_abs(values, device.scale, matrix, device.tile_weights)
    out = torch.empty(values.shape, dtype=weight.dtype, device=values.device) if out is None else out
    if device.exact:
        return out.copy_(clean_tensor(values, maximum, device))
    if device.by_device or device.effects or isinstance(device.law, WeightLaw):
        return Target.of(weight, device, matrix).program(source, out, mirrored=mirrored)
    generator, side = _drawn(source, mirrored)
    std, shift = _law_tables(device, values)
    table = (std * side, shift)
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
        mean: What they hold on average, `clean` itself where devices miss their targets by chance alone.
        std: Std of the error in weights: of shape (), [C, 1, …, 1], or the weight's.
        unit: The weight that one code step stands for, of shape () or [C, 1, …, 1].
        codes: The codes, where a law of whole weights needs them.
        devices: The devices, where each of them is drawn.
        device: Where the weights are programmed.
        matrix: How they lie on crossbars.
    """

    clean: Tensor
    mean: Tensor
    std: Tensor
    unit: Tensor
    codes: Tensor | None
    devices: Devices | None
    device: Device
    matrix: Matrix

    @classmethod
    def of(cls, weight: Tensor, device: Device, matrix: Matrix = PLAIN) -> Target:
        """Return the target of a weight tensor; see `program_tensor`."""
        values = _wide(weight)
        maximum = max_abs(values, device.scale, matrix, device.tile_weights)
        unit, none = lsb(maximum, device.weight_bits), maximum.new_zeros(())
        if device.exact:
            clean = clean_tensor(values, maximum, device)
            return cls(clean, clean, none, unit, None, None, device, matrix)
        if device.by_device or isinstance(device.law, WeightLaw):
            # A NaN weight has no levels: it is given those of 0, and its programmed weight is NaN by its clean part.
            codes = to_codes(values, maximum, device.weight_bits).nan_to_num_(0.0)
            devices = Devices(codes, device) if device.by_device and device.effects else None
            clean = clean_tensor(values, maximum, device)
            return cls(clean, clean, unit, unit, codes, devices, device, matrix)
        mean, std = _aim(values, maximum, _law_tables(device, values), device)
        clean = clean_tensor(values, maximum, device) if isinstance(device.law, Shifted) else mean
        return cls(clean, mean, std, unit, None, None, device, matrix)

    def program(self, source: Source | torch.Generator, out: Tensor, *, mirrored: bool = False) -> Tensor:
        """Write into `out` what one programming leaves: the very numbers of `program_tensor`.

        Raises:
            SteadyNetError: If the device has effects, and the source is a bare generator.
        """
        if self.device.exact:
            return out.copy_(self.clean)
        if not self.device.effects:
            return self._law(*_drawn(source, mirrored), out)
        source = _named(source)
        return self.read(self.settle(source), source, out)

    def settle(self, source: Source) -> Settled | Tensor:
        """Return what one programming leaves until the next, to be read by `read` as often as wanted."""
        import torch

        source = source.on(self.matrix)
        if self.devices is not None:
            return self.devices.settle(source)
        weights = torch.empty_like(self.clean)
        self._programmed(source, weights)
        return self._effects(weights, source, per_read=False)

    def _programmed(self, source: Source, out: Tensor) -> Tensor:
        """Write into `out` what programming leaves before any effect."""
        if self.device.sigma_d == 0:
            return out.copy_(self.clean)
        return self._law(source.generator(), source.sign, out)

    def read(self, settled: Settled | Tensor, source: Source, out: Tensor) -> Tensor:
        """Write into `out` the weights as the source's reading of a programming finds them."""
        import torch

        source = source.on(self.matrix)
        if isinstance(settled, torch.Tensor):
            return out.copy_(self._effects(settled, source, per_read=True))
        if self.devices is None:
            raise SteadyNetError(
                "these weights' devices were not drawn one by one, so they cannot be read so"
            )
        errors = self.devices.errors(settled, source).to(self.clean.dtype)
        return out.copy_(torch.addcmul(self.clean, errors, self.unit))

    def _law(self, generator: torch.Generator, side: int, out: Tensor) -> Tensor:
        import torch

        if self.codes is not None:
            law = self.device.law
            if isinstance(law, WeightLaw):
                normals = standard_normal(tuple(self.codes.shape), generator, self.codes)
                errors = law.weight_error(normals * side, self.codes, self.device)
            else:
                errors = device_errors(self.codes, self.device, generator, side).to(self.clean.dtype)
            return out.copy_(torch.addcmul(self.clean, errors, self.unit))
        stds = self.std if side == 1 else -self.std
        by_row = stds.dim() and stds.shape != self.clean.shape
        if by_row or not _in_blocks(generator, self.clean):
            return _add_errors(self.mean, stds, generator, out)
        mean, result = self.mean.view(-1), out.view(-1)
        flat = stds.view(-1) if stds.dim() else None
        for start, stop in _blocks(mean.numel()):
            scale = stds if flat is None else flat[start:stop]
            _add_errors(mean[start:stop], scale, generator, result[start:stop])
        return out

    def _effects(self, weights: Tensor, source: Source, *, per_read: bool) -> Tensor:
        """Return the weights after the effects that stay, or after those from the first on that is new at each reading."""
        seen = False
        for among, effect in numbered(self.device.effects):
            seen = seen or effect.per_read
            if seen == per_read:
                own = dataclasses.replace(source, among=among)
                weights = effect.on_weights(weights, self.clean, self.unit, self.device, own)
        return weights


def _drawn(source: Source | torch.Generator, mirrored: bool) -> tuple[torch.Generator, int]:
    """Return where errors are drawn, and −1 where normals are mirrored."""
    if isinstance(source, Source):
        return source.generator(), source.sign
    return source, -1 if mirrored else 1


def _named(source: Source | torch.Generator) -> Source:
    if isinstance(source, Source):
        return source
    raise SteadyNetError(
        "effects after programming draw numbers of their own, so a bare generator will not do: give a Source"
    )


def clean_tensor(values: Tensor, maximum: Tensor, device: Device) -> Tensor:
    """Return what devices without error hold: the quantised weights, or a copy where there is no quantising."""
    if not device.quantize:
        return values.clone()
    return from_codes(to_codes(values, maximum, device.weight_bits), maximum, device.weight_bits)


def _wide(weight: Tensor) -> Tensor:
    import torch

    return weight.detach().contiguous().to(torch.promote_types(weight.dtype, torch.float32))


def _law_tables(device: Device, values: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return std and mean of the error in code steps by code magnitude [2^M]; of shape () and None where all are alike."""
    std = code_std(device).to(values.dtype).to(values.device)
    if not isinstance(device.law, Shifted):
        return (std[0] if device.law.uniform else std), None
    return std, code_shift(device).to(values.dtype).to(values.device)


def _aim(
    values: Tensor, maximum: Tensor, tables: tuple[Tensor, Tensor | None], device: Device
) -> tuple[Tensor, Tensor]:
    """Return mean and std of what is programmed, in weights."""
    std, shift = tables
    unit = lsb(maximum, device.weight_bits)
    if not device.quantize and not std.dim():
        return values, std * unit
    codes = to_codes(values, maximum, device.weight_bits)
    miss: Tensor | None = None
    if std.dim():
        # A NaN weight has no code: its index is made a valid one, and its programmed weight is NaN.
        magnitudes = codes.abs().int().clamp_(0, device.max_code).flatten()
        std = std.index_select(0, magnitudes).view_as(codes)
        if shift is not None:
            # The error of weight 0 counts as that of a positive one, as it does device by device.
            miss = shift.index_select(0, magnitudes).view_as(codes)
            miss = miss.where(codes >= 0, -miss) * unit
    mean = codes.mul_(unit) if device.quantize else values
    return mean if miss is None else mean + miss, std * unit


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
