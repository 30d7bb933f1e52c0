"""Laws of programming that were measured: mean and std of a device's conductance, given the one it was aimed at.

Each is known at its own size of error, `own_sigma_d`: the root mean square of std(g)/g_max over its range. At another
`sigma_d` the whole error, std and shift of the mean, is scaled by sigma_d/own_sigma_d, so that one device can be asked what a
better one would do.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError, check_number
from steadynet.nvm.composed import Composable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from steadynet.nvm.device import Device

    Values = NDArray[np.float64]

# Where a law is asked for its size and looked over for errors.
_POINTS = 1001


class ConductanceLaw(Composable, ABC):
    """What measured laws have in common; a subclass is a frozen dataclass that says `std_at`, and `mean_at` if it is shifted.

    Attributes:
        g_max: The conductance that the largest level stands for, in `unit`.
        g_min: The least conductance that the law is known for.
        unit: Of conductances (or of currents at one voltage, which stand for them).
    """

    sigma_d: float
    g_max: float
    g_min: float
    unit: str

    @abstractmethod
    def std_at(self, conductances: Values) -> Values:
        """Return the std, in `unit`, of devices that are aimed at `conductances`, at the law's own size."""

    def mean_at(self, conductances: Values) -> Values:
        """Return the mean, in `unit`, of devices that are aimed at `conductances`, at the law's own size."""
        return conductances

    @property
    @abstractmethod
    def formula(self) -> str:
        """The std as a formula, in words."""

    @cached_property
    def own_sigma_d(self) -> float:
        """sqrt(mean of (std(g)/g_max)²) over g_min … g_max, the law's own size."""
        import numpy as np

        grid = np.linspace(self.g_min, self.g_max, _POINTS)
        return math.sqrt(float(np.mean(np.square(self.std_at(grid) / self.g_max))))

    def _check(self) -> None:
        """Check what all laws have, and take the law's own size where `sigma_d` is None."""
        import numpy as np

        name = type(self).__name__
        check_number(f"{name}'s g_max", self.g_max, above=0)
        check_number(f"{name}'s g_min", self.g_min, at_least=0)
        if self.g_min >= self.g_max:
            raise SteadyNetError(f"{name}'s g_min {self.g_min:g} must be below g_max {self.g_max:g}")
        if not isinstance(self.unit, str) or not self.unit:
            raise SteadyNetError(f"{name}'s unit must be a word such as µS, got {self.unit!r}")
        grid = np.linspace(self.g_min, self.g_max, _POINTS)
        std, mean = self.std_at(grid), self.mean_at(grid)
        if not np.isfinite(std).all() or not np.isfinite(mean).all() or (std < 0).any():
            at = grid[int(np.argmin(np.where(np.isfinite(std), std, -np.inf)))]
            raise SteadyNetError(
                f"{name}'s std is negative or not finite at {at:g} {self.unit}: mend its numbers, or its range"
            )
        if self.own_sigma_d == 0:
            raise SteadyNetError(f"{name} has no error at all: give stds above 0")
        if self.sigma_d is None:  # pyright: ignore[reportUnnecessaryComparison] (the default)
            object.__setattr__(self, "sigma_d", self.own_sigma_d)
        check_number("sigma_d", self.sigma_d, at_least=0)

    @property
    def uniform(self) -> bool:
        """False: devices err by their conductance."""
        return False

    def check_device(self, device: Device) -> None:
        """Raise `SteadyNetError` if a level of `device` stands for a conductance that the law is not known for."""
        least = device.least * self.g_max
        # An on/off ratio that is g_max/g_min may miss g_min by rounding.
        if least < self.g_min * (1 - 1e-9):
            ratio = self.g_max / self.g_min
            raise SteadyNetError(
                f"level 0 stands for {least:g} {self.unit}, which {type(self).__name__} does not know "
                f"({self.g_min:g} … {self.g_max:g} {self.unit}): give an on_off_ratio of {ratio:.6g} at most"
            )

    def level_std(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return the std of each device in levels."""
        return self._by_level(levels, device, self.std_at)

    def level_shift(self, levels: Tensor, codes: Tensor, device: Device) -> Tensor:
        """Return the mean error of each device in levels."""
        return self._by_level(levels, device, lambda g: self.mean_at(g) - g)

    def _by_level(self, levels: Tensor, device: Device, of: Callable[[Values], Values]) -> Tensor:
        import numpy as np
        import torch

        scale = self.sigma_d / self.own_sigma_d / self.g_max * device.levels_per_conductance
        every = np.arange(device.max_level + 1) / device.levels_per_conductance + device.least
        table = torch.from_numpy(of(np.clip(every, 0, 1) * self.g_max) * scale)
        wide = torch.float32 if levels.device.type == "mps" else torch.float64
        return table.to(device=levels.device, dtype=wide)[levels.to(torch.int64)]


@dataclass(frozen=True)
class Measured(ConductanceLaw):
    """A measured table: mean and std of the conductance that devices take when aimed at each of some targets.

    Between targets mean and std are interpolated linearly; beyond them nothing is known, and a device that needs it is refused.

    Args:
        targets: Conductances that were aimed at, rising, two or more, in `unit`.
        means: Mean conductances that were reached.
        stds: Their stds.
        g_max: What the largest level stands for; the largest target if None.
        unit: Of all of them.
        sigma_d: Size of the error; as measured if None.

    Raises:
        SteadyNetError: If the columns differ in length, targets do not rise, a std is negative, or a number is not finite.
    """

    targets: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    g_max: float = None  # pyright: ignore[reportAssignmentType] (a number from __post_init__ on)
    g_min: float = field(init=False)
    unit: str = "µS"
    sigma_d: float = None  # pyright: ignore[reportAssignmentType] (a number from __post_init__ on)

    def __post_init__(self) -> None:
        for what in ("targets", "means", "stds"):
            object.__setattr__(self, what, tuple(float(value) for value in getattr(self, what)))
        if not len(self.targets) == len(self.means) == len(self.stds) or len(self.targets) < 2:
            raise SteadyNetError(
                f"Measured needs as many means and stds as targets, two or more: got {len(self.targets)} targets, "
                f"{len(self.means)} means, {len(self.stds)} stds"
            )
        for what in ("targets", "means", "stds"):
            for index, value in enumerate(getattr(self, what)):
                if not math.isfinite(value) or (what != "means" and value < 0):
                    raise SteadyNetError(
                        f"Measured's {what}[{index}] must be a finite number ≥ 0, got {value!r}"
                    )
        for index, (one, other) in enumerate(zip(self.targets, self.targets[1:], strict=False)):
            if other <= one:
                how = "is there twice" if other == one else f"comes after {one:g}"
                raise SteadyNetError(f"Measured's targets must rise: targets[{index + 1}] = {other:g} {how}")
        object.__setattr__(self, "g_min", self.targets[0])
        if self.g_max is None:  # pyright: ignore[reportUnnecessaryComparison] (the default)
            object.__setattr__(self, "g_max", self.targets[-1])
        if self.g_max > self.targets[-1]:
            raise SteadyNetError(
                f"Measured's g_max {self.g_max:g} {self.unit} lies above the largest target {self.targets[-1]:g}: lower it"
            )
        self._check()

    @property
    def formula(self) -> str:
        """How many targets it goes through."""
        return f"through {len(self.targets)} measured targets"

    def std_at(self, conductances: Values) -> Values:
        """Return the interpolated std."""
        import numpy as np

        return np.interp(conductances, self.targets, self.stds)

    def mean_at(self, conductances: Values) -> Values:
        """Return the interpolated mean."""
        import numpy as np

        return np.interp(conductances, self.targets, self.means)


@dataclass(frozen=True)
class Polynomial(ConductanceLaw):
    """std(g) = Σ_k c_k x^k in `unit`, x = g/g_max; the mean is the target.

    Args:
        coefficients: c_0, c_1, … in `unit`.
        g_max: The conductance of x = 1.
        g_min: The least conductance that the law is known for.
        unit: Of coefficients and conductances.
        sigma_d: Size of the error; the law's own if None.

    Raises:
        SteadyNetError: If there are no coefficients, a std is negative within the range, or a number is out of its range.
    """

    coefficients: tuple[float, ...]
    g_max: float
    g_min: float = 0.0
    unit: str = "µS"
    sigma_d: float = None  # pyright: ignore[reportAssignmentType] (a number from __post_init__ on)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", tuple(self.coefficients))
        if not self.coefficients:
            raise SteadyNetError("Polynomial needs coefficients c_0, c_1, …")
        for index, value in enumerate(self.coefficients):
            check_number(f"Polynomial's coefficients[{index}]", value)
        self._check()

    @property
    def formula(self) -> str:
        """Σ_k c_k x^k in words."""
        powers = "⁰¹²³⁴⁵⁶⁷⁸⁹"
        terms: list[str] = []
        for k, c in enumerate(self.coefficients):
            power = "" if k == 0 else " x" + ("" if k == 1 else "".join(powers[int(d)] for d in str(k)))
            terms.append(f"{'−' if c < 0 else '+'} {abs(c):.4g}{power}")
        return " ".join(terms).removeprefix("+ ") + f" {self.unit}"

    def std_at(self, conductances: Values) -> Values:
        """Return Σ_k c_k x^k."""
        import numpy as np

        found = np.polynomial.polynomial.polyval(conductances / self.g_max, self.coefficients)
        return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True)
class Saturating(ConductanceLaw):
    """std(g) = a (1 − e^{−g/s}) in `unit`; the mean is the target.

    Args:
        amplitude: a, in `unit`.
        scale: s, in `unit`.
        g_max: The conductance of the largest level.
        g_min: The least conductance that the law is known for.
        unit: Of all of them.
        sigma_d: Size of the error; the law's own if None.

    Raises:
        SteadyNetError: If a number is out of its range.
    """

    amplitude: float
    scale: float
    g_max: float
    g_min: float = 0.0
    unit: str = "µS"
    sigma_d: float = None  # pyright: ignore[reportAssignmentType] (a number from __post_init__ on)

    def __post_init__(self) -> None:
        check_number("Saturating's amplitude", self.amplitude, above=0)
        check_number("Saturating's scale", self.scale, above=0)
        self._check()

    @property
    def formula(self) -> str:
        """A (1 − e^{−g/s}) in words."""
        return f"{self.amplitude:.4g} (1 − e^(−g/{self.scale:.4g})) {self.unit}"

    def std_at(self, conductances: Values) -> Values:
        """Return a (1 − e^{−g/s})."""
        import numpy as np

        return -self.amplitude * np.expm1(-conductances / self.scale)
