"""Intervals over blocks of images cover as often as they say, on tables of known mean, with early stopping."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steadynet.errors import SteadyNetError
from steadynet.montecarlo.block_result import accuracy_of
from steadynet.montecarlo.stratified import stratified_interval, stratified_mean, stratified_ratio

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
IMAGES, BLOCKS = 1000, 50
# Coverage of 800 repetitions has a std of 0.0077 at 95 %: an interval that covers 95 % falls outside 92.5 … 97.5 % with
# probability 0.0012, one that covers 90 % is found with a power of 0.99.
REPETITIONS = 800


def chance(logit: Array) -> Array:
    return 1 / (1 + np.exp(-logit))


@dataclass(frozen=True)
class Table:
    """Chips × images: image t is right on chip d with probability chance(easy_t + draw_d)."""

    easy: Array
    draw: Draw

    @property
    def mean(self) -> float:
        draws = self.draw(np.random.default_rng(99), 40_000)
        return float(np.mean([chance(self.easy[:, None] + part).mean() for part in np.split(draws, 40)]))

    @property
    def ekl(self) -> float:
        draws = self.draw(np.random.default_rng(98), 40_000)
        parts = [chance(self.easy[:, None] + part) for part in np.split(draws, 40)]
        return float(np.mean([(-p * np.log(p)).mean() for p in parts]) / np.mean([p.mean() for p in parts]))

    def cycle(self, rng: np.random.Generator) -> Array:
        """Return each block's accuracy and EKL's numerator, −log of the chance where right, on a chip of its own [B, 2]."""
        logits = self.easy.reshape(BLOCKS, -1) + self.draw(rng, BLOCKS)[:, None]
        right, surprise = rng.random(logits.shape) < chance(logits), np.logaddexp(0, -logits)
        return np.stack([right.mean(axis=1), (right * surprise).mean(axis=1)], axis=1)


def images(mean: float, std: float) -> Array:
    return np.random.default_rng(7).normal(mean, std, IMAGES)


def collapsing(rng: np.random.Generator, count: int) -> Array:
    return np.where(rng.random(count) < 0.05, -12.0, rng.normal(0, 0.1, count))


TABLES = {
    "gaussian, small": (Table(images(3, 2), lambda rng, n: rng.normal(0, 0.1, n)), 0.006),
    "gaussian, large": (Table(images(3, 2), lambda rng, n: rng.normal(-1, 1, n)), 0.015),
    "skewed, small": (Table(images(3, 2), lambda rng, n: -0.1 * rng.exponential(1, n)), 0.006),
    "skewed, large": (Table(images(3, 2), lambda rng, n: -rng.exponential(1, n)), 0.015),
}
HARD = {
    "5 % collapse, wide": (Table(images(3, 2), collapsing), 0.03),
    "5 % collapse, narrow": (Table(images(3, 2), collapsing), 0.015),
    "near-perfect": (Table(images(9, 1.5), lambda rng, n: rng.normal(0, 0.3, n)), 0.002),
    "perfect": (Table(images(14, 1), lambda rng, n: rng.normal(0, 0.3, n)), 0.002),
}


@functools.cache
def coverage(name: str) -> tuple[float, float]:
    """Return how often the intervals of accuracy and EKL cover.

    The work stops at the first quarter cycle at which the accuracy's is narrow enough, from 100 draws on.
    """
    table, half_width = (TABLES | HARD)[name]
    rng = np.random.default_rng(3)
    sizes, weights = np.full(BLOCKS, IMAGES / BLOCKS), np.full(BLOCKS, 1 / BLOCKS)
    truth, ekl = table.mean, table.ekl
    hits = np.zeros(2)
    for _ in range(REPETITIONS):
        cycles = np.stack([table.cycle(rng), table.cycle(rng)])
        quarter, coming = 0, cycles[0]
        while True:
            found = accuracy_of(cycles[:, :, 0], sizes)
            if found.half_width <= half_width or (len(cycles) == 40 and quarter == 0):
                break
            if quarter == 0:
                coming = table.cycle(rng)
                cycles = np.concatenate([cycles, np.full((1, BLOCKS, 2), np.nan)])
            quarter = (quarter + 1) % 4
            seen = slice(0, BLOCKS if quarter == 0 else BLOCKS * quarter // 4)
            cycles[-1, seen] = coming[seen]
        _, ratio = stratified_ratio(cycles[:, :, 1], cycles[:, :, 0], weights)
        assert found.interval is not None
        assert ratio is not None
        hits += [found.interval.low <= truth <= found.interval.high, ratio.low <= ekl <= ratio.high]
    return float(hits[0]) / REPETITIONS, float(hits[1]) / REPETITIONS


@pytest.mark.parametrize("name", TABLES)
def test_coverage_is_as_stated(name: str) -> None:
    accuracy, ekl = coverage(name)
    assert 0.925 <= accuracy <= 0.975
    assert 0.925 <= ekl <= 0.975


@pytest.mark.parametrize("name", HARD)
def test_coverage_holds_where_few_chips_collapse_or_nothing_errs(name: str) -> None:
    accuracy, ekl = coverage(name)
    assert accuracy >= 0.925
    assert ekl >= 0.925


def differing(rng: np.random.Generator, cycles: int) -> tuple[Array, float]:
    """Return cells of blocks from 100 % down to 0 % right, their chips a hundredth apart, and the true mean."""
    levels = np.maximum(1 - 0.2 * np.random.default_rng(2).exponential(1, BLOCKS), 0)
    return levels + rng.normal(0, 0.01, (cycles, BLOCKS)), float(levels.mean())


def margins(rng: np.random.Generator, cycles: int) -> tuple[Array, float]:
    """Return accuracies where all chips get most images right, or most wrong: only those of small margins turn."""
    margin = np.random.default_rng(1).normal(1.3, 1.0, (BLOCKS, IMAGES // BLOCKS))
    noise = rng.normal(0, 0.1, (cycles, BLOCKS, 1)) + rng.normal(0, 0.1, (cycles, *margin.shape))
    truth = np.mean([math.erfc(-m / 0.2) / 2 for m in margin.ravel()])
    return (margin + noise > 0).mean(axis=2), float(truth)


@pytest.mark.parametrize("cycles", [2, 3, 5])
@pytest.mark.parametrize("cells", [differing, margins])
def test_blocks_of_different_difficulty_neither_widen_the_interval_nor_turn_it(
    cells: Callable[[np.random.Generator, int], tuple[Array, float]], cycles: int
) -> None:
    rng = np.random.default_rng(11)
    means, ends, truth = [], [], 0.0
    for _ in range(REPETITIONS):
        values, truth = cells(rng, cycles)
        estimate = accuracy_of(values, np.full(BLOCKS, IMAGES / BLOCKS))
        assert estimate.interval is not None
        means.append(estimate.mean)
        ends.append(estimate.interval)
    low, high = np.array(ends).T
    above, below = float((low > truth).mean()), float((high < truth).mean())
    assert above + below <= 0.07
    # 2.5 % each of 800 is 20 ± 4.4.
    assert min(above, below) >= 0.005
    assert max(above, below) <= 0.045
    assert (high - low).mean() <= 1.4 * 2 * 1.96 * np.std(means)


def test_one_image_that_turned_leaves_the_mean_inside() -> None:
    # A tenth is always wrong, of 1000 blocks of one image, and on one of two chips one image more.
    values = np.ones((2, 1000))
    values[:, :100] = 0
    values[0, 100] = 0
    estimate = accuracy_of(values, np.ones(1000))
    assert estimate.mean == pytest.approx(0.8995)
    assert estimate.interval is not None
    assert estimate.interval.low < estimate.mean < estimate.interval.high
    assert estimate.interval.half_width < 0.003


@given(
    st.integers(2, 6),
    st.integers(1, 8),
    st.sampled_from([1, 2, 20, 1000]),
    st.integers(0, 8),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_every_interval_holds_its_own_mean(
    cycles: int, blocks: int, size: int, reached: int, few: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Shares right of blocks of unlike size and difficulty; with `few`, nearly all alike but for a collapse.
    sizes = rng.integers(1, size + 1, blocks).astype(np.float64)
    chances = rng.choice([0.0, 1.0], blocks) if few else rng.beta(0.3, 0.3, blocks)
    chances = np.where(rng.random((cycles, blocks)) < 0.1, 0.5, chances)
    values = rng.binomial(sizes.astype(int), chances) / sizes
    if cycles > 2:
        values[-1, reached:] = np.nan
    estimate = accuracy_of(values, sizes)
    assert estimate.interval is not None
    assert estimate.interval.low <= estimate.mean <= estimate.interval.high
    weights = sizes / sizes.sum()
    for level in (0.05, 0.5, 0.95):
        low, high = stratified_interval(values, weights, level=level)
        assert low <= stratified_mean(values, weights) <= high
    ratio, interval = stratified_ratio(values * rng.random((cycles, blocks)), values, weights)
    assert interval is None or interval.low <= ratio <= interval.high


def test_the_skewness_is_of_the_chips_within_blocks() -> None:
    rng = np.random.default_rng(6)
    weights = np.array([0.2, 0.3, 0.5])
    values = -rng.exponential([0.01, 0.02, 0.03], (6, 3))
    low, high = stratified_interval(values, weights)
    mean = stratified_mean(values, weights)
    # Seldom much lower chips: the mean may well be lower than seen, and this does not depend on the blocks' levels.
    assert mean - low > high - mean
    levels = np.array([0.3, 0.1, 0.9])
    apart, shift = values + levels, float(weights @ levels)
    assert stratified_interval(apart, weights) == pytest.approx((low + shift, high + shift), abs=1e-12)
    # Of two chips each, it is not known.
    low, high = stratified_interval(values[:2], weights)
    assert (low + high) / 2 == pytest.approx(stratified_mean(values[:2], weights), abs=1e-12)


def test_the_mean_and_variance_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([5.0, 20.0, 75.0])
    weights = sizes / sizes.sum()
    values = rng.normal(0.8, 0.02, (400, 3))
    mean = sum(w * values[:, b].mean() for b, w in enumerate(weights))
    variance = sum(w**2 * values[:, b].var(ddof=1) / 400 for b, w in enumerate(weights))
    assert stratified_mean(values, weights) == pytest.approx(mean)
    low, high = stratified_interval(values, weights)
    # With 1200 draws of a Gaussian, both corrections and t's excess over z are below a percent.
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(variance), rel=0.01)
    assert (high + low) / 2 == pytest.approx(mean, abs=0.02 * math.sqrt(variance))


@given(st.integers(2, 5), st.integers(1, 6), st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
def test_the_interval_holds_its_mean_and_moves_with_the_values(
    cycles: int, blocks: int, shift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.random((cycles, blocks)), rng.dirichlet(np.ones(blocks))
    low, high = stratified_interval(values, weights)
    assert low <= stratified_mean(values, weights) <= high
    moved = stratified_interval(values + shift, weights)
    assert moved == pytest.approx((low + shift, high + shift), abs=1e-6)


def test_a_cycle_that_was_broken_off_counts_for_the_blocks_that_it_reached() -> None:
    rng = np.random.default_rng(1)
    weights = np.array([0.5, 0.3, 0.2])
    values = rng.normal(0.8, 0.02, (300, 3))
    values[-1, 1:] = np.nan
    seen = [values[:, 0], values[:-1, 1], values[:-1, 2]]
    mean = sum(w * block.mean() for w, block in zip(weights, seen, strict=True))
    variance = sum(w**2 * block.var(ddof=1) / len(block) for w, block in zip(weights, seen, strict=True))
    assert stratified_mean(values, weights) == pytest.approx(mean)
    low, high = stratified_interval(values, weights)
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(variance), rel=0.01)
    still = stratified_interval(
        np.array([[1.0, 1.0], [1.0, 1.0], [1.0, np.nan]]), np.full(2, 0.5), deviation=np.full(2, 0.1)
    )
    assert still.high > 1 or still.low < 1
    with pytest.raises(SteadyNetError, match="at least 2 cycles over the blocks, got 1"):
        stratified_interval(np.array([[1.0, 1.0], [1.0, np.nan]]), np.full(2, 0.5))


def test_blocks_that_never_err_have_a_width_that_more_cycles_shrink() -> None:
    weights, deviation = np.full(4, 0.25), np.full(4, 0.1)
    widths = [
        stratified_interval(np.ones((cycles, 4)), weights, deviation=deviation).half_width
        for cycles in (2, 8, 32)
    ]
    assert widths[0] > widths[1] > widths[2] > 0
    assert stratified_interval(np.ones((2, 4)), weights) == (1, 1), "not asked for"


def test_a_ratios_interval_covers() -> None:
    rng = np.random.default_rng(5)
    weights, hits = np.full(20, 0.05), 0
    for _ in range(REPETITIONS):
        below = rng.uniform(0.5, 1.0, (5, 20))
        above = below * rng.gamma(4.0, 0.05, (5, 20))
        ratio, interval = stratified_ratio(above, below, weights)
        assert interval is not None
        assert ratio == pytest.approx(above.sum() / below.sum())
        hits += interval.low <= 0.2 <= interval.high
    assert 0.925 <= hits / REPETITIONS <= 0.975
    assert stratified_ratio(np.zeros((5, 20)), np.zeros((5, 20)), weights)[1] is None


def test_one_cycle_and_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(SteadyNetError, match="at least 2 cycles over the blocks, got 1"):
        stratified_interval(np.ones((1, 3)), np.full(3, 1 / 3))
    with pytest.raises(SteadyNetError, match=r"must be \[cycles, 2 blocks\]"):
        stratified_interval(np.ones((2, 3)), np.full(2, 0.5))
