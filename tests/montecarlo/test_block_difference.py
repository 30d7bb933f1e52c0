"""Two networks on shared chips and images: what their difference is, when it is narrow enough, and how often it covers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import steadynet as sn
from montecarlo.test_blocks import DEVICE, problem
from montecarlo.test_stratified import BLOCKS, IMAGES, REPETITIONS, chance
from montecarlo.test_stratified import images as easiness
from steadynet.montecarlo import (
    BlockResult,
    block_difference,
    block_monte_carlo,
    blocks,
    monte_carlo,
    paired_difference,
)
from steadynet.montecarlo.block_design import BlockDesign
from steadynet.montecarlo.pilot import FIRST_LOOK, Pilot
from steadynet.montecarlo.session import Session

Array = NDArray[np.float64]


def two() -> tuple[nn.Module, nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """Two networks of one shape, the second a little worse, and their data."""
    first, data = problem()
    second, _ = problem()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        weight = second.get_parameter("2.weight")
        weight.add_(0.25 * torch.randn(weight.shape, generator=generator))
    return first, second, data


@pytest.mark.parametrize("options", [{"blocks": 7, "cycles": 4}, {"blocks": 30, "half_width": 0.02}])
def test_it_is_the_paired_difference_of_the_two_results(options: dict[str, Any]) -> None:
    first, second, data = two()
    found = block_difference(first, second, DEVICE, data, seed=3, **options)
    for one, model in ((found.first, first), (found.second, second)):
        fixed = {"blocks": one.blocks, "cycles": one.cycles}
        alone = block_monte_carlo(model, DEVICE, data, seed=3, **fixed)
        np.testing.assert_array_equal(one.cells, alone.cells)
        assert one.accuracy.interval == alone.accuracy.interval
    paired = paired_difference(found.first, found.second)
    assert (found.accuracy.mean, found.accuracy.std) == (paired.mean, paired.std)
    assert found.accuracy.interval == paired.interval
    assert found.accuracy.mean == pytest.approx(found.first.accuracy.mean - found.second.accuracy.mean)
    np.testing.assert_allclose(
        found.accuracy.values, found.first.accuracy.values - found.second.accuracy.values, atol=1e-12
    )


def test_shared_chips_tell_networks_apart_that_separate_ones_do_not() -> None:
    first, second, data = two()
    found = block_difference(first, second, DEVICE, data, blocks=40, cycles=10)
    separate = math.hypot(found.first.accuracy.half_width, found.second.accuracy.half_width)
    assert found.accuracy.half_width < separate / 1.5
    # It agrees with all images on the same seeds' chips of the other design, within both intervals.
    a, b = (monte_carlo(model, DEVICE, data, draws=400, seed=1) for model in (first, second))
    full = paired_difference(a, b)
    # Independent estimates: 4 std of the difference give a false alarm of 6e-5.
    assert abs(full.mean - found.accuracy.mean) <= 4 / 1.96 * math.hypot(
        full.half_width, found.accuracy.half_width
    )


def test_it_runs_for_the_width_of_the_difference_not_of_either() -> None:
    first, second, data = two()
    found = block_difference(first, second, DEVICE, data, blocks=40, half_width=0.012, seed=2)
    assert found.reached
    assert found.accuracy.half_width <= 0.012 < found.first.accuracy.half_width
    assert (found.first.half_width, found.first.reached) == (None, True), "no width was asked of it"
    # Not a quarter of a cycle more than needed.
    less = block_difference(
        first, second, DEVICE, data, blocks=40, cycles=found.first.cycles - 0.25, half_width=0.012, seed=2
    )
    assert found.first.draws - 10 < FIRST_LOOK or not less.reached


def test_draws_that_do_not_suffice_are_told() -> None:
    first, second, data = two()
    found = block_difference(first, second, DEVICE, data, blocks=40, half_width=0.001, max_draws=130)
    assert (found.first.draws, found.second.draws, found.half_width) == (130, 130, 0.001)
    assert not found.reached


def test_the_pilot_is_of_the_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, data = two()
    seen: list[Array] = []
    costs: list[tuple[float, float]] = []
    tried: list[Any] = []
    trial, from_table = Session.trial, blocks.from_table

    def note_trial(self: Session, sigma_d: float) -> Any:
        tried.append(trial(self, sigma_d))
        return tried[-1]

    def note(right: Array, program_seconds: float, pass_seconds: float) -> Pilot:
        seen.append(right)
        costs.append((program_seconds, pass_seconds))
        return from_table(right, program_seconds, pass_seconds)

    monkeypatch.setattr(Session, "trial", note_trial)
    monkeypatch.setattr(blocks, "from_table", note)
    found = block_difference(first, second, DEVICE, data, half_width=0.05)
    one, other = tried
    np.testing.assert_array_equal(seen[0], one.right - other.right)
    assert set(np.unique(seen[0])) == {-1.0, 0.0, 1.0}
    assert costs == [(one.program_seconds + other.program_seconds, one.pass_seconds + other.pass_seconds)], (
        "a cell costs both networks"
    )
    assert found.first.pilot is not None
    assert found.first.pilot is found.second.pilot
    assert found.first.blocks == found.first.pilot.blocks(240, 0.05)


def test_the_pilots_chips_are_those_of_its_own_stream() -> None:
    model, (x, y) = problem()
    with Session(model, DEVICE, (x, y), seed=6, stream="test") as session:
        tried = session.trial(0.15)
    assert tried.right.shape == (20, 200)
    model.eval()
    for draw in (0, 19):
        chip = sn.program(model, DEVICE, seed=6, draw=draw, stream="pilot")
        with torch.no_grad():
            right = sn.run(model, chip, x[:200]).argmax(1) == y[:200]
        np.testing.assert_array_equal(tried.right[draw], right.double().numpy())
    assert tried.program_seconds > 0
    assert tried.pass_seconds > 0


def test_the_difference_turns_its_sign_with_the_networks_and_is_none_with_itself() -> None:
    first, second, data = two()
    there = block_difference(first, second, DEVICE, data, blocks=9, cycles=5).accuracy
    back = block_difference(second, first, DEVICE, data, blocks=9, cycles=5).accuracy
    assert there.interval is not None
    assert back.interval is not None
    assert back.mean == pytest.approx(-there.mean)
    assert tuple(back.interval) == pytest.approx((-there.interval.high, -there.interval.low))
    same = block_difference(first, first, DEVICE, data, blocks=9, cycles=5).accuracy
    assert same.mean == 0
    assert same.interval is not None
    assert same.interval.low < 0 < same.interval.high, (
        "45 cells without a difference leave room for a small one"
    )
    assert first.training


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"seed": 1}, "seed is 0 and 1"),
        ({"stream": "validation"}, "stream is test and validation"),
        ({"blocks": 6}, "blocks is 5 and 6"),
        ({"cycles": 3}, "cycles is 2 and 3"),
    ],
)
def test_blocks_on_other_chips_are_not_paired(other: dict[str, Any], what: str) -> None:
    model, data = problem()
    options: dict[str, Any] = {"blocks": 5, "cycles": 2}
    a = block_monte_carlo(model, DEVICE, data, **options)
    b = block_monte_carlo(model, DEVICE, data, **{**options, **other})
    with pytest.raises(sn.SteadyNetError, match=f"only on shared draws: {what}"):
        paired_difference(a, b)


def test_results_of_two_designs_or_other_images_are_not_paired() -> None:
    model, (x, y) = problem()
    a = block_monte_carlo(model, DEVICE, (x, y), blocks=5, cycles=2)
    with pytest.raises(sn.SteadyNetError, match="images is 240 and 239"):
        paired_difference(a, block_monte_carlo(model, DEVICE, (x[1:], y[1:]), blocks=5, cycles=2))
    full = cast("BlockResult", monte_carlo(model, DEVICE, (x, y), draws=10))
    for left, right in ((a, full), (full, a)):
        with pytest.raises(sn.SteadyNetError, match="only within one design: one is by blocks"):
            paired_difference(left, right)


class Pair:
    """Two networks on chips × images: image t is right where a uniform number falls below its chance, for both the same."""

    device, seed, stream, images = DEVICE, 0, "test", IMAGES

    def __init__(
        self, easy: Array, errors: Callable[[np.random.Generator, int], tuple[Array, Array]]
    ) -> None:
        self.easy, self.errors = easy, errors
        self.rng = np.random.default_rng(4)
        self.waiting: list[Array] = []

    @property
    def difference(self) -> float:
        """Return the mean over chips and images, by 40,000 chips."""
        shared, own = self.errors(np.random.default_rng(99), 40_000)
        parts = [
            (chance(self.easy[:, None] + s) - chance(self.easy[:, None] + s + o)).mean()
            for s, o in zip(np.split(shared, 40), np.split(own, 40), strict=True)
        ]
        return float(np.mean(parts))

    def cells(self, _sigma_d: float, cells: Any) -> Array:
        """Return the cells of the first network, then those of the second on the same chips, in turn."""
        if self.waiting:
            return self.waiting.pop()
        shared, own = self.errors(self.rng, len(cells))
        size = IMAGES // BLOCKS
        logits = np.stack([self.easy[start : start + size] for _, start, _ in cells]) + shared[:, None]
        uniform = self.rng.random(logits.shape)
        found = [uniform < chance(logits), uniform < chance(logits + own[:, None])]
        # The other figures are not looked at: ones.
        rows = [np.repeat(right.mean(axis=1)[:, None], 4, axis=1) for right in found]
        self.waiting.append(rows[1])
        return rows[0]


def gaussian(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    return rng.normal(-1, 1, count), rng.normal(-0.4, 0.4, count)


def skewed(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    return -rng.exponential(1.0, count), -rng.exponential(0.5, count)


@pytest.mark.parametrize("errors", [gaussian, skewed])
def test_the_interval_of_the_difference_covers_as_stated_though_it_stops_early(
    errors: Callable[[np.random.Generator, int], tuple[Array, Array]],
) -> None:
    # 800 repetitions, of the std 0.0077: a false alarm of 0.0012, and a power of 0.99 against 90 %.
    pair = Pair(easiness(3, 2), errors)
    truth, hits, cycles = pair.difference, 0, set[float]()
    design = BlockDesign(half_width=0.01, blocks=BLOCKS, max_draws=40 * BLOCKS)
    session = cast("Session", pair)
    for _ in range(REPETITIONS):
        found = blocks.mean_difference(session, session, 0.15, design)
        assert found.reached
        assert found.accuracy.interval is not None
        hits += found.accuracy.interval.low <= truth <= found.accuracy.interval.high
        cycles.add(found.first.cycles)
    assert 0.925 <= hits / REPETITIONS <= 0.975
    assert len(cycles) > 1, "some stopped earlier than others"
