"""Options of the devices that hold the weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from steadynet.errors import SteadyNetError
from steadynet.nvm.composed import Composed, Effect
from steadynet.nvm.device import Device
from steadynet.nvm.device_file import named_device
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.drift import Drift
from steadynet.nvm.effects.read import Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.variation import Variation

GAUSSIAN = "gaussian"


@dataclass(frozen=True)
class DeviceOptions:
    """Devices that hold the weights.

    Args:
        device: How devices err: gaussian, a named device (`steadynet devices` lists them), a device file (.yaml),
            or measurements (.csv, .parquet).
        weight_bits: M, bits of a weight's magnitude, 1 to 16.
        device_bits: K, bits of one device; K divides M, and M/K devices hold a weight.
        rule: What decides how much a state-dependent device errs: its own level (device), or the whole
            weight, as in the authors' code (weight).
        scale: Largest weight that the codes span: that of each tensor, of each output channel, or of each crossbar tile.
        tile: Rows and columns of a crossbar, in devices; a weight's slices lie side by side.
        quantize: Quantise weights to M bits.
        crossbars: Devices that are read of a sign pair: the one in use (one), both (both, std √2 larger), or both holding half of
            the weight and half of the range (differential).
        on_off_ratio: Largest conductance over the smallest that weights use; the device's own by default, else a smallest of 0.
        path: One error per weight (fast), or one per device (the reference): the same law.
        fold_bn: Weights are held with the BatchNorm behind their layer folded in, in training and evaluation.
        stuck_lrs: Probability that a device is stuck in its low-resistance state, at the largest conductance.
        stuck_hrs: Probability that it is stuck in its high-resistance state, at the smallest.
        fault_map: NPZ file of the devices that are stuck on one chip.
        drift: Seconds of drift since programming, by the law of phase-change memory, compensated tensor by tensor.
        read_sigma: Noise of each reading, relative to the largest conductance of one device.
        chip_gain: Std of the relative error that all conductances of a chip share.
        column_gain: Std of the relative error that those of an output channel share.
        include: Names of parameters that lie on devices too, with * for any text, as in head.*; by rule, weights of
            convolutions, linear, recurrent, attention and embedding layers do.
        exclude: Names of parameters that stay digital, with * for any text, as in fc2.weight.
    """

    device: str = GAUSSIAN
    weight_bits: int = 8
    device_bits: int = 2
    rule: Literal["device", "weight"] | None = None
    scale: Literal["tensor", "channel", "tile"] = "tensor"
    tile: list[int] = field(default_factory=lambda: [256, 256])
    quantize: bool = True
    crossbars: Literal["one", "both", "differential"] = "one"
    on_off_ratio: float | None = None
    path: Literal["weight", "device"] = "weight"
    fold_bn: bool = False
    stuck_lrs: float = 0.0
    stuck_hrs: float = 0.0
    fault_map: str | None = None
    drift: float = 0.0
    read_sigma: float = 0.0
    chip_gain: float = 0.0
    column_gain: float = 0.0
    include: list[str] | None = None
    exclude: list[str] | None = None

    def __post_init__(self) -> None:
        self.build(0.0)

    def build(self, sigma_d: float) -> Device:
        """Return the device at `sigma_d`.

        Raises:
            SteadyNetError: If a value is out of range or a name unknown.
        """
        named = named_device(self.device)
        return Device(
            weight_bits=self.weight_bits,
            device_bits=self.device_bits,
            variation=self._with_effects(named.at(sigma_d, self.rule)),
            quantize=self.quantize,
            scale=self.scale,
            tile=_pair(self.tile),
            crossbars=self.crossbars,
            on_off_ratio=named.on_off_ratio if self.on_off_ratio is None else self.on_off_ratio,
            path=self.path,
            fold_bn=self.fold_bn,
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
        )

    def _with_effects(self, variation: Variation) -> Variation:
        """Return a named device's variation with the effects that are asked for; its own keep their order.

        What befalls cells once a chip stands before the readings that its own list ends with, which see all of it.
        """
        effects = [*variation.effects] if isinstance(variation, Composed) else []
        readings: list[Effect] = []
        while effects and effects[-1].per_read:
            readings.insert(0, effects.pop())
        law = variation.law if isinstance(variation, Composed) else variation
        if self.chip_gain or self.column_gain:
            effects.append(Common(self.chip_gain, self.column_gain))
        if self.drift:
            if any(isinstance(effect, Drift) for effect in (*effects, *readings)):
                raise SteadyNetError(
                    f"--drift {self.drift:g}: device {self.device!r} drifts already: change its file, or leave it out"
                )
            effects.append(Drift(self.drift))
        if self.stuck_lrs or self.stuck_hrs or self.fault_map is not None:
            effects.append(Stuck(self.stuck_lrs, self.stuck_hrs, self.fault_map))
        effects += readings
        if self.read_sigma:
            effects.append(Read(self.read_sigma))
        return Composed(law, tuple(effects)) if effects else variation


def _pair(tile: list[int]) -> tuple[int, int]:
    if len(tile) != 2:
        raise SteadyNetError(f"--tile takes rows and columns, got {' '.join(map(str, tile)) or 'nothing'}")
    return tile[0], tile[1]
