"""Charts as Plotly's figures: plain dicts, one for each panel, in the light theme's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from steadynet.report.rows import order
from steadynet.study.report.content import Chart, Panel, Point, Series
from steadynet.study.report.page_frames import LABEL, categories_of, is_lying, layout
from steadynet.study.report.page_look import DOTTED, LIGHT, Mark, faded, mark
from steadynet.study.report.page_text import at, plotted, shown_number

# Tick marks of single draws beyond this tell nothing, and weigh much.
_TICKS = 400


def names_of(chart: Chart) -> list[str]:
    """Return the names of a study's series, those of this chart among them; the place of each gives its look."""
    return order([*chart.names, *(series.name for panel in chart.panels for series in panel.series)])


def figures(chart: Chart) -> list[dict[str, Any]]:
    """Return a figure for each panel: `data` and `layout`, the layout without a title, which the page gives."""
    marks = {name: mark(index) for index, name in enumerate(names_of(chart))}
    lines = categories_of(chart) if is_lying(chart) else []
    return [_figure(chart, panel, marks, lines) for panel in chart.panels]


def _figure(chart: Chart, panel: Panel, marks: Mapping[str, Mark], lines: list[str]) -> dict[str, Any]:
    traces: list[dict[str, Any]] = []
    for place, series in enumerate(panel.series):
        made = _traces(chart, series, marks[series.name], lines)
        for trace in made:
            trace["name"] = plotted(named(series))
            trace["showlegend"] = False
            # What a click on the legend finds it by.
            trace["meta"] = {"series": list(marks).index(series.name), "published": series.published}
            trace["zorder"] = place if "zorder" not in trace else trace["zorder"] + place
            if trace["type"] == "violin":
                del trace["zorder"]
        traces += made
    return {"data": traces, "layout": layout(chart, panel, lines)}


def named(series: Series) -> str:
    """Return what a legend calls a series."""
    return f"{series.name}, published" if series.published else series.name


def _traces(chart: Chart, series: Series, look: Mark, lines: list[str]) -> list[dict[str, Any]]:
    if chart.kind == "curve":
        points = sorted(series.points, key=lambda point: float(point.x))
        return [*_bands(points, series, look), _marks(chart, series, points, look, joined=True)]
    if chart.kind == "scatter":
        return [_marks(chart, series, series.points, look, joined=False)]
    violins = (
        [_violin(p, lines.index(at(p.x)), look) for p in series.points] if chart.kind == "violin" else []
    )
    ticks = [_ticks(p, lines.index(at(p.x)), look) for p in series.points] if chart.kind == "violin" else []
    return [
        *(one for one in violins if one is not None),
        *(one for one in ticks if one["x"]),
        _lying(chart, series, look, lines),
    ]


def _bands(points: Sequence[Point], series: Series, look: Mark) -> list[dict[str, Any]]:
    """Return the bands of a line as closed outlines, one for each run of points that have an interval."""
    if series.published:
        return []
    colour = LIGHT.series[look.colour]
    return [
        {
            "type": "scatter",
            "x": [*(float(p.x) for p in run), *(float(p.x) for p in reversed(run))],
            "y": [*(p.hi for p in run), *(p.lo for p in reversed(run))],
            "mode": "lines",
            "fill": "toself",
            "fillcolor": faded(colour),
            "line": {"width": 0, "color": colour},
            "hoverinfo": "skip",
            "zorder": -100,
        }
        for run in _runs(points)
        if len(run) > 1
    ]


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    runs: list[list[Point]] = [[]]
    for point in points:
        if _known(point):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _known(point: Point) -> bool:
    return all(math.isfinite(value) for value in (point.y, point.lo, point.hi))


def _marks(
    chart: Chart, series: Series, points: Sequence[Point], look: Mark, *, joined: bool
) -> dict[str, Any]:
    colour = LIGHT.series[look.colour]
    dash = DOTTED[0] if series.published else look.dash
    banded = {id(p) for run in _runs(points) if len(run) > 1 for p in run} if joined else set[int]()
    barred = [p for p in points if _known(p) and not series.published and id(p) not in banded]
    return {
        "type": "scatter",
        "x": [float(p.x) for p in points],
        "y": [p.y for p in points],
        "mode": "lines+markers" if joined else "markers",
        "connectgaps": False,
        "line": {"color": colour, "dash": dash, "width": 1.6},
        "opacity": 0.8 if series.published else 1.0,
        **_symbols(points, colour, look, small=series.published),
        **_errors("error_y", points, barred, colour),
        **_hover(chart, series, points),
    }


def _symbols(points: Sequence[Point], colour: str, look: Mark, *, small: bool) -> dict[str, Any]:
    return {
        "marker": {
            "symbol": look.symbol,
            "size": 5 if small else 8,
            "color": [colour if p.converged else LIGHT.paper for p in points],
            "line": {"color": colour, "width": [0 if p.converged else 1.8 for p in points]},
            "opacity": 1.0,
        }
    }


def _errors(axis: str, points: Sequence[Point], barred: Sequence[Point], colour: str) -> dict[str, Any]:
    if not barred:
        return {}
    has = {id(p) for p in barred}
    return {
        axis: {
            "type": "data",
            "symmetric": False,
            "array": [p.hi - p.y if id(p) in has else None for p in points],
            "arrayminus": [p.y - p.lo if id(p) in has else None for p in points],
            "color": colour,
            "thickness": 1.4,
            "width": 3,
        }
    }


def _lying(chart: Chart, series: Series, look: Mark, lines: list[str]) -> dict[str, Any]:
    colour = LIGHT.series[look.colour]
    points = series.points
    return {
        "type": "scatter",
        "x": [p.y for p in points],
        "y": [lines.index(at(p.x)) for p in points],
        "mode": "markers",
        "opacity": 0.8 if series.published else 1.0,
        **_symbols(points, colour, look, small=series.published),
        **_errors("error_x", points, [p for p in points if _known(p)], colour),
        **_hover(chart, series, points),
        "zorder": 100,
    }


def _violin(point: Point, line: int, look: Mark) -> dict[str, Any] | None:
    values = [value for value in point.values if math.isfinite(value)]
    # Equal values have no density.
    if len(values) < 3 or max(values) - min(values) <= 1e-9 * max(1.0, max(map(abs, values))):
        return None
    colour = LIGHT.series[look.colour]
    return {
        "type": "violin",
        "orientation": "h",
        "x": values,
        "y": [line] * len(values),
        "width": 0.85,
        "spanmode": "hard",
        "points": False,
        "fillcolor": faded(colour),
        "line": {"color": colour, "width": 1},
        "hoverinfo": "skip",
    }


def _ticks(point: Point, line: int, look: Mark) -> dict[str, Any]:
    values = [value for value in point.values if math.isfinite(value)]
    values = values if len(values) <= _TICKS else []
    colour = LIGHT.series[look.colour]
    return {
        "type": "scatter",
        "x": values,
        "y": [line] * len(values),
        "mode": "markers",
        "opacity": 0.5,
        "marker": {"symbol": "line-ns", "size": 7, "color": colour, "line": {"color": colour, "width": 1}},
        "hoverinfo": "skip",
    }


def _hover(chart: Chart, series: Series, points: Sequence[Point]) -> dict[str, Any]:
    return {"hoverinfo": "text", "hovertext": [hover_text(chart, series, point) for point in points]}


def hover_text(chart: Chart, series: Series, point: Point) -> str:
    """Return what is told beside a point: its series, its place, its value with its interval, and how to get it again."""
    value = shown_number(point.y)
    if math.isfinite(point.lo) and math.isfinite(point.hi):
        value += f" [{shown_number(point.lo)}, {shown_number(point.hi)}]"
    lines = [
        f"<b>{plotted(named(series), LABEL)}</b>",
        plotted(f"{chart.x_label.partition(':')[0]}: {at(point.x)}", LABEL),
        plotted(f"{chart.y_label}: {value}", LABEL),
    ]
    if not point.converged:
        lines.append("not converged")
    if point.detail:
        lines.append(plotted(point.detail, LABEL))
    return "<br>".join(lines)
