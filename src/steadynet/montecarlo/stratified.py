"""Intervals of means over blocks of images, each block seen by chips of its own.

The images are cut into B fixed blocks of weights W_b (shares of the images). In each of C cycles every block is
seen by a chip that no other block and no other cycle sees, so the block means y_cb are independent. The last cycle may be
broken off, so that block b is seen by C_b chips, C or C − 1. Then

    mean      Σ_b W_b ȳ_b
    variance  V = Σ_b W_b² s_b² / C_b,    s_b² the variance of y_cb over the cycles
    freedom   V² / Σ_b (W_b² s_b² / C_b)² / (C_b − 1)          (Satterthwaite)

estimate what all images on all chips would give. Plain Student intervals of it fall short where few chips collapse,
so two corrections are made, both of lower order than the interval's own width:

- Hall's transformation takes the estimate's skewness, Σ_b W_b³ k_b / C_b² / V^{3/2}, out of t, with k_b the unbiased
  third cumulant C_b / ((C_b − 1)(C_b − 2)) · Σ_c (y_cb − ȳ_b)³ of the chips within block b;
- one more draw at the largest deviation seen is added to V, in the spirit of Agresti and Coull.

Both are taken about each block's own mean: that one block is harder than another is fixed, and no error of the estimate.
Two chips alone say nothing of their law's third cumulant, since their deviations are equal and opposite, and the
spread between blocks cannot stand in for it: k_b is 0 there, and the interval symmetric where no block has had three.
As |k_b| ≤ s_b³ √C_b, no skewness exceeds 1, and the interval holds its mean.

Where blocks show no variance at all, they say of their n draws only that none deviated: the score bound
q = z² / (n + z²) on the share that would takes the place of the variance, a deviation being one image at least.

Sources: Cochran, "Sampling Techniques", 1977, chapter 5; Satterthwaite 1946; Hall, "On the removal of skewness by
transformation", 1992; Fisher 1930 (k-statistics); Agresti and Coull 1998. Coverage is tested by simulation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from steadynet.errors import SteadyNetError
from steadynet.montecarlo.intervals import Interval, Values

_NO_VARIANCE = 1e-24


def stratified_mean(values: Values, weights: Values) -> float:
    """Return Σ_b W_b ȳ_b.

    Args:
        values: Block means [C, B]; NaN where the last cycle was broken off.
        weights: W_b [B], which sum to 1.
    """
    found = float((weights * _block_means(values)).sum())
    # Rounding of the weights must not carry it past every value, an accuracy past 1.
    return min(max(found, float(np.nanmin(values))), float(np.nanmax(values)))


def stratified_interval(
    values: Values, weights: Values, *, deviation: Values | None = None, level: float = 0.95
) -> Interval:
    """Return the interval of the mean over all blocks and chips.

    Args:
        values: Block means [C, B] of C ≥ 2 cycles; NaN where a last cycle beyond them was broken off.
        weights: W_b [B], which sum to 1.
        deviation: The least by which a block mean can deviate, 1/n_b for an accuracy over n_b images [B]: with it, blocks
            without any variance get the score bound. Without it they have none.
        level: Of the interval.

    Raises:
        SteadyNetError: If there are fewer than two cycles, or shapes do not match.
    """
    if values.ndim != 2 or weights.shape != (values.shape[1],):
        raise SteadyNetError(f"values must be [cycles, {len(weights)} blocks], got {values.shape}")
    counts: Values = (~np.isnan(values)).sum(axis=0).astype(np.float64)
    if counts.min(initial=math.inf) < 2:
        raise SteadyNetError(
            f"an interval needs at least 2 cycles over the blocks, got {int(counts.min(initial=math.inf))}"
        )
    mean = stratified_mean(values, weights)
    # Unseen cells are as their block's mean: they count nowhere below.
    residuals: Values = np.where(np.isnan(values), 0.0, values - _block_means(values))
    variances: Values = (residuals**2).sum(axis=0) / (counts - 1)
    parts: Values = weights**2 * variances / counts
    still: NDArray[np.bool_] = variances <= _NO_VARIANCE
    if deviation is not None and still.any():
        z = float(special.ndtri((1 + level) / 2))
        share = z**2 / (float(counts[still].sum()) + z**2)
        parts = np.where(still, weights**2 * share * (1 - share) * deviation**2 / counts, parts)
    variance = float(parts.sum())
    if variance == 0:
        return Interval(mean, mean)
    freedom = max(variance**2 / float((parts**2 / (counts - 1)).sum()), float(counts.min()) - 1)
    t = float(special.stdtrit(freedom, (1 + level) / 2))
    sums: Values = (residuals**3).sum(axis=0)
    cumulants = np.where(counts > 2, counts / ((counts - 1) * np.maximum(counts - 2, 1)) * sums, 0.0)
    skewness = float((weights**3 * cumulants / counts**2).sum()) / variance**1.5
    # About the mean of C_b values itself, a deviation's variance is smaller by (C_b − 1) / C_b.
    furthest = float((np.abs(residuals) * np.sqrt(counts / (counts - 1))).max())
    error = math.sqrt(variance + (furthest / float(counts.sum())) ** 2)
    # They hold the mean but for rounding, and at levels far below any in use.
    return Interval(
        min(mean, mean - _hall(t, skewness) * error), max(mean, mean - _hall(-t, skewness) * error)
    )


def stratified_ratio(
    numerators: Values, denominators: Values, weights: Values, level: float = 0.95
) -> tuple[float, Interval | None]:
    """Return Σ numerators / Σ denominators over blocks and chips with its interval, by the delta method.

    With r the ratio, the interval is that of the mean of (numerator − r · denominator), divided by the mean denominator.

    Args:
        numerators: Per image, block means [C, B].
        denominators: Likewise.
        weights: W_b [B].
        level: Of the interval.

    Returns:
        The ratio and its interval; (NaN, None) where the denominators sum to 0.
    """
    below = stratified_mean(denominators, weights)
    if below <= 0:
        return math.nan, None
    ratio = stratified_mean(numerators, weights) / below
    low, high = stratified_interval(numerators - ratio * denominators, weights, level=level)
    return ratio, Interval(min(ratio, ratio + low / below), max(ratio, ratio + high / below))


def _block_means(values: Values) -> Values:
    """Return ȳ_b over the chips that saw block b; what `numpy.nanmean` gives, sooner."""
    unseen: NDArray[np.bool_] = np.isnan(values)
    if not unseen.any():
        return values.mean(axis=0)
    return np.where(unseen, 0.0, values).sum(axis=0) / (~unseen).sum(axis=0)


def _hall(t: float, skewness: float) -> float:
    """Return the inverse of Hall's transformation u + γ u²/3 + γ² u³/27 + γ/6 at t."""
    if abs(skewness) < 1e-8:
        return t
    return 3 / skewness * (float(np.cbrt(1 + skewness * (t - skewness / 6))) - 1)
