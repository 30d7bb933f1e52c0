"""A device: how a weight is laid on NVM cells, and how those err."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal, Self

from steadynet.errors import SteadyNetError, check_choice
from steadynet.nvm.quantize import SCALES, Scale
from steadynet.nvm.slicing import check_bits
from steadynet.nvm.variation import Gaussian, Variation
from steadynet.nvm.weight_law import WeightLaw

Path = Literal["weight", "device"]
PATHS: tuple[Path, ...] = ("weight", "device")


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
        scale: max|W| "tensor" by tensor or output "channel" by channel.
        both_crossbars: Whether the unused device of a sign pair errs too (at level 0), which makes the
            std of a `Gaussian` √2 larger.
        path: "weight" draws one number a weight, "device" one a device (the reference): the same law.
        include: Patterns of parameter names (as in `fnmatch`) that lie on these devices whatever the rule of
            `steadynet.layout` says.
        exclude: Patterns of names that stay digital, whatever the rule and `include` say.

    Raises:
        SteadyNetError: If K does not divide M, or a field has a value that it cannot have.

    Source: "Negative Feedback Training", section 4.1 and Eq. 4 and 5.
    """

    weight_bits: int = 8
    device_bits: int = 2
    variation: Variation = field(default_factory=Gaussian)
    quantize: bool = True
    scale: Scale = "tensor"
    both_crossbars: bool = False
    path: Path = "weight"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bits(self.weight_bits, self.device_bits)
        check_choice("scale", self.scale, SCALES)
        check_choice("path", self.path, PATHS)
        for what in ("quantize", "both_crossbars"):
            if not isinstance(value := getattr(self, what), bool):
                raise SteadyNetError(f"{what} must be True or False, got {value!r}")
        for what in ("include", "exclude"):
            patterns = getattr(self, what)
            if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
                raise SteadyNetError(f"{what} must be a list of name patterns, got {patterns!r}")
            object.__setattr__(self, what, tuple(patterns))
        # A class has the attributes of its instances, its default sigma_d among them.
        if isinstance(self.variation, type) or not isinstance(self.variation, Variation):
            raise SteadyNetError(
                f"variation must be a Variation such as Gaussian(sigma_d=0.1), got {self.variation!r}"
            )

        if self.path == "device" and isinstance(self.variation, WeightLaw):
            raise SteadyNetError(
                f"{type(self.variation).__name__} is a law of whole weights, not of devices: take path 'weight'"
            )

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
    def sigma_d(self) -> float:
        """The variation's `sigma_d`."""
        return self.variation.sigma_d

    @property
    def relative_std(self) -> float:
        """std(ΔW)/(σ_d max|W|) of a variation that is the same at all levels; 0.77763 for M = 8, K = 2."""
        total = sum(4 ** (j * self.device_bits) for j in range(self.slices))
        sides = 2 if self.both_crossbars else 1
        return self.max_level / self.max_code * math.sqrt(sides * total)

    def at(self, sigma_d: float) -> Self:
        """Return the same device at another `sigma_d`."""
        return dataclasses.replace(self, variation=self.variation.at(sigma_d))
