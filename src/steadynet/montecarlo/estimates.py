"""A figure over draws with its interval: an estimate of a mean, a percentile, a yield."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steadynet.montecarlo.intervals import Interval, Values


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure over draws.

    Attributes:
        mean: Its estimate.
        std: Standard deviation over draws (R − 1); NaN for a single draw.
        interval: 95 % interval of the mean over draws; None where draws give none. Where all draws give the same value,
            it is that value alone: nothing in them speaks of a spread.
        values: One value per draw.
    """

    mean: float
    std: float
    interval: Interval | None
    values: Values

    @property
    def half_width(self) -> float:
        """From the mean to the farther end of the interval (one end may be cut at the figure's bound); NaN without one."""
        if self.interval is None:
            return math.nan
        return max(self.mean - self.interval.low, self.interval.high - self.mean)

    def __str__(self) -> str:
        half = "" if self.interval is None else f" ± {self.half_width:.4g}"
        return f"{self.mean:.4g}{half}"


@dataclass(frozen=True)
class Percentile:
    """A percentile over draws (KPP for accuracy).

    Attributes:
        k: Which one, in percent.
        value: The smallest value that at least k % of the draws do not exceed.
        interval: Distribution-free 95 % interval from order statistics; None if there are too few draws.
        needs_draws: Draws that such an interval needs.
    """

    k: float
    value: float
    interval: Interval | None
    needs_draws: int

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.value:.4g} (an interval needs at least {self.needs_draws} draws)"
        return f"{self.value:.4g} ({self.interval.low:.4g} … {self.interval.high:.4g})"


@dataclass(frozen=True)
class Yield:
    """The probability that a chip keeps an accuracy, with its Clopper-Pearson interval."""

    accuracy: float
    value: float
    interval: Interval
