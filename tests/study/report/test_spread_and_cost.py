"""Convergence counts, violins of draws, and cost against accuracy."""

from __future__ import annotations

import math
from typing import Any

import pytest

from steadynet.study.report.content import Chart, Grid
from steadynet.study.report.views import view_from
from steadynet.study.report.views.convergence import failures
from study.rows import GRID, expected, figure3, row


def test_failures_count_below_the_mean_and_below_the_median() -> None:
    # Six of ten fail: they drag the mean to 54 %, and the median, 40 %, is one of theirs.
    found = failures([0.9, 0.9, 0.9, 0.9, *[0.3] * 6])
    assert (found.trainings, found.below_mean, found.below_median) == (10, 6, 0)
    # Four of ten fail mildly: three below the mean by more than 5 points, all four below the median.
    found = failures([*[0.9] * 6, 0.849, 0.80, 0.78, 0.76])
    assert (found.below_mean, found.below_median) == (3, 4)


def test_five_points_below_is_not_more_than_five() -> None:
    assert failures([0.9, 0.9, 0.85]).below_median == 0
    assert failures([0.9, 0.9, 0.8499]).below_median == 1


def exact(successes: int, trials: int) -> tuple[float, float]:
    """Return Clopper-Pearson by bisection of the binomial's tails: the p at which each tail holds 2.5 %."""

    def at_least(p: float, k: int) -> float:
        return math.fsum(math.comb(trials, i) * p**i * (1 - p) ** (trials - i) for i in range(k, trials + 1))

    def solved(k: int, target: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if at_least(middle, k) < target else (low, middle)
        return low

    return (
        0.0 if successes == 0 else solved(successes, 0.025),
        1.0 if successes == trials else solved(successes + 1, 0.975),
    )


def ten(recipe: str, accuracies: list[float]) -> list[dict[str, Any]]:
    return [row(a, axes={"recipe": recipe, "seed": s}, sigma_d=0.35) for s, a in enumerate(accuracies)]


def test_the_table_of_convergence_counts_with_exact_intervals() -> None:
    rows = [*ten("W/", [0.9] * 4 + [0.3] * 6), *ten("OVF", [0.9] * 10)]
    view = view_from({"view": "convergence", "published": "convergence"})
    grid, chart = view.blocks(rows, key_prefix="x")
    assert isinstance(grid, Grid)
    assert [e.text for e in grid.rows[0]] == ["W/", "10", "54.00", "30.00", "6 [26 %, 88 %]", "0 [0 %, 31 %]"]
    for line, count in ((grid.rows[0], 6), (grid.rows[1], 0)):
        low, high = exact(count, 10)
        assert (line[4].value, line[4].lo, line[4].hi) == (
            count,
            pytest.approx(10 * low),
            pytest.approx(10 * high),
        )
    assert isinstance(chart, Chart)
    assert [p.y for p in chart.panels[0].series[0].points] == pytest.approx([90.0] * 4 + [30.0] * 6)
    assert [p.x for p in chart.panels[0].series[0].points] == list(range(10))


def test_published_counts_stand_where_they_may() -> None:
    rows = [*ten("W/", [0.9] * 10), *ten("W/, T = 4", [0.9] * 10), *ten("IRS", [0.9] * 10)]
    view = view_from({"view": "convergence", "published": "convergence"})
    grid, _ = view.blocks(rows, key_prefix="x", published_allowed=True)
    assert isinstance(grid, Grid)
    assert grid.columns[-1] == "published, below the mean"
    assert [line[-1].text for line in grid.rows] == ["6 of 10", "", "2 of 10"]


def test_trainings_that_are_not_finished_are_told_in_the_counts() -> None:
    rows = ten("W/", [0.9] * 7)
    wanted = [{"recipe": r, "seed": s, "sigma_d": 0.35} for r in ("W/", "IRS") for s in range(10)]
    grid, chart = view_from({"view": "convergence"}).blocks(rows, key_prefix="x", expected=wanted)
    assert isinstance(grid, Grid)
    assert [line[1].text for line in grid.rows] == ["7 of 10", "–"]
    assert "13 of 20 results (a training tested at a sigma_d) are not finished" in grid.notes
    assert isinstance(chart, Chart)
    assert [s.name for s in chart.panels[0].series] == ["W/"]


def test_a_violin_holds_the_draws_of_all_seeds_and_marks_the_mean_of_their_means() -> None:
    rows = [row(a, axes={"seed": s}) for s, a in enumerate((0.8, 0.9))]
    (chart,) = view_from({"view": "violin"}).blocks(rows, key_prefix="x")
    assert isinstance(chart, Chart)
    (point,) = chart.panels[0].series[0].points
    steps = (-2, -1, 0, 1, 2)
    assert point.values == pytest.approx([*(80 + s for s in steps), *(90 + s for s in steps)])
    assert point.y == pytest.approx(85)
    assert (point.hi - point.y) == pytest.approx(12.7062 * math.sqrt(50) / math.sqrt(2), rel=1e-5)
    assert "means of the trainings: 80.00, 90.00" in point.detail
    assert "W/ 78 to 92" in chart.alternative


def test_violins_have_a_frame_for_each_panel_and_sigma_d() -> None:
    view = view_from({"view": "violin", "panels": "panel", "where": {"sigma_d": [0.2, 0.4]}})
    (chart,) = view.blocks(figure3(), key_prefix="x", expected=expected(**GRID))
    assert isinstance(chart, Chart)
    assert [panel.title for panel in chart.panels] == [
        "VGG-8 MNIST, sigma_d 0.2",
        "VGG-8 MNIST, sigma_d 0.4",
        "ResNet-18 CIFAR-10, sigma_d 0.2",
    ]
    assert all(len(s.points[0].values) == 150 for panel in chart.panels for s in panel.series)


def test_cost_is_the_median_time_of_a_points_trainings() -> None:
    rows = [row(0.9, axes={"seed": s}, train_seconds=t) for s, t in enumerate((100.0, 900.0, 120.0))]
    rows += [row(0.95, axes={"recipe": "OVF"}, train_seconds=400.0)]
    (chart,) = view_from({"view": "cost"}).blocks(rows, key_prefix="x")
    assert isinstance(chart, Chart)
    points = {s.name: s.points[0] for s in chart.panels[0].series}
    assert (points["W/"].x, points["W/"].y) == (120.0, pytest.approx(90))
    assert (points["OVF"].x, points["OVF"].y) == (400.0, pytest.approx(95))
    assert not chart.log_x
    far = [*rows, row(axes={"recipe": "IRS"}, train_seconds=5000.0)]
    (wide,) = view_from({"view": "cost"}).blocks(far, key_prefix="x")
    assert isinstance(wide, Chart)
    assert wide.log_x
