"""Confidence intervals of means, ratios, proportions and percentiles over independent draws."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from steadynet.errors import SteadyNetError

Values = NDArray[np.float64]


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between its ends."""
        return (self.high - self.low) / 2


def mean_interval(values: Values, level: float = 0.95) -> Interval | None:
    """Return Student's t interval of the mean of independent values, R − 1 degrees of freedom.

    mean ± t_{(1 + level)/2, R − 1} · s / sqrt(R). None for fewer than two values.
    """
    count = len(values)
    if count < 2:
        return None
    mean = float(np.mean(values))
    t = float(stats.t.ppf((1 + level) / 2, count - 1))
    half = t * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean - half, mean + half)


def ratio_interval(numerators: Values, denominators: Values, level: float = 0.95) -> Interval | None:
    """Return the interval of Σ numerators / Σ denominators over independent draws, by the delta method.

    With ratio r and residuals e = numerator − r · denominator, the standard error is
    std(e) / (sqrt(R) · mean(denominator)); Student's t with R − 1 degrees of freedom. None for fewer than two
    draws or denominators that sum to 0.

    Source:
        Cochran, "Sampling Techniques", 1977, section 6.
    """
    count, total = len(numerators), float(np.sum(denominators))
    if count < 2 or total <= 0:
        return None
    ratio = float(np.sum(numerators)) / total
    residuals = numerators - ratio * denominators
    error = float(np.std(residuals, ddof=1)) / (math.sqrt(count) * total / count)
    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    return Interval(ratio - half, ratio + half)


def proportion_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Return the Clopper-Pearson interval of a probability, exact: its coverage is never below `level`.

    Raises:
        SteadyNetError: If there are no trials, or successes are not among them.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise SteadyNetError(f"{successes} successes of {trials} trials is no proportion")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(stats.beta.ppf(1 - tail, successes + 1, trials - successes))
    return Interval(low, high)


def percentile_ranks(draws: int, k: float, level: float = 0.95) -> tuple[int, int] | None:
    """Return ranks (l, u), from 1, such that [x_(l), x_(u)] covers the k-th percentile, or None.

    The number of draws below the percentile is Binomial(R, k/100), whatever the distribution, so
    P(x_(l) ≤ q ≤ x_(u)) ≥ P(l ≤ B ≤ u − 1). Each tail gets at most (1 − level)/2. None if R draws cannot
    bound it on both sides.
    """
    p, tail = k / 100, (1 - level) / 2
    # The largest l with P(B < l) ≤ tail, and the smallest u with P(B ≥ u) ≤ tail.
    low = int(stats.binom.ppf(tail, draws, p))
    while stats.binom.cdf(low, draws, p) <= tail:
        low += 1
    while low >= 1 and stats.binom.cdf(low - 1, draws, p) > tail:
        low -= 1
    high = int(stats.binom.ppf(1 - tail, draws, p)) + 1
    while high <= draws and stats.binom.sf(high - 1, draws, p) > tail:
        high += 1
    return (low, high) if low >= 1 and high <= draws else None


def draws_needed(k: float, level: float = 0.95) -> int:
    """Return the fewest draws for which `percentile_ranks` gives an interval of the k-th percentile.

    Both (1 − p)^n and p^n must not exceed (1 − level)/2.
    """
    p, tail = k / 100, (1 - level) / 2
    # log(1 − p) by log1p: of a tiny p, 1 − p is 1.
    rarest = max(math.log(p), math.log1p(-p))
    count = max(1, math.floor(math.log(tail) / rarest))
    while count * rarest > math.log(tail):
        count += 1
    return count
