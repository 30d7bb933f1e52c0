"""Whether differences that are looked at side by side are still decided when they are held against chance all at once."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.report.rows import LEVEL, Estimate


def p_value(difference: Estimate, pairs: int) -> float:
    """Return the two-sided probability of a mean difference so far from 0 if there were none.

    With the half width h of Student's 95 % interval and n pairs, t = |mean| · t_{0.975, n−1} / h, and p = 2 · P(T_{n−1} > t).

    Args:
        difference: A mean of differences with Student's 95 % interval, of a width above 0.
        pairs: How many differences there were, two or more.
    """
    from scipy import stats

    t = abs(difference.mean) * float(stats.t.ppf(0.5 + LEVEL / 2, pairs - 1)) / difference.half_width
    return 2 * float(stats.t.sf(t, pairs - 1))


def holm(p_values: Sequence[float], level: float = 1 - LEVEL) -> tuple[bool, ...]:
    """Return which of several tests are decided if no more than one set of them in twenty is to hold any false decision.

    The k-th smallest of n probabilities (k from 1) is held against level / (n − k + 1); from the first that fails on, all fail
    (Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979). Nothing is
    assumed of how the tests depend on one another.

    Args:
        p_values: A test's probability each.
        level: Probability of any false decision.
    """
    decided = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > level / (len(p_values) - rank):
            break
        decided[index] = True
    return tuple(decided)
