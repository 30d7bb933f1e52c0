"""Conductances that fall with time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError, check_number
from steadynet.nvm.composed import DeviceEffect
from steadynet.nvm.normals import standard_normal

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device
    from steadynet.randomness import Source

# ln x of a conductance of 0 is that of this one; the clips of the law below leave nothing of the choice.
_LEAST = 1e-7


@dataclass(frozen=True)
class Drift(DeviceEffect):
    """Each device's conductance falls by a power of time, with an exponent of its own.

        x(t) = x ((t + t_0)/t_0)^{−ν},   ν = |μ + σ Z|,  Z ~ N(0, 1)

    t counts from the end of programming, which is first read t_0 later. Without an `exponent`, μ and σ are those measured on
    phase-change memory, of the target x:

        μ = clip(−0.0155 ln x + 0.0244, 0.049, 0.1),   σ = clip(−0.0125 ln x − 0.0059, 0.008, 0.045).

    With `compensate` a chip scales each tensor's outputs so that its mean |weight| is what it was right after programming, as a
    periodic reading of reference inputs allows (global drift compensation).

    Args:
        seconds: t ≥ 0.
        exponent: μ of all devices; PCM's law if None.
        exponent_std: σ of all devices, where `exponent` is given.
        t_0: Seconds from programming to the first reading.
        compensate: Whether weights are scaled back.

    Raises:
        SteadyNetError: If a number is out of its range, or `exponent_std` is given without `exponent`.

    Source:
        Nandakumar et al., "Phase-change memory models for deep learning training and inference", ICECS 2019, as in
        aihwkit's PCMLikeNoiseModel; Joshi et al., Nature Communications 11, 2473 (2020) for the compensation.
    """

    seconds: float
    exponent: float | None = None
    exponent_std: float = 0.0
    t_0: float = 20.0
    compensate: bool = True

    def __post_init__(self) -> None:
        check_number("Drift's seconds", self.seconds, at_least=0)
        check_number("Drift's exponent_std", self.exponent_std, at_least=0)
        check_number("Drift's t_0", self.t_0, above=0)
        if self.exponent is not None:
            check_number("Drift's exponent", self.exponent, at_least=0)
        elif self.exponent_std:
            raise SteadyNetError(
                "Drift's exponent_std is that of a given exponent: give exponent too, or leave both out"
            )
        if not isinstance(self.compensate, bool):
            raise SteadyNetError(f"Drift's compensate must be True or False, got {self.compensate!r}")

    @property
    def compensated(self) -> bool:
        """Whether weights are scaled back."""
        return self.compensate

    def moments(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and σ of devices that were aimed at conductances `targets`."""
        import torch

        if self.exponent is not None:
            return torch.full_like(targets, self.exponent), torch.full_like(targets, self.exponent_std)
        log = targets.clamp(min=_LEAST).log()
        mean = (-0.0155 * log + 0.0244).clamp(0.049, 0.1)
        return mean, (-0.0125 * log - 0.0059).clamp(0.008, 0.045)

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return x ((t + t_0)/t_0)^{−ν}."""
        if self.seconds == 0:
            return x
        mean, std = self.moments(targets)
        normals = standard_normal(tuple(x.shape), source.generator("drift"), x)
        exponents = (mean + std * normals * source.sign).abs()
        return x * (exponents * -math.log((self.seconds + self.t_0) / self.t_0)).exp()
