"""Charts as pictures: what is drawn, in which style, and the same bytes each time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.image import imread

from steadynet.errors import SteadyNetError
from steadynet.study.report.content import Chart, Panel, Point, Series
from steadynet.study.report.drawing import draw, figure, style
from steadynet.study.report.limits import limits
from steadynet.study.report.views import view_from
from study.rows import figure3


def line(name: str, *values: float, published: bool = False, converged: bool = True) -> Series:
    return Series(
        name,
        tuple(Point(i / 10, v, v - 1, v + 1, converged) for i, v in enumerate(values)),
        published,
    )


CURVE = Chart(
    "c-1", "Title", "curve", "x", "accuracy, %", (Panel("", (line("W/", 90, 80), line("OVF", 95, 90))),)
)


def test_a_long_name_of_an_axis_stays_in_the_picture() -> None:
    long = "negative log-likelihood of all predictions: difference from W/, T = 4, nats"
    for panels in (1, 4):
        chart = dataclasses.replace(CURVE, y_label=long, panels=CURVE.panels * panels)
        made = figure(chart)
        made.draw_without_rendering()
        extents = [axes.yaxis.label.get_window_extent() for axes in made.axes if axes.get_ylabel()]
        assert [one.y0 >= 0 and one.y1 <= made.bbox.y1 for one in extents] == [True] * len(extents)
        assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(extents))


def charts() -> list[Chart]:
    written = [
        {"view": "curve", "panels": "panel", "published": "figure3"},
        {"view": "violin", "panels": "panel", "where": {"sigma_d": [0.0, 0.2]}},
        {"view": "cost", "panels": "panel"},
        {"view": "convergence", "panels": "panel", "where": {"sigma_d": [0.2]}},
        {"view": "ranking", "control": "W/", "panels": "panel"},
        {"view": "ranking", "control": "W/", "panels": "panel", "where": {"sigma_d": [0.2]}},
    ]
    rows = figure3()
    return [
        block
        for number, view in enumerate(written)
        for block in view_from(view).blocks(rows, key_prefix=f"x-{number}", published_allowed=True)
        if isinstance(block, Chart)
    ]


@pytest.mark.parametrize("chart", charts(), ids=lambda chart: chart.key)
def test_every_kind_is_drawn_in_every_format_and_the_same_each_time(chart: Chart, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        names = [path.name for path in draw(chart, folder)]
        assert names == [f"{chart.key}{suffix}" for suffix in (".png", ".svg", ".pdf")]
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.suffix
    pixels = imread(first / f"{chart.key}.png")
    assert pixels.std() > 0.05, "not blank"
    assert ET.parse(first / f"{chart.key}.svg").getroot().tag.endswith("svg")
    assert (first / f"{chart.key}.pdf").read_bytes().startswith(b"%PDF")


def test_curves_hold_the_points_and_published_ones_are_dotted_in_the_same_colour() -> None:
    panel = Panel("", (line("W/", 90, 80), line("W/", 91, 70, published=True), line("OVF", 95, 90)))
    made = figure(dataclasses.replace(CURVE, panels=(panel,)))
    (axes,) = made.axes
    lines = {str(one.get_label()): one for one in axes.lines}
    assert list(lines) == ["W/", "W/, published", "OVF"]
    assert list(np.asarray(lines["W/"].get_ydata())) == [90, 80]
    assert lines["W/"].get_color() == lines["W/, published"].get_color() != lines["OVF"].get_color()
    assert len(axes.collections) == 2, "a band for each of ours, none for what is published"
    (legend,) = made.legends
    assert [text.get_text() for text in legend.get_texts()] == list(lines)


def test_a_gap_breaks_the_line_and_hollow_marks_what_is_not_converged() -> None:
    points = (Point(0.0, 90.0), Point(0.1, math.nan), Point(0.2, 80.0, converged=False))
    made = figure(dataclasses.replace(CURVE, panels=(Panel("", (Series("W/", points),)),)))
    drawn, hollow = made.axes[0].lines
    assert np.isnan(np.asarray(drawn.get_ydata(), dtype=float)).tolist() == [False, True, False]
    assert (list(np.asarray(hollow.get_xdata())), hollow.get_markerfacecolor()) == ([0.2], "white")
    (legend,) = made.legends
    assert legend.get_title().get_text() == "hollow: not converged"


def test_a_series_looks_the_same_in_all_panels_and_all_have_a_place() -> None:
    panels = (Panel("one", (line("W/", 1, 2), line("OVF", 2, 3))), Panel("two", (line("OVF", 3, 4),)))
    made = figure(dataclasses.replace(CURVE, panels=(*panels, *panels)))
    shown = [axes for axes in made.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["one", "two", "one", "two"]
    assert shown[1].lines[0].get_color() == shown[0].lines[1].get_color()
    assert len(made.legends[0].get_texts()) == 2
    made.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in shown]
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            assert box is not None
            assert other is not None
            assert (
                min(box.x1, other.x1) <= max(box.x0, other.x0) + 1
                or min(box.y1, other.y1) <= max(box.y0, other.y0) + 1
            )


def test_a_legend_of_many_series_is_whole() -> None:
    series = tuple(line(f"recipe {number}", 1, 2) for number in range(40))
    made = figure(dataclasses.replace(CURVE, panels=(Panel("", series),)))
    made.draw_without_rendering()
    box = made.legends[0].get_window_extent()
    assert len(made.legends[0].get_texts()) == 40
    assert box.y0 >= 0
    assert box.y1 <= made.bbox.y1


def test_styles_differ_in_colour_marker_and_line_for_the_first_64() -> None:
    styles = [style(index) for index in range(64)]
    assert len({(s.colour, s.marker) for s in styles}) == 64
    assert len({s.colour for s in styles[:8]}) == len({s.marker for s in styles[:8]}) == 8


def test_an_interval_that_reaches_far_does_not_flatten_the_rest() -> None:
    low, high = limits([Point(0, 90, -500, 700), Point(1, 80, 79, 81)], percent=False)
    assert 60 < low < 80
    assert 90 < high < 110
    assert limits([Point(0, 99, 80, 130), Point(1, 10)], percent=True)[1] <= 101
    assert limits([Point(0, math.nan)], percent=True) == (0.0, 0.0)
    low, high = limits([Point(0, 99.0), Point(1, 99.0)], percent=True)
    assert low < 98.6 < 99.4 < high


def test_equal_draws_have_no_violin_but_a_mark(tmp_path: Path) -> None:
    points = (Point("W/", 90.0, values=(90.0,) * 5), Point("OVF", 91.0, values=(90.0, 91.0, 92.0)))
    chart = Chart(
        "v-1",
        "t",
        "violin",
        "recipe",
        "accuracy, %",
        (Panel("", tuple(Series(str(p.x), (p,)) for p in points)),),
    )
    (axes,) = figure(chart).axes
    assert len(axes.collections) == 1
    assert [text.get_text() for text in axes.get_yticklabels()] == ["W/", "OVF"]
    draw(chart, tmp_path, suffixes=(".png",))
    assert [path.name for path in tmp_path.iterdir()] == ["v-1.png"]


def test_a_chart_of_nothing_is_drawn_as_such_and_an_unknown_format_is_refused(tmp_path: Path) -> None:
    empty = dataclasses.replace(CURVE, panels=())
    assert figure(empty).axes[0].get_title(loc="left") == "nothing is finished"
    draw(empty, tmp_path)
    with pytest.raises(SteadyNetError, match=r"unknown format of a figure '.gif'"):
        draw(CURVE, tmp_path, suffixes=(".gif",))
