"""The leaderboard: all figures of each series, the best first, what is not converged last, and time over the control's."""

from __future__ import annotations

from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.study.report.content import Grid
from steadynet.study.report.views import view_from
from study.rows import row


def rows_of() -> list[dict[str, Any]]:
    """W/ takes 100 and 120 s, OVF 500 and 450 s; `late` does not reach plain training's clean accuracy, 0.99."""
    made: list[dict[str, Any]] = []
    for name, accuracy, clean, seconds in (
        ("W/", (0.70, 0.72), 0.98, (100.0, 120.0)),
        ("OVF", (0.80, 0.82), 0.98, (500.0, 450.0)),
        ("late", (0.90, 0.90), 0.90, (90.0, 90.0)),
        ("W/O", (0.20, 0.20), 0.99, (60.0, 60.0)),
    ):
        made += [
            row(
                accuracy[seed],
                axes={"recipe": name, "seed": seed},
                recipe="vanilla" if name == "W/O" else "noise",
                clean_accuracy=clean,
                train_seconds=seconds[seed],
            )
            for seed in (0, 1)
        ]
    return made


def grid_of(rows: list[dict[str, Any]], **keys: Any) -> Grid:
    (block,) = view_from({"view": "leaderboard", "control": "W/", **keys}).blocks(rows, key_prefix="a")
    assert isinstance(block, Grid)
    return block


def test_rows_are_ordered_and_what_is_not_converged_comes_last() -> None:
    grid = grid_of(rows_of())
    assert [line[0].text for line in grid.rows] == ["OVF", "W/", "W/O", "late"]
    assert [line[1].value for line in grid.rows] == [2] * 4
    accuracy = {line[0].text: line[2] for line in grid.rows}
    assert accuracy["OVF"].value == pytest.approx(81)
    assert not accuracy["late"].converged
    assert accuracy["OVF"].converged


def test_time_is_the_ratio_of_the_least_disturbed() -> None:
    times = {line[0].text: line[-1].value for line in grid_of(rows_of()).rows}
    assert times == {
        "W/": 1.0,
        "OVF": pytest.approx(450 / 100),
        "late": pytest.approx(90 / 100),
        "W/O": pytest.approx(60 / 100),
    }


def test_time_is_taken_from_whichever_sigma_d_was_disturbed_least() -> None:
    """At σ_d 0.2 the control was slowed down: without its time at 0.4, every other recipe would look cheap there."""
    slowed = {"W/": 4.0, "OVF": 1.0, "late": 1.0, "W/O": 1.0}
    rows = [
        {**line, "sigma_d": sigma_d, "train_seconds": line["train_seconds"] * factor}
        for line in rows_of()
        for sigma_d, factor in ((0.2, slowed[line["axes"]["recipe"]]), (0.4, 1.0))
    ]
    blocks = view_from({"view": "leaderboard", "control": "W/"}).blocks(rows, key_prefix="a")
    assert len(blocks) == 2
    for grid in blocks:
        assert isinstance(grid, Grid)
        times = {line[0].text: line[-1].value for line in grid.rows}
        assert times == {"W/": 1.0, "OVF": 4.5, "late": 0.9, "W/O": 0.6}


def test_trainings_of_other_lengths_are_compared_by_step_and_other_settings_not_at_all() -> None:
    """At σ_d 0.4 OVF trains three times as long, and another network costs all of them sixteen times as much."""
    rows: list[dict[str, Any]] = []
    for sigma_d, width, factor in ((0.2, "1/4", 1.0), (0.4, "1", 16.0)):
        for line in rows_of():
            longer = 3 if sigma_d == 0.4 and line["axes"]["recipe"] == "OVF" else 1
            rows.append(
                {
                    **line,
                    "sigma_d": sigma_d,
                    "axes": {**line["axes"], "width": width},
                    "steps": line["steps"] * longer,
                    "train_seconds": line["train_seconds"] * factor * longer,
                }
            )
    for grid in view_from({"view": "leaderboard", "control": "W/"}).blocks(rows, key_prefix="a"):
        assert isinstance(grid, Grid)
        times = {line[0].text: line[-1].value for line in grid.rows}
        assert times["OVF"] == pytest.approx(4.5)


def test_each_row_has_all_figures_and_a_smaller_likelihood_ranks_first() -> None:
    grid = grid_of(rows_of(), metric="nll")
    assert grid.columns[0] == "recipe"
    assert grid.columns[1:3] == ("trainings", "NLL, nats")
    assert {"accuracy, %", "5th percentile, %", "worst chip, %", "EKL, nats", "calibration error, %"} <= set(
        grid.columns
    )
    assert all(len(line) == len(grid.columns) for line in grid.rows)


def test_a_control_that_is_not_there_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="unknown control of view leaderboard 'W'"):
        view_from({"view": "leaderboard", "control": "W"}).blocks(rows_of(), key_prefix="a")


def test_what_has_no_result_yet_is_named_below_and_has_no_row() -> None:
    rows = rows_of()
    expected = [dict(line["axes"], sigma_d=line["sigma_d"]) for line in rows]
    expected += [{**expected[0], "recipe": name} for name in ("later", "last, if ever")]
    (grid,) = view_from({"view": "leaderboard", "control": "W/"}).blocks(
        rows, key_prefix="a", expected=expected
    )
    assert isinstance(grid, Grid)
    assert [line[0].text for line in grid.rows] == ["OVF", "W/", "W/O", "late"]
    assert "of these nothing is finished: later; last, if ever" in grid.notes


def test_the_same_trainings_under_two_names_and_percentiles_of_few_chips_are_told() -> None:
    rows = rows_of()
    same = {**rows[2], "axes": {**rows[2]["axes"], "recipe": "searched"}}
    notes = grid_of([*rows, same]).notes
    assert "the same trainings: OVF and searched" in notes
    assert "the 5th percentile of 5 chips is the worst of them" in notes
    plain = grid_of([{**found, "draws": 21} for found in rows]).notes
    assert not any("same trainings" in note or "the worst of them" in note for note in plain)
