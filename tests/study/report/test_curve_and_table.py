"""Curves and tables hold the rows' numbers, say what their intervals are over, and show what is not there."""

from __future__ import annotations

import math
from typing import Any

import pytest

from steadynet.study.report.content import Chart, Grid
from steadynet.study.report.views import view_from
from study.rows import GRID, expected, figure3, row

T_2 = 4.302653  # 97.5 % quantile of Student's t on 2 degrees of freedom


def chart(rows: list[dict[str, Any]], **keys: Any) -> Chart:
    made = view_from({"view": "curve", **keys.pop("view", {})}).blocks(rows, key_prefix="x", **keys)[0]
    assert isinstance(made, Chart)
    return made


def grids(rows: list[dict[str, Any]], **keys: Any) -> list[Grid]:
    made = view_from({"view": "table", **keys.pop("view", {})}).blocks(rows, key_prefix="x", **keys)
    assert all(isinstance(block, Grid) for block in made)
    return [block for block in made if isinstance(block, Grid)]


def test_a_point_is_the_mean_over_seeds_in_percent_with_students_interval() -> None:
    rows = [row(a, axes={"seed": s}) for s, a in enumerate((0.90, 0.92, 0.97))]
    (point,) = chart(rows).panels[0].series[0].points
    half = T_2 * math.sqrt((9 + 1 + 16) / 2) / math.sqrt(3)
    assert (point.x, point.y) == (0.2, pytest.approx(93.0))
    assert (point.lo, point.hi) == (pytest.approx(93 - half, rel=1e-6), pytest.approx(93 + half, rel=1e-6))
    assert point.detail.startswith("3 trainings (seeds 0, 1, 2), 5 simulated chips each: steadynet study run")
    assert "'seed=0|1|2'" in point.detail
    (entry,) = grids(rows)[0].rows[0][1:2]
    assert (entry.text, entry.value) == (f"93.00 ± {half:.2f}", point.y)
    assert (entry.lo, entry.hi) == (point.lo, point.hi)


def test_one_training_keeps_its_interval_over_chips_and_the_note_says_so() -> None:
    made = chart([row(0.9, half=0.02)])
    (point,) = made.panels[0].series[0].points
    assert (point.lo, point.hi) == (pytest.approx(88), pytest.approx(92))
    assert (
        made.notes[0]
        == "bands: 95 % interval over 5 simulated chips of one training, which do not speak of other trainings"
    )
    several = chart([row(axes={"seed": s}) for s in (0, 1)]).notes[0]
    assert (
        several == "bands: 95 % interval over 2 trainings (Student's t), each the mean of 5 simulated chips"
    )


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("nll", 0.4, "0.4 ± 0.01"),
        ("ekl", 0.3, "0.3 ± 0.01"),
        ("ece", 2.0, "2.00 ± 0.10"),
        ("worst", 86.0, "86.00"),
        ("kpp5", 88.0, "88.00"),
        ("kpp10", 89.0, "89.00 ± 1.00"),
        ("clean", 98.0, "98.00"),
        ("quantised", 97.9, "97.90"),
        ("mutual_information", 0.05, "0.05"),
    ],
)
def test_every_metric_is_shown_in_its_own_unit(metric: str, value: float, text: str) -> None:
    entry = grids([row(0.9)], view={"metric": metric})[0].rows[0][1]
    assert entry.value == pytest.approx(value)
    assert entry.text == text


def test_an_undefined_metric_is_a_gap_and_a_dash_that_says_why() -> None:
    rows = [row(sigma_d=0.1), row(sigma_d=0.2, ekl=None)]
    points = chart(rows, view={"metric": "ekl"}).panels[0].series[0].points
    assert math.isfinite(points[0].y)
    assert math.isnan(points[1].y)
    entry = grids(rows, view={"metric": "ekl", "columns": "sigma_d"})[0].rows[0][2]
    assert (entry.text, entry.value) == ("–", None)
    assert entry.detail.startswith("not defined")


def test_what_is_not_finished_is_shown_as_such_and_counted() -> None:
    (mnist, cifar) = grids(
        figure3(), view={"columns": "sigma_d", "panels": "panel"}, expected=expected(**GRID)
    )
    assert cifar.title == "Accuracy, in %: ResNet-18 CIFAR-10"
    assert cifar.columns == (
        "recipe",
        "sigma_d 0",
        "sigma_d 0.1",
        "sigma_d 0.2",
        "sigma_d 0.3",
        "sigma_d 0.4",
    )
    assert [line[-1].text for line in cifar.rows] == ["–"] * 5
    assert "15 of 75 results (a training tested at a sigma_d) are not finished" in cifar.notes
    assert not any("not finished" in note for note in mnist.notes)
    made = chart(figure3(), view={"panels": "panel"}, expected=expected(**GRID))
    assert math.isnan(made.panels[1].series[0].points[-1].y)
    assert any(note.startswith("15 of 150 results") for note in made.notes)


def test_not_converged_is_marked_and_told() -> None:
    made = chart(figure3(), view={"panels": "panel"})
    marks = {s.name: [p.converged for p in s.points] for s in made.panels[0].series}
    assert marks["W/"] == [True, True, True, False, False]
    assert all(all(own) for name, own in marks.items() if name != "W/")
    assert any(note.startswith("hollow: not converged") for note in made.notes)
    assert "(not converged) at 0.3" in made.alternative
    alone = chart([row()])
    assert any("not known whether they are converged" in note for note in alone.notes)
    assert not any(note.startswith("hollow") for note in alone.notes)


def test_the_alternative_holds_every_number() -> None:
    made = chart(figure3(), view={"panels": "panel"})
    for panel in made.panels:
        assert panel.title in made.alternative
        for series in panel.series:
            for point in series.points:
                assert f"{point.y:.4g}" in made.alternative


def test_how_the_networks_were_trained_is_told() -> None:
    matched = [row(axes={"sigma_d": s}) for s in (0.1, 0.2)]
    assert "trained at the sigma_d of the test" in chart(matched).notes
    once = [row(axes={"sigma_d": 0.2}, sigma_d=s, train_sigma_d=0.2) for s in (0.1, 0.3)]
    assert "trained once, at sigma_d 0.2" in chart(once).notes
    vanilla = row(axes={"recipe": "W/O"})
    assert "trained and tested at sigma_d 0.2, vanilla without noise" in grids([row(), vanilla])[0].notes


def test_a_table_without_columns_shows_the_clean_accuracy_too() -> None:
    (made,) = grids([row(0.9), row(0.8, axes={"recipe": "OVF"})])
    assert made.columns == ("recipe", "accuracy, %", "clean accuracy, %")
    assert [[e.text for e in line] for line in made.rows] == [
        ["W/", "90.00 ± 1.00", "98.00"],
        ["OVF", "80.00 ± 1.00", "98.00"],
    ]


def test_published_numbers_stand_beside_ours_only_where_they_may() -> None:
    rows = figure3()
    views: dict[str, Any] = {"published": "figure3", "panels": "panel"}
    hidden = chart(rows, view=views)
    assert not any(series.published for panel in hidden.panels for series in panel.series)
    assert any("published numbers are left out" in note for note in hidden.notes)
    shown = chart(rows, view=views, published_allowed=True)
    theirs = {s.name: s for s in shown.panels[0].series if s.published}
    assert sorted(theirs) == ["IRS", "OVF", "W/", "W/O"]
    assert [p.y for p in theirs["OVF"].points] == [99.7, 99.6, 99.6, 99.6, 99.5, 99.4, 99.5, 99.0, 98.8]
    assert any("journal version" in note for note in shown.notes)
    table = grids(rows, view={**views, "columns": "sigma_d"}, published_allowed=True)[1]
    line = next(line for line in table.rows if line[0].text == "IRS, published")
    assert [entry.text for entry in line[1:]] == ["93.8", "91", "81.6", "65.8"]
    assert all(entry.published for entry in line)
    assert len(grids(rows, view={**views, "columns": "sigma_d"})[1].rows) == 5


def test_a_view_that_does_not_ask_shows_no_published_number() -> None:
    made = chart(figure3(), view={"panels": "panel"}, published_allowed=True)
    assert not any(series.published for panel in made.panels for series in panel.series)
    assert not any("published" in note for note in made.notes)
