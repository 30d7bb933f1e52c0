"""Conductances that a device can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError, check_number
from steadynet.nvm.composed import DeviceEffect

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device
    from steadynet.randomness import Source


@dataclass(frozen=True)
class Bounded(DeviceEffect):
    """Conductances end where the devices' range does: x is clipped to low … high.

    Args:
        low: Lower end, relative to the largest conductance that is aimed at; the least one that is aimed at if None.
        high: Upper end.

    Raises:
        SteadyNetError: If the ends are not 0 ≤ low < high.
    """

    low: float | None = None
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low is not None:
            check_number("Bounded's low", self.low, at_least=0)
        check_number("Bounded's high", self.high, above=self.low or 0)

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return x clipped.

        Raises:
            SteadyNetError: If the least conductance that is aimed at is no less than `high`.
        """
        low = device.least if self.low is None else self.low
        if low >= self.high:
            raise SteadyNetError(
                f"Bounded's high {self.high:g} must be more than the least conductance of the device, {low:g} of the largest"
            )
        return x.clamp(low, self.high)
