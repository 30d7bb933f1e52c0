"""What error the weights see in training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from steadynet.errors import SteadyNetError, check_number
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Variation


@dataclass(frozen=True)
class NoVariation:
    """Training sees the clean floating-point weights, neither quantised nor noisy ("W/O noise")."""

    def device(self, deployed: Device) -> None:
        """Return None: no device is simulated."""
        return


@dataclass(frozen=True)
class DeviceVariation:
    """Training sees the deployed device's own law, at its own σ_d or at another ("W/ noise").

    Args:
        sigma_d: σ_d in training; the deployed device's if None.

    Raises:
        SteadyNetError: If `sigma_d` is negative or not finite.
    """

    sigma_d: float | None = None

    def __post_init__(self) -> None:
        if self.sigma_d is not None:
            check_number("the variation's sigma_d", self.sigma_d, at_least=0)

    def device(self, deployed: Device) -> Device:
        """Return the deployed device, at the training σ_d."""
        return deployed if self.sigma_d is None else deployed.at(self.sigma_d)


@dataclass(frozen=True)
class OtherVariation:
    """Training sees another law than the deployed device's, with the same bits and mapping.

    Raises:
        SteadyNetError: If `variation` is no `Variation`.
    """

    variation: Variation

    def __post_init__(self) -> None:
        if not isinstance(self.variation, Variation):
            raise SteadyNetError(
                f"variation must be a Variation such as Gaussian(0.1), got {self.variation!r}"
            )

    def device(self, deployed: Device) -> Device:
        """Return the deployed device with the other law."""
        return dataclasses.replace(deployed, variation=self.variation)
