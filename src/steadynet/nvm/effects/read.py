"""Noise of reading, new each time that the chip computes."""

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


@dataclass(frozen=True)
class Read(DeviceEffect):
    """Gaussian noise of each device at each reading, of std `sigma` g_max, or `sigma` g where it is `relative`.

    In training each forward is a reading; in evaluation each batch of images is, so that the batch size decides how often.

    Args:
        sigma: Std relative to the largest conductance of one device, or to the device's own.
        relative: Whether it is relative to the device's own conductance.

    Raises:
        SteadyNetError: If a value is out of its range.
    """

    sigma: float
    relative: bool = False

    def __post_init__(self) -> None:
        check_number("Read's sigma", self.sigma, at_least=0)
        if not isinstance(self.relative, bool):
            raise SteadyNetError(f"Read's relative must be True or False, got {self.relative!r}")

    @property
    def per_weight(self) -> bool:
        """Whether it is the same for each device: then the sum over a weight's devices is one Gaussian."""
        return not self.relative

    @property
    def per_read(self) -> bool:
        """True."""
        return True

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return x with the noise of a reading."""
        std = x.abs() * self.sigma if self.relative else self.sigma
        return x + _normals(tuple(x.shape), x, source) * std

    def on_weights(
        self, weights: Tensor, clean: Tensor, unit: Tensor, device: Device, source: Source
    ) -> Tensor:
        """Return the weights with the sum of their devices' noise, of std σ · relative_std · max|W|."""
        std = self.sigma * device.relative_std * device.max_code
        return weights + _normals(tuple(weights.shape), weights, source) * (std * unit)


@dataclass(frozen=True)
class PCMRead(DeviceEffect):
    """1/f noise of phase-change memory, which has grown since programming and is new at each reading.

        Δx = x q sqrt(ln((t + t_0 + t_r)/(2 t_r))) Z,   q = min(0.0088/x^0.65, 0.2),  Z ~ N(0, 1)

    Args:
        seconds: t ≥ 0, from the end of programming.
        t_0: Seconds from programming to the first reading.
        t_r: Seconds that a reading takes.

    Raises:
        SteadyNetError: If a number is out of its range.

    Source:
        Nandakumar et al., "Phase-change memory models for deep learning training and inference", ICECS 2019, as in
        aihwkit's PCMLikeNoiseModel. There q is that of the conductance before it drifted; here, as a reading finds it.
    """

    seconds: float = 0.0
    t_0: float = 20.0
    t_r: float = 250e-9

    def __post_init__(self) -> None:
        check_number("PCMRead's seconds", self.seconds, at_least=0)
        check_number("PCMRead's t_0", self.t_0, above=0)
        check_number("PCMRead's t_r", self.t_r, above=0, at_most=self.t_0)

    @property
    def draws_as(self) -> str:
        """As `Read` does."""
        return "Read"

    @property
    def per_read(self) -> bool:
        """True."""
        return True

    def std(self, x: Tensor) -> Tensor:
        """Return the noise's std at conductances x."""
        size = x.abs()
        quality = (0.0088 / size.pow(0.65).clamp(min=1e-3)).clamp(max=0.2)
        return size * quality * math.sqrt(math.log((self.seconds + self.t_0 + self.t_r) / (2 * self.t_r)))

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return x with the noise of a reading."""
        return x + _normals(tuple(x.shape), x, source) * self.std(x)


def _normals(shape: tuple[int, ...], like: Tensor, source: Source) -> Tensor:
    return standard_normal(shape, source.generator(f"read {source.read}"), like) * source.sign
