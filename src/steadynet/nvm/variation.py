"""How a programmed conductance errs: the Variation protocol and the Gaussian laws.

One level is the unit of conductance, so the largest conductance of a K-bit device is 2^K − 1. A
variation states the standard deviation of each device's error, given the level it was aimed at and
the code of its weight; errors are Gaussian and independent between devices. Two facts follow:

- *per device* (the reference): every device draws its own error, J numbers a weight;
- *per weight* (the fast path): the error of a weight, Σ_j Δg_j 2^{jK}, is a sum of independent
  Gaussians, so one number of std sqrt(Σ_j std_j² 4^{jK}) has the very same law. That std depends on the
  code alone, so a table of 2^M numbers gives it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

from steadynet.errors import SteadyNetError, check_choice, check_number
from steadynet.nvm.composed import Composable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from steadynet.nvm.device import Device

Rule = Literal["device", "weight"]
RULES: tuple[Rule, ...] = ("device", "weight")


@runtime_checkable
class Variation(Protocol):
    """The error that programming leaves on a device.

    Attributes:
        sigma_d: Std of the error relative to the largest conductance of one device.
    """

    @property
    def sigma_d(self) -> float:
        """The std of the error relative to the largest conductance of one device."""
        ...

    def at(self, sigma_d: float) -> Self:
        """Return the same law at another `sigma_d`."""
        ...

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return each device's std in levels.

        Args:
            levels: Target levels [J, *shape], 0 … 2^K − 1.
            codes: The weights' magnitudes [*shape], 0 … 2^M − 1.
            device: Where they are programmed.

        Returns:
            Stds of the shape of `levels`, or broadcastable to it.
        """
        ...

    @property
    def uniform(self) -> bool:
        """Whether the std is the same for every level and code."""
        ...


@runtime_checkable
class Shifted(Protocol):
    """A variation whose devices miss their targets on average too."""

    def level_shift(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return each device's mean error in levels; arguments and shape as those of `level_std`."""
        ...


@dataclass(frozen=True)
class Gaussian(Composable):
    """Δg ~ N(0, (σ_d (2^K − 1))²) in levels, whatever the level: the paper's device (section 4.1).

    The weight's error is then exactly Gaussian with

        std(ΔW) = max|W| σ_d (2^K − 1)/(2^M − 1) sqrt(Σ_j 4^{jK}),

    0.77763 σ_d max|W| for M = 8, K = 2.

    Example:
        >>> Gaussian(sigma_d=0.1).at(0.3)
        Gaussian(sigma_d=0.3)

    Raises:
        SteadyNetError: If `sigma_d` is negative or not finite.
    """

    sigma_d: float = 0.0

    def __post_init__(self) -> None:
        check_number("sigma_d", self.sigma_d, at_least=0)

    @property
    def uniform(self) -> bool:
        """True: every device errs alike."""
        return True

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return σ_d (2^K − 1)/(1 − 1/R), of shape ()."""
        import torch

        return torch.tensor(
            self.sigma_d * device.levels_per_conductance, device=levels.device, dtype=_wide(levels)
        )


@dataclass(frozen=True)
class StateDependent(Composable):
    """Devices in the middle of their range err more: s times the std of those at its ends.

    A device is in the middle where low < x < high, x = level/(2^K − 1) its relative target. With
    σ' = σ_d / sqrt(f s² + 1 − f) its std is s σ' (2^K − 1) there and σ' (2^K − 1) elsewhere; f is the share of
    devices assumed in the middle, so that the mean square is that of `Gaussian`.

    With `rule="weight"` the authors' form is taken: x = |w|/max|W| = code/(2^M − 1) decides for all
    devices of a weight at once.

    Args:
        sigma_d: Overall std relative to the largest conductance of one device.
        factor: s ≥ 0.
        rule: "device" (per slice level, as the physics has it) or "weight" (the authors' rule).
        low: Lower end of the middle, exclusive.
        high: Upper end of the middle, exclusive.
        middle_share: f, 0.4 in the authors' code.

    Raises:
        SteadyNetError: If a number is out of range or the rule unknown.

    Source:
        the public code of "Negative Feedback Training" (four presets, `steadynet.nvm.presets`).
    """

    sigma_d: float = 0.0
    factor: float = 1.0
    rule: Rule = "device"
    low: float = 0.25
    high: float = 0.75
    middle_share: float = 0.4

    def __post_init__(self) -> None:
        check_number("sigma_d", self.sigma_d, at_least=0)
        check_number("factor", self.factor, at_least=0)
        check_choice("rule", self.rule, RULES)
        check_number("middle_share", self.middle_share, at_least=0, at_most=1)
        if not 0 <= self.low < self.high <= 1:
            raise SteadyNetError(
                f"the middle must satisfy 0 ≤ low < high ≤ 1, got {self.low} and {self.high}"
            )
        if self.middle_share == 1 and self.factor == 0:
            raise SteadyNetError(
                "factor 0 with middle_share 1 leaves no error to normalise: lower one of them"
            )

    @property
    def uniform(self) -> bool:
        """Whether the factor leaves no difference between levels."""
        return self.factor == 1

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return s σ' (2^K − 1)/(1 − 1/R) in the middle of the range and 1/s of it elsewhere."""
        import torch

        share = self.middle_share
        base = self.sigma_d * device.levels_per_conductance / math.sqrt(share * self.factor**2 + 1 - share)
        x = levels / device.max_level if self.rule == "device" else codes.unsqueeze(0) / device.max_code
        middle = (x > self.low) & (x < self.high)
        wide = torch.tensor([base * self.factor, base], device=levels.device, dtype=_wide(levels))
        return torch.where(middle, wide[0], wide[1])


def _wide(levels: Tensor) -> torch.dtype:
    """Return float64, or float32 where the torch device has none wider."""
    import torch

    return torch.float32 if levels.device.type == "mps" else torch.float64
