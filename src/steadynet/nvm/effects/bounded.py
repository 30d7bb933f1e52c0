"""Conductances that a device can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import check_number
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
        """Return x clipped."""
        return x.clamp(device.least if self.low is None else self.low, self.high)
