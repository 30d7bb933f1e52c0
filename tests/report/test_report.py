"""Rows become cells, a table, files and figures that say what their intervals are over."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.image import imread
from rich.console import Console

from steadynet.errors import SteadyNetError
from steadynet.report import markdown_table, print_table, summarise, write_report
from steadynet.report.figures import COLOURS, MARKERS, curve
from steadynet.report.rows import interval_caption, student_half_width, training_caption
from steadynet.report.table import accuracy_text, render_table


def estimate(mean: float, half: float = 0.01) -> dict[str, Any]:
    return {"mean": mean, "std": 0.05, "lo": mean - half, "hi": mean + half, "values": [mean, mean]}


def row(
    recipe: str, seed: int = 0, sigma_d: float = 0.2, accuracy: float = 0.9, **others: Any
) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "seed": seed,
        "sigma_d": sigma_d,
        "train_sigma_d": sigma_d,
        "clean_accuracy": 0.98,
        "draws": 7,
        "accuracy": estimate(accuracy),
        "ekl": estimate(0.3),
        **others,
    }


def test_one_training_keeps_its_interval_over_draws() -> None:
    (cell,) = summarise([row("noise")])
    accuracy = cell.metrics["accuracy"]
    assert (accuracy.mean, accuracy.lo, accuracy.hi) == (0.9, 0.89, 0.91)
    assert cell.seeds == (0,)
    assert "over 7 simulated chips of one training" in interval_caption([cell], 7)


def test_several_trainings_have_students_interval_over_their_means() -> None:
    (cell,) = summarise([row("noise", seed, accuracy=a) for seed, a in enumerate((0.90, 0.92, 0.97))])
    accuracy = cell.metrics["accuracy"]
    # By hand: mean 0.93, std √((9 + 1 + 16)/2)·0.01 = 0.0360555, t_{0.975, 2} = 4.302653.
    assert accuracy.mean == pytest.approx(0.93)
    assert accuracy.half_width == pytest.approx(4.302653 * 0.0360555 / math.sqrt(3), rel=1e-6)
    assert "over 3 trainings (Student's t), each the mean of 7" in interval_caption([cell], 7)


def test_students_interval_covers_as_often_as_it_says() -> None:
    # 2000 sets of 3 standard normals: coverage 0.95, its std sqrt(.95·.05/2000) = 0.0049. Bounds of 4 std
    # give a false alarm of 6e-5, and find the normal's 1.96 in t's place (coverage 0.81) surely.
    import numpy as np

    rng = np.random.default_rng(0)
    sets = rng.standard_normal((2000, 3))
    hits = sum(abs(values.mean()) <= student_half_width([float(v) for v in values]) for values in sets)
    assert abs(hits / 2000 - 0.95) < 4 * 0.0049


def test_a_row_two_points_under_vanilla_is_not_converged() -> None:
    rows = [
        row("vanilla", clean_accuracy=0.99),
        row("noise", clean_accuracy=0.97),
        row("ovf", clean_accuracy=0.969),
    ]
    assert [cell.converged for cell in summarise(rows)] == [True, True, False]
    assert [cell.converged for cell in summarise(rows[1:])] == [None, None]


def test_convergence_is_judged_against_vanillas_same_seeds() -> None:
    rows = [row("vanilla", 0, clean_accuracy=0.99), row("vanilla", 1, clean_accuracy=0.80)]
    assert summarise([*rows, row("noise", 1, clean_accuracy=0.79)])[-1].converged is True
    assert summarise([*rows, row("noise", 0, clean_accuracy=0.79)])[-1].converged is False
    # A seed that vanilla was not trained with says nothing.
    more = [rows[0], row("noise", 0, clean_accuracy=0.99), row("noise", 1, clean_accuracy=0.93)]
    assert summarise(more)[-1].converged is True


def test_vanilla_is_the_measure_by_its_best_sigma_and_never_marked() -> None:
    rows = [row("vanilla", sigma_d=0.1, clean_accuracy=0.99), row("vanilla", sigma_d=0.3, clean_accuracy=0.7)]
    cells = summarise([*rows, row("noise", sigma_d=0.3, clean_accuracy=0.8)])
    assert [cell.converged for cell in cells] == [True, True, False]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no results"),
        ([{"recipe": "noise", "seed": 0}], "lacks sigma_d, train_sigma_d, accuracy"),
        ([row("noise"), row("noise")], "hold a seed twice"),
    ],
)
def test_bad_rows_are_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        summarise(rows)


def test_an_undefined_metric_is_left_out_and_nan_has_no_interval() -> None:
    (cell,) = summarise([row("noise", ekl=None)])
    assert "ekl" not in cell.metrics
    (cell,) = summarise([{**row("noise", worst=0.25), "accuracy": {"mean": 0.5, "lo": None, "hi": None}}])
    assert accuracy_text(cell) == "50.00"
    assert cell.metrics["worst"].mean == 0.25


def rendered(rows: list[dict[str, Any]]) -> list[str]:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(render_table(summarise(rows)))
    return [line.strip() for line in captured.get().splitlines() if line.strip()]


def test_the_table_has_a_line_per_recipe_and_a_column_per_sigma() -> None:
    rows = [row(r, sigma_d=s, accuracy=a) for r, a in (("vanilla", 0.5), ("ovf", 0.75)) for s in (0.3, 0.1)]
    rows[-1]["clean_accuracy"] = 0.5
    lines = rendered(rows)
    assert lines[0].split() == ["recipe", "clean", "sigma_d", "0.1", "sigma_d", "0.3"]
    assert lines[2].split() == ["vanilla", "98.00", "50.00", "±", "1.00", "50.00", "±", "1.00"]
    assert lines[3].split() == ["ovf", "50.00", "…", "98.00", "75.00", "±", "1.00*", "75.00", "±", "1.00"]


def test_captions_tell_training_and_asterisk(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([row("vanilla"), row("ovf", clean_accuracy=0.5)], "digits, VGG-8", draws=7)
    printed = capsys.readouterr().out
    assert printed.startswith("accuracy in %: digits, VGG-8\n")
    assert "trained at the sigma_d of the test" in printed
    assert "*: not converged" in printed
    print_table([row("vanilla"), row("ovf")], "digits")
    assert "not converged" not in capsys.readouterr().out


def test_names_and_titles_stand_as_they_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are no colours, and dollars no formulas."""
    rows = [row("mine[beta]", seed) for seed in (0, 1)] + [row("noise", seed) for seed in (0, 1)]
    title = r"folder:/data/[old]/[/x] costs $\x$"
    print_table(rows, title)
    printed = capsys.readouterr().out
    assert title in printed
    assert printed.count("mine[beta]") == 2
    assert "mine[beta]" in markdown_table(rows, title)
    (tmp_path / "out").mkdir()
    assert {path.suffix for path in write_report(tmp_path / "out", rows, title=title, about={})} >= {
        ".png",
        ".svg",
    }


def test_one_training_for_all_sigmas_is_told() -> None:
    rows = [row("noise", sigma_d=s, train_sigma_d=0.2) for s in (0.1, 0.2, 0.3)]
    assert training_caption(summarise(rows)) == "trained once, at sigma_d 0.2"
    # W/O noise has no σ_d in training, so it does not decide what the caption says.
    rows = [row("vanilla", sigma_d=0.1, train_sigma_d=0.0), row("noise", sigma_d=0.1)]
    assert training_caption(summarise(rows)) == "trained at the sigma_d of the test"


def test_files_hold_every_row(tmp_path: Path) -> None:
    rows = [row("vanilla", accuracy=0.123456789), row("ovf", clean_accuracy=0.5, nll=math.nan)]
    paths = write_report(tmp_path, rows, title="digits", about={"command": "steadynet compare"})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["about"] == {"command": "steadynet compare"}
    assert found["rows"][0]["accuracy"] == rows[0]["accuracy"]
    assert found["rows"][1]["nll"] is None
    assert [cell["converged"] for cell in found["summary"]] == [True, False]
    lines = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
    assert [line["recipe"] for line in lines] == ["vanilla", "ovf"]
    assert float(lines[0]["accuracy"]) == 0.123456789
    assert float(lines[0]["accuracy_lo"]) == rows[0]["accuracy"]["lo"]
    assert [line["converged"] for line in lines] == ["True", "False"]
    assert not any("values" in name for name in lines[0])


def test_markdown_is_a_table_and_escapes_the_asterisk() -> None:
    text = markdown_table([row("vanilla"), row("ovf", clean_accuracy=0.5)], "digits", draws=7)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert r"1.00\*|" in lines[3]


def test_figures_are_pictures_and_the_same_each_time(tmp_path: Path) -> None:
    rows = [row(r, seed, sigma_d=s) for r in ("vanilla", "ovf") for seed in (0, 1) for s in (0.1, 0.2)]
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        write_report(folder, rows, title="digits", about={})
    for name in ("accuracy", "ekl"):
        pixels = imread(first / f"{name}.png")
        assert pixels.shape[0] > 400
        assert pixels.std() > 0.05, "not blank"
        assert ET.parse(first / f"{name}.svg").getroot().tag.endswith("svg")
        assert (first / f"{name}.svg").read_bytes() == (second / f"{name}.svg").read_bytes()


def test_a_figure_shows_each_recipe_its_band_and_its_setting() -> None:
    names = ["vanilla", "noise", "noise-t4", "noise-t16-clip1.5", "ovf", "irs"]
    rows = [row(r, sigma_d=s, accuracy=0.9 - i / 10) for i, r in enumerate(names) for s in (0.1, 0.2, 0.3)]
    figure = curve(summarise(rows), "accuracy", label="accuracy, %", scale=100, title="digits, VGG-8")
    (axes,) = figure.axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines) == names
    assert list(lines["noise"].get_ydata()) == pytest.approx([80, 80, 80])
    assert len({str(line.get_color()) for line in axes.lines}) == 6
    assert len({str(line.get_marker()) for line in axes.lines}) == 6
    assert len(axes.collections) == 6
    title = axes.get_title(loc="left")
    assert title.startswith("digits, VGG-8\n")
    assert "trained at the sigma_d of the test" in title
    assert "over simulated chips" in title
    (legend,) = figure.legends
    figure.draw_without_rendering()
    box, plot = legend.get_window_extent(), axes.get_window_extent()
    assert box.x0 >= plot.x1, "the legend covers no data"


def test_one_sigma_gets_bars_and_no_ekl_no_figure(tmp_path: Path) -> None:
    write_report(tmp_path, [row("noise", ekl=None)], title="digits", about={})
    assert (tmp_path / "accuracy.png").exists()
    assert not (tmp_path / "ekl.png").exists()
    figure = curve(summarise([row("noise")]), "accuracy", label="", scale=100, title="")
    assert len(figure.axes[0].containers) == 1


def test_colours_and_markers_are_distinct() -> None:
    assert len(set(COLOURS)) == len(COLOURS) == len(set(MARKERS)) == len(MARKERS)
