"""Devices drawn one by one: the reference, and the only way for laws and effects that each device has for itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError
from steadynet.nvm.composed import numbered
from steadynet.nvm.device_law import DeviceLaw
from steadynet.nvm.normals import standard_normal
from steadynet.nvm.slicing import slice_levels
from steadynet.nvm.variation import Shifted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from torch import Tensor

    from steadynet.nvm.composed import Effect
    from steadynet.nvm.device import Device
    from steadynet.randomness import Source


def device_errors(codes: Tensor, device: Device, generator: torch.Generator, side: int = 1) -> Tensor:
    """Return each weight's error in code steps from one draw per device, without effects.

    Every device errs on its own: Σ_j Δg_j 2^{jK} over the crossbar of the weight's sign (that of weight 0 counts as positive),
    minus the same over the other crossbar where both are read.

    Args:
        codes: Signed codes, as floats.
        device: Bits, mapping and law.
        generator: The source of the errors.
        side: −1 to draw every normal with the other sign.
    """
    import torch

    total = torch.zeros(codes.shape, dtype=torch.float32, device=codes.device)
    for crossbar, magnitude in enumerate(device.sides(codes.abs())):
        levels = slice_levels(magnitude, device.weight_bits, device.device_bits)
        own = torch.zeros_like(total)
        for j, error in enumerate(
            _slice_errors(levels, _ruling(codes, crossbar, device), device, generator, side)
        ):
            own += error * 2.0 ** (j * device.device_bits)
        total = total - own if crossbar else total + own
    return total * _sign(codes)


@dataclass(frozen=True, eq=False)
class Settled:
    """What one programming leaves until the next, before it is read.

    Attributes:
        x: Conductances relative to the largest [S, J, *shape].
        scale: What compensation multiplies weights by, of shape ().
    """

    x: Tensor
    scale: Tensor


class Devices:
    """The devices of one weight tensor, aimed at its codes.

    Args:
        codes: Signed codes, as floats.
        device: Bits, mapping, law and effects.
    """

    def __init__(self, codes: Tensor, device: Device) -> None:
        import torch

        self._codes, self._device = codes, device
        self._levels = torch.stack(
            [
                slice_levels(magnitude, device.weight_bits, device.device_bits)
                for magnitude in device.sides(codes.abs())
            ]
        )
        self._targets = self._conductances(self._levels.to(torch.float32))
        effects = numbered(device.effects)
        first = next((i for i, (_, effect) in enumerate(effects) if effect.per_read), len(effects))
        self._fixed, self._read = effects[:first], effects[first:]

    def settle(self, source: Source) -> Settled:
        """Return the devices as they are programmed, with the effects that stay."""
        import torch

        device, generator = self._device, source.generator()
        sides: list[Tensor] = []
        for crossbar, levels in enumerate(self._levels):
            ruling = _ruling(self._codes, crossbar, device)
            errors = torch.stack([*_slice_errors(levels, ruling, device, generator, source.sign)])
            sides.append(levels + errors)
        settled = Settled(self._conductances(torch.stack(sides)), self._targets.new_ones(()))
        return self._after(self._fixed, settled, source)

    def reading(self, source: Source) -> Settled:
        """Return what a reading of one programming finds, and what compensation multiplies weights by."""
        return self._after(self._read, self.settle(source), source)

    def errors(self, settled: Settled, source: Source) -> Tensor:
        """Return each weight's error in code steps, as the source's reading of the devices has it."""
        read = self._after(self._read, settled, source)
        return self._held(read.x) * read.scale - self._codes

    def _after(self, effects: Sequence[tuple[int, Effect]], settled: Settled, source: Source) -> Settled:
        x, scale = settled.x, settled.scale
        for among, effect in effects:
            own = dataclasses.replace(source, among=among)
            after = effect.on_devices(x, self._targets, self._device, own)
            if after.shape != x.shape:
                raise SteadyNetError(
                    f"{type(effect).__name__} returned conductances of shape {tuple(after.shape)}, not {tuple(x.shape)}"
                )
            if effect.compensated:
                before, now = self._held(x).abs().mean(), self._held(after).abs().mean()
                scale = scale * (before / now).nan_to_num(1.0, posinf=1.0)
            x = after
        return Settled(x, scale)

    def _conductances(self, levels: Tensor) -> Tensor:
        device = self._device
        return levels / device.levels_per_conductance + device.least

    def _held(self, x: Tensor) -> Tensor:
        """Return the signed codes, with fractions, that conductances stand for."""
        device = self._device
        levels = (x - device.least) * device.levels_per_conductance
        total = levels.new_zeros(self._codes.shape)
        for crossbar, own in enumerate(levels):
            for j, slice_ in enumerate(own):
                total = total + slice_ * ((-1.0 if crossbar else 1.0) * 2.0 ** (j * device.device_bits))
        return total * _sign(self._codes)


def _slice_errors(
    levels: Tensor, ruling: Tensor, device: Device, generator: torch.Generator, side: int
) -> Iterator[Tensor]:
    """Yield the errors of the devices of one crossbar in levels, slice by slice."""
    import torch

    law = device.law
    if isinstance(law, DeviceLaw):
        for own in levels:
            normals = standard_normal(tuple(own.shape), generator, own.float()) * side
            yield law.device_error(normals, own, ruling, device)
        return
    std = law.level_std(levels, ruling, device).to(torch.float32).expand(levels.shape)
    shift = law.level_shift(levels, ruling, device).to(torch.float32) if isinstance(law, Shifted) else None
    for j, own in enumerate(levels):
        error = standard_normal(tuple(own.shape), generator, std) * std[j] * side
        yield error if shift is None else error + shift[j]


def _ruling(codes: Tensor, crossbar: int, device: Device) -> Tensor:
    """Return the magnitudes of the weights that rule over a crossbar's devices: none, where they only balance another's."""
    magnitude = codes.abs()
    return magnitude.new_zeros(magnitude.shape) if crossbar and device.crossbars == "both" else magnitude


def _sign(codes: Tensor) -> Tensor:
    import torch

    return torch.where(codes < 0, -1.0, 1.0)
