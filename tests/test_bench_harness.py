"""Two sides are measured in turn, and their ratio says what the rounds say."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import harness
from benchmarks.harness import Ratio, Target, alternate
from benchmarks.profiling import excess, measured

times = st.floats(1e-6, 1e6)


class Clock:
    """Time that passes only where a side says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(harness.time, "perf_counter", lambda: self.now)

    def side(self, name: str, *seconds: float) -> Callable[[], None]:
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_the_side_that_goes_first_changes_from_round_to_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    above, below = alternate(clock.side("a", 2.0), clock.side("b", 1.0), rounds=3)
    assert "".join(clock.calls) == "ab" + "ab" + "ba" + "ab"
    assert (above, below) == ((2.0, 2.0, 2.0), (1.0, 1.0, 1.0))


def test_the_warm_up_is_in_no_round_and_repeats_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    above, below = alternate(
        clock.side("a", 99.0, 1.0, 3.0, 5.0, 7.0), clock.side("b", 99.0, 1.0), rounds=2, repeat=2
    )
    # The first calls, 99 s each, are one repeat of the warm-up; the other is 1 s.
    assert above == (4.0, 7.0)
    assert below == (1.0, 1.0)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=20))
def test_a_ratio_is_the_median_of_the_rounds_and_comes_back_from_json(
    rounds: list[tuple[float, float]],
) -> None:
    above, below = zip(*rounds, strict=True)
    row = Ratio("r", "a ÷ b", above, below, target=Target(1.0, "at most"), computed="x", details={"k": [1]})
    ratios = [a / b for a, b in rounds]
    assert row.median == statistics.median(ratios)
    low, high = row.quartiles
    assert min(ratios) <= low <= row.median * (1 + 1e-12)
    assert row.median * (1 - 1e-12) <= high <= max(ratios)
    assert Ratio.from_dict(json.loads(json.dumps(row.to_dict()))) == row


def test_quartiles_are_those_by_hand() -> None:
    row = Ratio("r", "a ÷ b", (5.0, 1.0, 2.0, 4.0, 3.0), (1.0,) * 5)
    assert (row.median, row.quartiles) == (3.0, (2.0, 4.0))


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [
        (Target(1.1, "at most"), 1.1, True),
        (Target(1.1, "at most"), 1.1001, False),
        (Target(20.0, "at least"), 20.0, True),
        (Target(20.0, "at least"), 19.9, False),
    ],
)
def test_a_target_is_met_up_to_its_bound(target: Target, ratio: float, met: bool) -> None:
    assert Ratio("r", "a ÷ b", (ratio,), (1.0,), target=target).met is met


def test_a_row_without_target_is_neither_met_nor_missed() -> None:
    assert Ratio("r", "a ÷ b", (2.0,), (1.0,)).met is None


@pytest.mark.parametrize(
    ("above", "below"), [((1.0, 2.0), (1.0,)), ((), ()), ((0.0,), (1.0,)), ((1.0,), (-1.0,))]
)
def test_rounds_that_give_no_ratio_are_refused(above: tuple[float, ...], below: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="r: "):
        Ratio("r", "a ÷ b", above, below)


def test_a_profile_names_first_what_one_side_does_more() -> None:
    x = torch.randn(300, 300)

    def product() -> None:
        for _ in range(20):
            torch.mm(x, x)

    def small() -> None:
        x.sin()

    lines = excess(product, small)
    assert lines[0].startswith("total ")
    assert "aten::mm: " in lines[1]
    assert "in 20 calls against 0.0 ms in 0" in lines[1]


def test_only_a_missed_target_is_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for bound, profiled, expected in ((3.0, True, False), (1.0, True, True), (1.0, False, False)):
        row = measured(
            "r",
            "a ÷ b",
            clock.side("a", 2.0),
            clock.side("b", 1.0),
            rounds=2,
            target=Target(bound, "at most"),
            profiled=profiled,
        )
        assert bool(row.profile) is expected
