"""What error the weights see in training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from steadynet.errors import SteadyNetError, check_bool, check_integer, check_number
from steadynet.nvm.composed import Composed
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Variation
from steadynet.nvm.weight_law import Censored, LogNormal

MOST_CHIPS = 1000


@dataclass(frozen=True)
class Chips:
    """How many chips share the batch of one step, each of them seeing an equal part.

    More chips make the gradient depend less on one chip's errors, at no more images. Mirrored ones come in pairs whose errors
    are opposite, so that what the loss's gradient has of first order in the error cancels within a step. Each chip is a
    forward of its own: BatchNorm normalises each part by itself.

    Args:
        count: Chips of a step, 1 to 1000 and at most the batch's images.
        mirrored: Whether every second chip has the errors of the one before it with the other sign; `count` is then even.

    Raises:
        SteadyNetError: If a value is out of its range.
    """

    count: int = 1
    mirrored: bool = False

    def __post_init__(self) -> None:
        check_integer("chips", self.count, at_least=1, at_most=MOST_CHIPS)
        check_bool("mirrored", self.mirrored)
        if self.mirrored and self.count % 2:
            raise SteadyNetError(
                f"mirrored chips come in pairs, got {self.count} chips: take {self.count + 1}"
            )

    def errors(self, step: int, chip: int) -> tuple[int, bool]:
        """Return the draw of a step's chip, and whether it is mirrored; no two steps share a draw."""
        pairs = 2 if self.mirrored else 1
        return step * (self.count // pairs) + chip // pairs, bool(chip % pairs)


@dataclass(frozen=True)
class NoVariation:
    """Training sees the clean floating-point weights, neither quantised nor noisy ("W/O noise")."""

    @property
    def chips(self) -> Chips:
        """One forward."""
        return Chips()

    def device(self, deployed: Device) -> None:
        """Return None: no device is simulated."""
        return


@dataclass(frozen=True)
class DeviceVariation:
    """Training sees the deployed device's own law, at its own σ_d or at another ("W/ noise").

    Args:
        sigma_d: σ_d in training; the deployed device's if None.
        chips: How many chips share a batch.

    Raises:
        SteadyNetError: If `sigma_d` is negative or not finite.
    """

    sigma_d: float | None = None
    chips: Chips = field(default_factory=Chips)

    def __post_init__(self) -> None:
        if self.sigma_d is not None:
            check_number("the variation's sigma_d", self.sigma_d, at_least=0)

    def device(self, deployed: Device) -> Device:
        """Return the deployed device, at the training σ_d."""
        return deployed if self.sigma_d is None else deployed.at(self.sigma_d)


@dataclass(frozen=True)
class OtherVariation:
    """Training sees another law than the deployed device's, with the same bits and mapping.

    What befalls the deployed devices after programming is left out; a law with effects of its own brings these.

    Args:
        variation: The law, with its own σ_d.
        chips: How many chips share a batch.

    Raises:
        SteadyNetError: If `variation` is no `Variation`.
    """

    variation: Variation
    chips: Chips = field(default_factory=Chips)

    def __post_init__(self) -> None:
        if not isinstance(self.variation, Variation):
            raise SteadyNetError(
                f"variation must be a Variation such as Gaussian(0.1), got {self.variation!r}"
            )

    def device(self, deployed: Device) -> Device:
        """Return the deployed device with the other law."""
        return dataclasses.replace(deployed, variation=self.variation)


@dataclass(frozen=True)
class CensoredVariation:
    """Training sees Gaussian errors whose upper tail is cut (TRICE), whatever the deployed device's law.

    Of what befalls the devices after programming it sees what can befall whole weights: `Common`, and constant `Read`.

    Args:
        cutoff: c; see `steadynet.nvm.weight_law.Censored`. Their authors search it, {0.5, 0.7, 1, 1.5, 2} here.
        sigma_d: σ_d in training; the deployed device's if None.
        mean_corrected: Whether the mean error is subtracted.
        chips: How many chips share a batch.

    Raises:
        SteadyNetError: If a value is out of its range.
    """

    cutoff: float = 1.0
    sigma_d: float | None = None
    mean_corrected: bool = False
    chips: Chips = field(default_factory=Chips)

    def __post_init__(self) -> None:
        Censored(0.0 if self.sigma_d is None else self.sigma_d, self.cutoff, self.mean_corrected)

    def device(self, deployed: Device) -> Device:
        """Return the deployed device with the censored law; each weight draws one number."""
        sigma_d = deployed.sigma_d if self.sigma_d is None else self.sigma_d
        law = Censored(sigma_d, self.cutoff, self.mean_corrected)
        return dataclasses.replace(deployed, variation=_with_effects(law, deployed), path="weight")


@dataclass(frozen=True)
class LogNormalVariation:
    """Training sees each weight w as w e^θ, θ ~ N(0, σ²), whatever the deployed device's law.

    Of what befalls the devices after programming it sees what can befall whole weights: `Common`, and constant `Read`.

    Args:
        sigma_d: σ, the std of θ; the deployed device's σ_d if None.
        chips: How many chips share a batch.

    Raises:
        SteadyNetError: If `sigma_d` is negative or not finite.
    """

    sigma_d: float | None = None
    chips: Chips = field(default_factory=Chips)

    def __post_init__(self) -> None:
        LogNormal(0.0 if self.sigma_d is None else self.sigma_d)

    def device(self, deployed: Device) -> Device:
        """Return the deployed device with the log-normal law; each weight draws one number."""
        law = LogNormal(deployed.sigma_d if self.sigma_d is None else self.sigma_d)
        return dataclasses.replace(deployed, variation=_with_effects(law, deployed), path="weight")


def _with_effects(law: Variation, deployed: Device) -> Variation:
    """Return a law of whole weights with those effects of the deployed device that can befall whole weights."""
    effects = tuple(effect for effect in deployed.effects if effect.per_weight)
    return Composed(law, effects) if effects else law
