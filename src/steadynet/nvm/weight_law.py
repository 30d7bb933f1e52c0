"""Laws of the error of a whole weight, which is no sum over its devices: what trainings of others simulate.

A `Variation` states each device's std, and all errors are Gaussian. A weight law states the error of a weight itself, from one
standard normal Z; it has no per-device path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from steadynet.errors import check_bool, check_number
from steadynet.nvm.composed import Composable

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device


@runtime_checkable
class WeightLaw(Protocol):
    """The error that programming leaves on a weight."""

    def weight_error(self, normals: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return the errors in code steps.

        Args:
            normals: Standard normals Z, one for each weight.
            codes: The weights' signed codes −(2^M − 1) … 2^M − 1, of the same shape.
            device: Bits and mapping.
        """
        ...


@dataclass(frozen=True)
class Censored(Composable):
    """A Gaussian error whose upper tail is cut: the right-censored noise of TRICE.

        ΔW = min(Z, c) s,   s = std(ΔW) of `Gaussian(sigma_d)` on the same device,

    added to the signed weight. With `mean_corrected` the mean, s (c (1 − Φ(c)) − φ(c)), is subtracted. In TRICE's code
    s = 1.0 σ max|W|; here it is 0.77763 σ_d max|W| for M = 8, K = 2, so σ_d = σ / 0.77763 gives the same noise.

    Args:
        sigma_d: Std of a device's error before censoring, relative to the largest conductance of one device.
        cutoff: c, any finite number.
        mean_corrected: Whether the mean is subtracted.

    Raises:
        SteadyNetError: If `sigma_d` is negative, or a number not finite.

    Source:
        Yan et al., "Improving Realistic Worst-Case Performance of NVCiM DNN Accelerators through Training with
        Right-Censored Gaussian Noise", ICCAD 2023.
    """

    sigma_d: float = 0.0
    cutoff: float = 1.0
    mean_corrected: bool = False

    def __post_init__(self) -> None:
        check_number("sigma_d", self.sigma_d, at_least=0)
        check_number("censor (cutoff)", self.cutoff)
        check_bool("mean_corrected", self.mean_corrected)

    @property
    def uniform(self) -> bool:
        """True: every weight errs alike."""
        return True

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return σ_d (2^K − 1)/(1 − 1/R), of shape (): the std of a device before censoring."""
        import torch

        return levels.new_tensor(self.sigma_d * device.levels_per_conductance, dtype=torch.float64)

    @property
    def mean(self) -> float:
        """E[min(Z, c)] = c (1 − Φ(c)) − φ(c)."""
        c = self.cutoff
        above = 0.5 * math.erfc(c / math.sqrt(2))
        return c * above - math.exp(-c * c / 2) / math.sqrt(2 * math.pi)

    @property
    def variance(self) -> float:
        """Var[min(Z, c)] = Φ(c) − c φ(c) + c² (1 − Φ(c)) − mean²."""
        c = self.cutoff
        above = 0.5 * math.erfc(c / math.sqrt(2))
        density = math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
        return (1 - above) - c * density + c * c * above - self.mean**2

    def weight_error(self, normals: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return min(Z, c) s, less its mean where that is corrected."""
        errors = normals.clamp(max=self.cutoff)
        if self.mean_corrected:
            errors = errors - self.mean
        return errors * (self.sigma_d * device.relative_std * device.max_code)


@dataclass(frozen=True)
class LogNormal(Composable):
    """A multiplicative error of the weight: w e^θ with θ ~ N(0, σ_d²), the noise of CorrectNet.

    Here σ_d is θ's own std, not relative to a conductance: the error of the largest weight has the std
    max|W| sqrt((e^{σ_d²} − 1) e^{σ_d²}), about σ_d max|W|, and a weight of 0 has none.

    Raises:
        SteadyNetError: If `sigma_d` is negative or not finite.

    Source:
        Eldebiky et al., "CorrectNet", DATE 2023.
    """

    sigma_d: float = 0.0

    def __post_init__(self) -> None:
        check_number("sigma_d", self.sigma_d, at_least=0)

    @property
    def uniform(self) -> bool:
        """False: a weight errs in proportion to itself."""
        return False

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return the std of a level that errs as ḡ e^θ: ḡ sqrt((e^{σ²} − 1) e^{σ²})."""
        square = self.sigma_d**2
        return levels.double() * math.sqrt(math.expm1(square) * math.exp(square))

    def weight_error(self, normals: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return n (e^{σ_d Z} − 1) of the code n."""
        return codes * (normals * self.sigma_d).expm1()
