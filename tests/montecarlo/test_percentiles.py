"""Order-statistic intervals of percentiles: the ranks, their exact coverage, and how many draws they need."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from steadynet.errors import SteadyNetError
from steadynet.montecarlo import MonteCarloResult
from steadynet.montecarlo.intervals import draws_needed, percentile_ranks

TAIL = Fraction(1, 40)
KS = ("0.5", "1", "2.5", "5", "10", "25", "50", "90", "99")


def result(accuracies: np.ndarray, images: int = 1000) -> MonteCarloResult:
    figures = dict.fromkeys(("accuracy", "nll", "brier", "calibration_error", "ekl_sum", "ekl_count"), 0.5)
    values = {name: np.full(len(accuracies), 0.5) for name in figures} | {"accuracy": accuracies}
    return MonteCarloResult(
        0.2, "a device", 0, "test", 0, images, values, figures, figures, 0.1, deterministic=False
    )


def cumulative(draws: int, k: str) -> list[Fraction]:
    """P(B ≤ i) of B = Binomial(draws, k %), exact, for i = 0 … draws."""
    p = Fraction(k) / 100
    total, found = Fraction(0), []
    for i in range(draws + 1):
        total += math.comb(draws, i) * p**i * (1 - p) ** (draws - i)
        found.append(total)
    return found


def brute_ranks(draws: int, k: str) -> tuple[int, int] | None:
    """The largest l with P(B < l) ≤ 2.5 % and the smallest u with P(B ≥ u) ≤ 2.5 %, by trying all."""
    below = cumulative(draws, k)
    low = [rank for rank in range(1, draws + 1) if below[rank - 1] <= TAIL]
    high = [rank for rank in range(1, draws + 1) if 1 - below[rank - 1] <= TAIL]
    return (max(low), min(high)) if low and high else None


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("draws", [1, 2, 5, 6, 29, 36, 37, 72, 73, 120])
def test_the_ranks_are_those_of_an_exact_search(draws: int, k: str) -> None:
    assert percentile_ranks(draws, float(k)) == brute_ranks(draws, k)


def test_a_tail_that_is_used_up_exactly_is_used() -> None:
    # Of two draws, both lie above the median with probability 1/4: the tail of a 50 % interval.
    assert percentile_ranks(2, 50, level=0.5) == (1, 2)
    assert draws_needed(50, level=0.5) == 2


@pytest.mark.parametrize("k", ["5", "10", "25", "50", "75", "90"])
def test_the_draws_needed_are_the_fewest_that_work(k: str) -> None:
    fewest = next(draws for draws in range(1, 500) if brute_ranks(draws, k) is not None)
    assert draws_needed(float(k)) == fewest
    assert percentile_ranks(fewest, float(k)) is not None
    assert percentile_ranks(fewest - 1, float(k)) is None


def test_the_papers_percentiles_need_this_many_draws() -> None:
    # ⌈log 0.025 / log(1 − k/100)⌉.
    assert [draws_needed(k) for k in (1, 5, 10)] == [368, 72, 36]


@pytest.mark.parametrize("k", [1e-20, 1e-9, 100 - 1e-9])
def test_extreme_percentiles_have_an_answer_too(k: float) -> None:
    p = min(k, 100 - k) / 100
    assert draws_needed(k) == pytest.approx(-math.log(0.025) / p, rel=1e-4)


@pytest.mark.parametrize(("draws", "k"), [(36, 10), (100, 5), (200, 5), (200, 10), (500, 1), (200, 50)])
def test_the_interval_covers_the_percentile_at_least_as_often_as_it_says(draws: int, k: float) -> None:
    # Uniform draws, whose k-th percentile is k/100. The coverage is at least 0.95, so its std over 40,000 repeats is at
    # most 0.00109; bounds of 4.5 std give a false alarm of 7e-6 each. A rank that is off by one at either end moves the
    # coverage by 0.008 to 0.09 in these cases, 7 std at least, and is found against the exact one with power 0.99.
    repeats = 40_000
    rng = np.random.default_rng(draws * 1000 + int(k))
    ordered = np.sort(rng.random((repeats, draws)), axis=1)
    low, high = percentile_ranks(draws, k) or (0, 0)
    covered = (ordered[:, low - 1] <= k / 100) & (k / 100 <= ordered[:, high - 1])
    assert covered.mean() > 0.95 - 4.5 * 0.00109
    below = cumulative(draws, str(k))
    exact = float(below[high - 1] - below[low - 1])
    assert exact >= 0.95
    assert abs(covered.mean() - exact) < 4.5 * 0.00109


@pytest.mark.parametrize("k", ["1", "5", "7", "10", "14", "28", "29", "50", "55", "57", "58", "99.9"])
def test_the_percentile_is_the_smallest_value_that_enough_draws_do_not_exceed(k: str) -> None:
    for draws in (1, 2, 10, 25, 50, 99, 100, 150, 1000):
        values = np.arange(1, draws + 1) / 1000
        found = result(np.random.default_rng(0).permutation(values)).percentile(float(k)).value
        # Exact in fractions: at 100 draws, 7/100 · 100 is above 7 in floating point.
        enough = [v for i, v in enumerate(values.tolist(), 1) if Fraction(i, draws) * 100 >= Fraction(k)]
        assert found == enough[0], (draws, k)


def test_a_result_takes_the_interval_from_its_sorted_draws() -> None:
    values = np.random.default_rng(1).permutation(np.arange(200) / 200)
    found = result(values).percentile(10)
    low, high = brute_ranks(200, "10") or (0, 0)
    assert found.interval == ((low - 1) / 200, (high - 1) / 200)
    assert found.value == 19 / 200
    assert str(found) == f"0.095 ({(low - 1) / 200:.4g} … {(high - 1) / 200:.4g})"


def test_too_few_draws_say_how_many_are_needed() -> None:
    for draws, enough in ((71, False), (72, True)):
        found = result(np.linspace(0.4, 0.9, draws)).percentile(5)
        assert (found.interval is not None) is enough
        assert found.needs_draws == 72
    few = result(np.linspace(0.4, 0.9, 71)).percentile(5)
    assert str(few) == f"{few.value:.4g} (an interval needs at least 72 draws)"


@pytest.mark.parametrize("k", [0, -1, 100, 101, math.nan, math.inf, "5"])
def test_a_percentile_outside_0_to_100_is_refused(k: float) -> None:
    with pytest.raises(SteadyNetError, match="percentile k must be"):
        result(np.array([0.5, 0.6])).percentile(k)
