"""The figures that Plotly is given: what Plotly takes, with the numbers of the content, in colours that can be told apart."""

from __future__ import annotations

import html
import itertools
import math
import re

import numpy as np
import plotly.graph_objects as plotly
import pytest

from steadynet.study.report.content import Chart, Panel, Point, Series
from steadynet.study.report.page_look import DARK, LIGHT, Theme, dark_for_light, mark
from steadynet.study.report.page_plots import figures
from study.report import contents as made

CHARTS = [made.curve(), made.violin(), made.scatter(), made.bar()]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda c: c.kind)
def test_plotly_takes_every_figure(chart: Chart):
    made_figures = figures(chart)
    assert len(made_figures) == len(chart.panels)
    for figure in made_figures:
        plotly.Figure(figure)  # refuses any name or value that it does not know


def _main(figure: dict, series: int, *, published: bool = False) -> dict:
    """Return the trace that bears a series' values: that with words beside its points."""
    found = [
        trace
        for trace in figure["data"]
        if trace["meta"] == {"series": series, "published": published} and "hovertext" in trace
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda c: c.kind)
def test_every_value_is_drawn_where_it_belongs_and_told_with_its_interval_and_command(chart: Chart):
    names = list(dict.fromkeys(s.name for panel in chart.panels for s in panel.series))
    lying = chart.kind in ("violin", "bar")
    for panel, figure in zip(chart.panels, figures(chart), strict=True):
        for series in panel.series:
            trace = _main(figure, names.index(series.name), published=series.published)
            values = trace["x" if lying else "y"]
            assert values == pytest.approx([p.y for p in series.points], rel=0, abs=0, nan_ok=True)
            for at, point in enumerate(series.points):
                if lying:
                    lines = figure["layout"]["yaxis"]
                    assert lines["ticktext"][lines["tickvals"].index(trace["y"][at])] == point.x
                else:
                    assert trace["x"][at] == point.x
                told = html.unescape(re.sub("<br>", " ", trace["hovertext"][at]))
                assert " ".join(point.detail.split()) in " ".join(told.split())
                assert ("not converged" in told) == (not point.converged)
                if math.isfinite(point.lo):
                    assert f"[{point.lo:.6g}, {point.hi:.6g}]".replace("-", "−") in told


def test_a_gap_stays_a_gap_and_an_interval_alone_is_a_bar():
    chart = made.curve()
    figure = figures(chart)[1]
    ovf = _main(figure, made.RECIPES.index("OVF"))
    assert [at for at, y in enumerate(ovf["y"]) if math.isnan(y)] == [4]
    assert ovf["connectgaps"] is False
    bands = [t for t in figure["data"] if t.get("fill") == "toself" and t["name"] == "OVF"]
    assert [sorted(set(t["x"])) for t in bands] == [[0.0, 0.05, 0.1, 0.15], [0.25, 0.3, 0.35, 0.4]]
    assert not any(math.isnan(y) for t in bands for y in t["y"])
    irs = _main(figure, made.RECIPES.index("IRS"))  # intervals at 0 … 2, at 4 alone, at 6 … 8
    assert [at for at, reach in enumerate(irs["error_y"]["array"]) if reach is not None] == [4]
    point = chart.panels[1].series[made.RECIPES.index("IRS")].points[4]
    assert irs["error_y"]["array"][4] == pytest.approx(point.hi - point.y)
    assert irs["error_y"]["arrayminus"][4] == pytest.approx(point.y - point.lo)


def test_a_band_runs_along_the_upper_ends_and_back_along_the_lower():
    points = tuple(Point(float(x), x + 0.0, x - 1.0, x + 2.0) for x in (3, 1, 2))
    chart = Chart("k", "t", "curve", "x", "y", (Panel("", (Series("a", points),)),))
    band = figures(chart)[0]["data"][0]
    assert band["x"] == [1, 2, 3, 3, 2, 1]
    assert band["y"] == [3, 4, 5, 2, 1, 0]


def test_published_numbers_are_dotted_and_bear_no_interval():
    figure = figures(made.curve())[0]
    theirs = [t for t in figure["data"] if t["meta"]["published"]]
    assert [t["name"] for t in theirs] == ["W/, published", "OVF, published"]
    assert all(t["line"]["dash"] == "dot" for t in theirs)
    assert not any("error_y" in t or "fill" in t for t in theirs)
    assert not any(t["line"].get("dash") == "dot" for t in figure["data"] if not t["meta"]["published"])


def test_what_is_not_converged_is_hollow():
    index = made.RECIPES.index("worst-case")
    trace = _main(figures(made.curve())[5], index)
    assert set(trace["marker"]["color"]) == {LIGHT.paper}
    assert trace["marker"]["line"]["color"] == LIGHT.series[index % len(LIGHT.series)]
    assert min(trace["marker"]["line"]["width"]) > 1
    filled = _main(figures(made.curve())[0], index)
    assert LIGHT.paper not in filled["marker"]["color"]


def test_a_violin_is_drawn_of_draws_that_have_a_spread_and_ticks_of_the_others():
    chart = made.violin()
    figure = figures(chart)[0]
    violins = {t["name"]: t for t in figure["data"] if t["type"] == "violin"}
    assert list(violins) == ["W/O", "W/", "W/, T = 5"]  # two draws, equal draws and none have no density
    assert violins["W/"]["x"] == list(chart.panels[0].series[1].points[0].values)
    ticks = [t["name"] for t in figure["data"] if t["type"] == "scatter" and "hovertext" not in t]
    assert ticks == ["W/O", "W/", "W/, T = 5", "OVF", "IRS"]


def test_text_reaches_plotly_as_text():
    for chart in made.hostile().blocks[:2]:
        assert isinstance(chart, Chart)
        for figure in figures(chart):
            texts = [t["name"] for t in figure["data"]]
            texts += [figure["layout"]["xaxis"]["title"]["text"]]
            texts += [text for t in figure["data"] for text in t.get("hovertext", ())]
            texts += figure["layout"]["yaxis"].get("ticktext", [])
            for text in texts:
                own = re.sub(r"</?b>|<br>", "", text)  # ours: a bold name, ends of lines
                assert "<" not in own
                assert "$" not in own


def test_series_keep_their_look_in_all_panels_and_the_first_64_differ():
    looks = [mark(index) for index in range(64)]
    assert len({(look.colour, look.symbol, look.dash) for look in looks}) == 64
    assert len({(look.colour, look.symbol) for look in looks[:9]}) == 9
    chart = Chart(
        "k",
        "t",
        "curve",
        "x",
        "y",
        (
            Panel("1", (Series("a", (Point(1.0, 1.0),)), Series("b", (Point(1.0, 1.0),)))),
            Panel("2", (Series("b", (Point(1.0, 1.0),)),)),
        ),
    )
    first, second = figures(chart)
    assert _main(first, 1)["line"] == _main(second, 1)["line"] != _main(first, 0)["line"]


def _linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def _contrast(one: str, other: str) -> float:
    """Contrast as WCAG 2 defines it."""
    low, high = sorted(float(_linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


# What those see who lack one kind of cones (Machado, Oliveira, Fernandes 2009, severity 1), in linear RGB.
SIGHT = {
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def _lab(colour: str, sight: str) -> np.ndarray:
    seen = np.clip(np.array(SIGHT[sight]) @ _linear(colour), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-9))
    return np.array([116 * y, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_series_stand_out_from_the_background(theme: Theme):
    for text in (theme.ink, theme.muted, theme.link):
        assert min(_contrast(text, theme.paper), _contrast(text, theme.surface)) >= 4.5
    for colour in theme.series:
        assert _contrast(colour, theme.paper) >= 3.0  # WCAG 2.2, 1.4.11: graphics


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_series_are_told_apart_whatever_cones_one_has(theme: Theme, sight: str):
    # A distance of 2.3 is just noticed; the marker and the line differ besides.
    pairs = itertools.combinations(theme.series, 2)
    assert min(float(np.linalg.norm(_lab(a, sight) - _lab(b, sight))) for a, b in pairs) > 7.0


def test_each_colour_of_a_figure_has_its_counterpart_in_the_dark():
    known, used = dark_for_light(), set[str]()

    def collect(value: object, key: str = "") -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                collect(one, name)
        elif isinstance(value, list):
            for one in value:
                collect(one, key)
        elif isinstance(value, str) and key.endswith("color"):
            used.add(value)

    for chart in CHARTS:
        for figure in figures(chart):
            collect(figure)
    assert used - set(known) == {"rgba(0,0,0,0)"}
    assert len(set(known.values())) == len(known)
