"""Rankings: the better first, differences paired by seed, and verdicts that their intervals allow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from steadynet.study.report.content import Chart, Grid
from steadynet.study.report.page_plots import figures
from steadynet.study.report.views import view_from
from steadynet.study.report.views.comparing import by_seed
from steadynet.study.report.views.groups import select
from steadynet.study.report.views.metrics import METRICS
from steadynet.study.report.views.ranking import RankingView, Standing
from study.rows import figure3, row


def rows_of(**accuracies: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return a row for each accuracy; `control`, and others by name."""
    return [
        row(a, axes={"recipe": n, "seed": s})
        for n, values in accuracies.items()
        for s, a in enumerate(values)
    ]


def standings(rows: list[dict[str, Any]], **keys: Any) -> dict[str, Standing]:
    view = RankingView.made_from({"control": "control", **keys})
    return {str(s.name): s for s in view.standings(select(rows, {}, None))}


def test_a_difference_is_paired_by_seed_with_students_interval() -> None:
    found = standings(rows_of(control=(0.80, 0.90, 0.70), other=(0.81, 0.93, 0.75)))["other"]
    # By hand: 1, 3, 5 points: mean 3, std 2, t_{0.975, 2} = 4.302653.
    half = 2 * 4.302653 / math.sqrt(3)
    assert found.difference is not None
    assert found.pairs == 3
    assert found.difference.mean == pytest.approx(3)
    assert (found.difference.lo, found.difference.hi) == pytest.approx((3 - half, 3 + half), rel=1e-6)


@pytest.mark.parametrize(
    ("points", "verdict"),
    [
        ((3.0, 3.1, 3.2), "better"),
        ((-3.0, -3.1, -3.2), "worse"),
        ((0.5, 0.51, 0.52), "better, by less than 1 point"),
        ((-0.5, -0.51, -0.52), "worse, by less than 1 point"),
        ((0.1, -0.1, 0.0), "equivalent within 1 point"),
        # No spread at all, as between accuracies on few images, gives no interval.
        ((0.0, 0.0, 0.0), "undecided"),
        ((0.5, 0.5), "undecided"),
        ((0.0, 0.001, 0.0), "equivalent within 1 point"),
        ((2.0, -2.0, 0.0), "undecided"),
        ((0.8, 0.9, -0.2), "undecided"),
        ((9.0,), "undecided"),
    ],
)
def test_a_verdict_is_what_the_whole_interval_allows(points: tuple[float, ...], verdict: str) -> None:
    other = tuple(0.8 + p / 100 for p in points)
    assert standings(rows_of(control=(0.8,) * len(points), other=other))["other"].verdict == verdict


def test_where_less_is_better_the_smaller_wins_and_comes_first() -> None:
    rows = [
        row(axes={"recipe": n, "seed": s}, nll={"mean": v + s * v / 1000, "std": 0.1, "lo": None, "hi": None})
        for n, v in (("control", 0.5), ("small", 0.3), ("large", 0.9))
        for s in (0, 1)
    ]
    found = standings(rows, metric="nll")
    assert list(found) == ["small", "control", "large"]
    assert {name: s.verdict for name, s in found.items()} == {
        "small": "better",
        "control": "control",
        "large": "worse",
    }


def test_equivalence_is_for_points_alone() -> None:
    rows = rows_of(control=(0.8, 0.8), other=(0.8, 0.8))
    assert standings(rows, metric="ekl")["other"].verdict == "undecided"


def test_what_is_not_converged_wins_and_loses_nothing() -> None:
    vanilla = [row(0.1, axes={"recipe": "W/O", "seed": s}, clean_accuracy=0.99) for s in (0, 1)]
    short = [row(0.95 + s / 1000, axes={"recipe": "short", "seed": s}, clean_accuracy=0.9) for s in (0, 1)]
    fine = [row(0.8 + s / 1000, axes={"recipe": "fine", "seed": s}) for s in (0, 1)]
    rows = [*vanilla, *short, *fine]
    assert standings(rows, control="fine")["short"].verdict == "not converged"
    assert standings(rows, control="short")["fine"].verdict == "control not converged"
    assert standings(rows, control="fine")["W/O"].verdict == "worse"


def test_the_same_trainings_under_two_names_are_told_as_such() -> None:
    control = rows_of(control=(0.8, 0.9, 0.7))
    same = [{**found, "axes": {**found["axes"], "recipe": "searched"}} for found in control[:2]]
    found = standings([*control, *same])["searched"]
    assert (found.verdict, found.pairs) == ("the same trainings", 2)
    same[1]["cell"] = "another"
    assert standings([*control, *same])["searched"].verdict == "undecided"


def test_what_is_decided_among_all_comparisons_of_a_table_is_marked() -> None:
    # Of three pairs, p by hand (two degrees of freedom: p = 1 − t/√(t² + 2)): t = 3/(0.1/√3) = 52, p = 0.0004;
    # t = 1/(0.3/√3) = 5.8, p = 0.029, which alone is decided and beside two others is not (0.05/2); t = 0.
    control = (0.8, 0.8, 0.8)
    others = {"sure": (3.0, 3.1, 2.9), "alone": (1.0, 1.3, 0.7), "none": (-2.0, 0.0, 2.0)}
    rows = rows_of(
        control=control, **{name: tuple(0.8 + p / 100 for p in points) for name, points in others.items()}
    )
    table = view_from({"view": "ranking", "control": "control"}).blocks(rows, key_prefix="x")[0]
    assert isinstance(table, Grid)
    verdicts = {line[0].text: line[-1].text for line in table.rows}
    assert verdicts == {"sure": "better †", "alone": "better", "none": "undecided", "control": "control"}
    assert any(note.startswith("†: decided also where all 3 converged comparisons") for note in table.notes)
    few = view_from({"view": "ranking", "control": "control"}).blocks(rows[:6], key_prefix="x")[0]
    assert isinstance(few, Grid)
    assert [line[-1].text for line in few.rows] == ["better", "control"]
    assert not any("at once" in note for note in few.notes)


def test_seeds_that_only_one_has_do_not_count() -> None:
    rows = [
        *rows_of(control=(0.8, 0.9, 0.7)),
        *(row(0.9, axes={"recipe": "other", "seed": s}) for s in (0, 2, 7)),
    ]
    assert standings(rows)["other"].pairs == 2
    alone = [*rows_of(control=(0.8, 0.9)), row(0.9, axes={"recipe": "other", "seed": 1})]
    assert (standings(alone)["other"].pairs, standings(alone)["other"].difference) == (1, None)


def test_verdicts_err_as_often_as_their_level_says() -> None:
    # 1000 studies of 3 seeds with no difference at all, of std 1 point: better or worse in 5 %. std of the count
    # sqrt(1000 · .05 · .95) = 6.9; 50 ± 28 gives a false alarm of 5e-5, and finds the normal's quantile in t's place
    # (19 %, 190 ± 12) with a power of 1.
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        base, other = rng.normal(0.8, 0.05, 3), rng.normal(0, 0.01, 3)
        verdict = standings(rows_of(control=tuple(base), other=tuple(base + other)))["other"].verdict
        wrong += verdict.startswith(("better", "worse"))
    assert abs(wrong - 50) < 28


def test_a_table_for_each_panel_and_lines_of_differences_over_sigma_d() -> None:
    view = view_from({"view": "ranking", "control": "W/, T = 4", "panels": "panel"})
    first, second, chart = view.blocks(figure3(), key_prefix="x")
    assert isinstance(first, Grid)
    assert isinstance(second, Grid)
    assert isinstance(chart, Chart)
    assert first.columns == ("recipe", "sigma_d", "accuracy, %", "minus W/, T = 4", "pairs", "verdict")
    assert (len(first.rows), len(second.rows)) == (25, 20)
    at = [line for line in first.rows if line[1].text == "0.4"]
    assert [line[2].value for line in at] == sorted((line[2].value or 0.0 for line in at), reverse=True)
    assert at[-1][0].text == "W/O"
    assert at[-1][3].text.startswith("−")
    assert [entry.text for entry in at[-1][4:]] == ["3", "worse †"]
    assert (chart.kind, len(chart.panels)) == ("curve", 2)
    line = next(s for s in chart.panels[0].series if s.name == "W/O")
    assert line.points[-1].y == at[-1][3].value
    control = next(s for s in chart.panels[0].series if s.name == "W/, T = 4")
    assert [p.y for p in control.points] == [0.0] * 5


def test_more_series_than_lines_are_told_apart_give_intervals_for_each_sigma_d() -> None:
    def chart(others: int) -> Chart:
        rows = [
            row(0.5 + 0.01 * number + 0.001 * seed, axes={"recipe": name, "seed": seed}, sigma_d=sigma_d)
            for sigma_d in (0.1, 0.2)
            for number, name in enumerate(["control", *(f"r{n}" for n in range(others))])
            for seed in (0, 1)
        ]
        made = view_from({"view": "ranking", "control": "control"}).blocks(rows, key_prefix="x")[-1]
        assert isinstance(made, Chart)
        return made

    assert chart(9).kind == "curve"
    many = chart(10)
    assert (many.kind, [panel.title for panel in many.panels]) == ("bar", ["sigma_d 0.1", "sigma_d 0.2"])
    for panel in many.panels:
        assert [s.name for s in panel.series] == [*(f"r{n}" for n in reversed(range(10))), "control"]
        best = panel.series[0].points
        assert [(p.x, round(p.y, 6)) for p in best] == [("r9", 10.0)]


def test_what_is_marked_as_not_converged_is_that_and_not_what_is_held_against_it() -> None:
    def marked(clean: dict[str, float]) -> tuple[list[str], list[str]]:
        rows = [
            row(
                0.6 + s / 1000,
                axes={"recipe": n, "seed": s},
                clean_accuracy=c,
                recipe=k,
                options={"recipe": k},
            )
            for n, c, k in (
                ("W/O", 0.98, "vanilla"),
                ("control", clean["control"], "noise"),
                ("r", clean["r"], "noise"),
            )
            for s in (0, 1)
        ]
        grid, chart = view_from({"view": "ranking", "control": "control"}).blocks(rows, key_prefix="x")
        assert isinstance(grid, Grid)
        assert isinstance(chart, Chart)
        starred = [line[0].text for line in grid.rows if not all(entry.converged for entry in line)]
        return [s.name for s in chart.panels[0].series if not s.points[0].converged], starred

    assert marked({"control": 0.98, "r": 0.9}) == (["r"], ["r"])
    assert marked({"control": 0.9, "r": 0.98}) == (["control"], ["control"])


def test_a_series_looks_alike_in_all_charts_of_a_study() -> None:
    """Where one has no difference to show, or a view shows some alone, the others keep their colours and marks."""
    rows = [
        *rows_of(control=(0.8, 0.9), other=(0.9, 0.91), last=(0.7, 0.72)),
        row(0.5, axes={"recipe": "single", "seed": 7}),
    ]
    ends: list[Any] = []
    for view in (
        {"view": "ranking", "control": "control"},
        {"view": "cost"},
        {"view": "cost", "where": {"recipe": ["control", "last"]}},
    ):
        chart = view_from(view).blocks(
            rows, key_prefix="x", expected=[{**r["axes"], "sigma_d": 0.2} for r in rows]
        )[-1]
        assert isinstance(chart, Chart)
        traces = [trace for trace in figures(chart)[0]["data"] if trace["name"] == "last"]
        ends.append((traces[-1]["marker"]["symbol"], traces[-1]["marker"]["color"]))
    assert ends == [ends[0]] * 3


def test_one_sigma_d_gives_intervals_by_recipe_and_one_seed_no_chart() -> None:
    view = view_from({"view": "ranking", "control": "control"})
    grid, chart = view.blocks(rows_of(control=(0.8, 0.9), other=(0.9, 0.91)), key_prefix="x")
    assert isinstance(chart, Chart)
    assert chart.kind == "bar"
    # The better first, as in the table.
    assert [s.points[0].x for s in chart.panels[0].series] == ["other", "control"]
    assert any("over 2 pairs (Student's t)" in note for note in grid.notes)
    assert len(view.blocks(rows_of(control=(0.8,), other=(0.9,)), key_prefix="x")) == 1


def test_a_seed_without_a_number_is_in_no_pair() -> None:
    """As of EKL, where no prediction of a training is correct."""
    rows = [
        row(axes={"recipe": "a", "seed": seed}, ekl={"mean": mean, "std": None, "lo": None, "hi": None})
        for seed, mean in ((0, 0.1), (1, None), (2, math.nan))
    ]
    assert by_seed(METRICS["ekl"], rows) == {0: 0.1}


def test_of_errors_and_times_less_is_better() -> None:
    assert {name for name, metric in METRICS.items() if not metric.higher_is_better} == {
        "ece",
        "ekl",
        "nll",
        "brier",
        "logits_temperature",
        "mutual_information",
        "train_seconds",
    }
