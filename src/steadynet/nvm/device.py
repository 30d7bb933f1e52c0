"""A device: how a weight is laid on NVM cells, and how those err."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, cast

from steadynet.errors import SteadyNetError, check_bool, check_choice, check_integer, check_number
from steadynet.nvm.composed import Composed, Effect
from steadynet.nvm.conductance_law import ConductanceLaw
from steadynet.nvm.device_law import DeviceLaw
from steadynet.nvm.quantize import SCALES, Scale
from steadynet.nvm.slicing import check_bits
from steadynet.nvm.variation import Gaussian, Variation
from steadynet.nvm.weight_law import WeightLaw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Path = Literal["weight", "device"]
PATHS: tuple[Path, ...] = ("weight", "device")
Crossbars = Literal["one", "both", "differential"]
CROSSBARS: tuple[Crossbars, ...] = ("one", "both", "differential")


@dataclass(frozen=True)
class Device:
    """The NVM devices that hold the weights, and the error of programming them.

    Example:
        >>> from steadynet import Device, Gaussian
        >>> device = Device(weight_bits=8, device_bits=2, variation=Gaussian(sigma_d=0.2))
        >>> device.slices, round(device.relative_std, 5)
        (4, 0.77763)

    Args:
        weight_bits: M, bits of a weight's magnitude, 1 … 16.
        device_bits: K, bits of one device; K divides M, so J = M/K devices hold a weight.
        variation: The law of the error, with its `sigma_d`.
        quantize: Whether weights are quantised to M bits. If not, the programmed weight is the clean one
            plus the error that the devices of its nearest code would have (the authors' code does so).
        scale: max|W| "tensor" by tensor, output "channel" by channel, or "tile" by tile.
        tile: Rows and columns of a crossbar, in devices; a weight's J slices are J columns side by side.
        crossbars: How a sign lies in two crossbars. "one": only the crossbar of the weight's sign is read. "both": the other is
            too, its devices at level 0, which makes the std of a `Gaussian` √2 larger. "differential": both hold
            half of the largest code, one of them more and the other less by half of the weight's.
        on_off_ratio: R, the largest conductance over that of level 0; None for a level 0 that conducts nothing. Errors are
            relative to the largest conductance, and levels lie within (1 − 1/R) of it, so a small R makes errors larger.
        path: "weight" draws one number a weight where the law allows, "device" always one a device (the reference): the same
            law. Laws and effects that each device has for itself are drawn by device either way.
        fold_bn: Whether weights are held with the BatchNorm behind their layer folded in, s W with s = γ/sqrt(v + ε), so that
            errors go by max|s W|. The network computes with its norm all the same; `steadynet.fold_batchnorm` folds it for good.
        include: Patterns of parameter names (as in `fnmatch`) that lie on these devices whatever the rule of
            `steadynet.layout` says.
        exclude: Patterns of names that stay digital, whatever the rule and `include` say.

    Raises:
        SteadyNetError: If K does not divide M, or a field has a value that it cannot have.

    Source:
        "Negative Feedback Training", section 4.1 and Eq. 4 and 5.
    """

    weight_bits: int = 8
    device_bits: int = 2
    variation: Variation = field(default_factory=Gaussian)
    quantize: bool = True
    scale: Scale = "tensor"
    crossbars: Crossbars = "one"
    on_off_ratio: float | None = None
    tile: tuple[int, int] = (256, 256)
    path: Path = "weight"
    fold_bn: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bits(self.weight_bits, self.device_bits)
        check_choice("scale", self.scale, SCALES)
        check_choice("path", self.path, PATHS)
        check_choice("crossbars", self.crossbars, CROSSBARS)
        if self.on_off_ratio is not None:
            check_number("on_off_ratio", self.on_off_ratio, above=1)
            object.__setattr__(self, "on_off_ratio", float(self.on_off_ratio))
        tile = self.tile
        if not isinstance(tile, tuple | list) or len(tile) != 2:
            raise SteadyNetError(f"tile must be rows and columns of a crossbar, got {tile!r}")
        for what, value in zip(("tile's rows", "tile's columns"), tile, strict=True):
            check_integer(what, value, at_least=1)
        object.__setattr__(self, "tile", tuple(tile))
        if self.tile[1] < self.slices:
            raise SteadyNetError(
                f"a tile of {tile[1]} columns is smaller than one weight, whose {self.slices} slices lie side by side: "
                f"take {self.slices} columns or more"
            )
        check_bool("quantize", self.quantize)
        check_bool("fold_bn", self.fold_bn)
        for what in ("include", "exclude"):
            given: object = getattr(self, what)
            patterns = tuple(cast("Sequence[object]", given)) if isinstance(given, tuple | list) else (None,)
            if not all(isinstance(pattern, str) for pattern in patterns):
                raise SteadyNetError(f"{what} must be a list of name patterns, got {given!r}")
            object.__setattr__(self, what, patterns)
        # A class has the attributes of its instances, its default sigma_d among them.
        if isinstance(self.variation, type) or not isinstance(self.variation, Variation):
            raise SteadyNetError(
                f"variation must be a Variation such as Gaussian(sigma_d=0.1), got {self.variation!r}"
            )

        if isinstance(self.law, WeightLaw):
            name = type(self.law).__name__
            if self.path == "device":
                raise SteadyNetError(f"{name} is a law of whole weights, not of devices: take path 'weight'")
            for effect in self.effects:
                if not effect.per_weight:
                    raise SteadyNetError(
                        f"{type(effect).__name__} befalls devices, and {name} is a law of whole weights: take a law of devices"
                    )
        if isinstance(self.law, ConductanceLaw):
            self.law.check_device(self)

    @property
    def slices(self) -> int:
        """J = M/K, the devices of a weight."""
        return self.weight_bits // self.device_bits

    @property
    def max_code(self) -> int:
        """2^M − 1, the largest magnitude."""
        return 2**self.weight_bits - 1

    @property
    def max_level(self) -> int:
        """2^K − 1, the largest level of one device."""
        return 2**self.device_bits - 1

    @property
    def law(self) -> Variation:
        """How programming errs, without the effects after it."""
        return self.variation.law if isinstance(self.variation, Composed) else self.variation

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What befalls the devices after programming."""
        return self.variation.effects if isinstance(self.variation, Composed) else ()

    @property
    def exact(self) -> bool:
        """Whether devices hold exactly what they are aimed at: neither an error of programming nor effects."""
        return self.sigma_d == 0 and not self.effects

    @property
    def ideal(self) -> Self:
        """The same device without any error."""
        return dataclasses.replace(self, variation=Gaussian(), path="weight")

    @property
    def by_device(self) -> bool:
        """Whether each device is drawn for itself, since that is asked for or the law allows nothing else."""
        if self.path == "device" or isinstance(self.law, DeviceLaw):
            return True
        return not all(effect.per_weight for effect in self.effects)

    @property
    def read_noise(self) -> bool:
        """Whether a chip differs from reading to reading."""
        return any(effect.per_read for effect in self.effects)

    @property
    def least(self) -> float:
        """1/R, the conductance of level 0 relative to the largest."""
        return 0.0 if self.on_off_ratio is None else 1 / self.on_off_ratio

    @property
    def levels_per_conductance(self) -> float:
        """(2^K − 1)/(1 − 1/R): how many levels the largest conductance is wide."""
        return self.max_level / (1 - self.least)

    def sides(self, magnitudes: Tensor) -> tuple[Tensor, ...]:
        """Return the magnitudes that the crossbars hold of weights of some magnitudes, that of the weight's sign first.

        Their difference is the magnitude. "differential": with N = 2^M − 1 and magnitude n, ⌊(N + n + 1)/2⌋ and n less.
        """
        if self.crossbars == "one":
            return (magnitudes,)
        if self.crossbars == "both":
            return (magnitudes, magnitudes.new_zeros(magnitudes.shape))
        own = ((magnitudes + (self.max_code + 1)) / 2).floor().to(magnitudes.dtype)
        return (own, own - magnitudes)

    @property
    def tile_weights(self) -> tuple[int, int]:
        """Rows and columns of a crossbar in weights."""
        return self.tile[0], self.tile[1] // self.slices

    @property
    def sigma_d(self) -> float:
        """The variation's `sigma_d`."""
        return self.variation.sigma_d

    @property
    def relative_std(self) -> float:
        """std(ΔW)/(σ_d max|W|) of a variation that is the same at all levels; 0.77763 for M = 8, K = 2."""
        total = sum(4 ** (j * self.device_bits) for j in range(self.slices))
        sides = 1 if self.crossbars == "one" else 2
        return self.levels_per_conductance / self.max_code * math.sqrt(sides * total)

    def at(self, sigma_d: float) -> Self:
        """Return the same device at another `sigma_d`."""
        return dataclasses.replace(self, variation=self.variation.at(sigma_d))
