"""Laws of one device's error that are not Gaussian, so that a weight's devices must each be drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from steadynet.errors import check_number
from steadynet.nvm.composed import Composable

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device


@runtime_checkable
class DeviceLaw(Protocol):
    """The error that programming leaves on a device, made of a standard normal Z."""

    def device_error(self, normals: Tensor, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return the errors in levels.

        Args:
            normals: Standard normals Z, one for each device, of the shape of `levels`.
            levels: Target levels 0 … 2^K − 1 of one slice [*shape].
            codes: The weights' magnitudes [*shape].
            device: Bits and mapping.
        """
        ...


@dataclass(frozen=True)
class LogNormalDevice(Composable):
    """A multiplicative error of each device: g e^θ with θ ~ N(0, σ_d²), so that a device that conducts nothing has none.

    Conductances are those of the mapping: with a finite on/off ratio level 0 conducts too, and errs. The mean is g e^{σ²/2}.

    Args:
        sigma_d: Std of θ, which is not relative to the largest conductance.

    Raises:
        SteadyNetError: If `sigma_d` is negative or not finite.
    """

    sigma_d: float = 0.0

    def __post_init__(self) -> None:
        check_number("sigma_d", self.sigma_d, at_least=0)

    @property
    def uniform(self) -> bool:
        """False: a device errs in proportion to itself."""
        return False

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return g sqrt((e^{σ²} − 1) e^{σ²}) in levels."""
        square = self.sigma_d**2
        return self._conductance(levels.double(), device) * math.sqrt(math.expm1(square) * math.exp(square))

    def device_error(self, normals: Tensor, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return g (e^{σ_d Z} − 1) in levels."""
        return self._conductance(levels.to(normals.dtype), device) * (normals * self.sigma_d).expm1()

    @staticmethod
    def _conductance(levels: Tensor, device: Device) -> Tensor:
        """Return g in levels: those above level 0, and those that level 0 itself conducts."""
        return levels + device.least * device.levels_per_conductance
