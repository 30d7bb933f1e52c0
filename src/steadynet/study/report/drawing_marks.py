"""What stands in a chart's frame: lines with bands, points with bars, violins, intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from steadynet.study.report.content import Panel, Point, Series

if TYPE_CHECKING:
    from steadynet.study.report.drawing import Style

PAPER = ", published"


def curve(axes: Axes, series: Series, style: Style) -> None:
    """Draw a line with its band; where a value stands alone, with its bar; a published one dotted, without."""
    points = sorted(series.points, key=lambda point: float(point.x))
    x, y = [float(point.x) for point in points], [point.y for point in points]
    if series.published:
        axes.plot(
            x,
            y,
            color=style.colour,
            linestyle=(0, (1, 1.4)),
            linewidth=1.6,
            marker=style.marker,
            markersize=3,
            alpha=0.75,
            label=series.name + PAPER,
        )
        return
    axes.plot(
        x,
        y,
        color=style.colour,
        linestyle=style.line,
        linewidth=1.6,
        marker=style.marker,
        markersize=6,
        label=series.name,
    )
    _hollow(axes, points, style)
    known = [point for point in points if math.isfinite(point.lo) and math.isfinite(point.hi)]
    if len(known) == 1 or sum(math.isfinite(value) for value in y) == 1:
        _errors(axes, known, style)
        return
    axes.fill_between(
        x,
        [point.lo for point in points],
        [point.hi for point in points],
        color=style.colour,
        alpha=0.13,
        linewidth=0,
    )


def scatter(axes: Axes, series: Series, style: Style) -> None:
    """Draw points with the bars of their intervals."""
    points = [point for point in series.points if math.isfinite(point.y)]
    axes.plot(
        [float(point.x) for point in points],
        [point.y for point in points],
        linestyle="none",
        marker=style.marker,
        markersize=7,
        color=style.colour,
        label=series.name + (PAPER if series.published else ""),
    )
    _hollow(axes, points, style)
    _errors(axes, [point for point in points if math.isfinite(point.lo) and math.isfinite(point.hi)], style)


def violins(axes: Axes, panel: Panel, styles: Mapping[str, Style], names: Sequence[str]) -> None:
    """Draw a lying violin for each category, from the top, with the mean and its interval in it."""
    for at, point, style in _placed(axes, panel, styles, names):
        values = np.asarray([value for value in point.values if math.isfinite(value)])
        # Equal values have no density.
        if len(values) > 2 and float(values.std()) > 1e-3 * max(1e-6, abs(float(values.mean()))):
            parts = axes.violinplot([values], [at], orientation="horizontal", widths=0.85, showextrema=False)
            bodies: Any = parts["bodies"]
            for body in bodies:
                body.set(facecolor=style.colour, edgecolor=style.colour, alpha=0.3)
        axes.plot(
            values,
            np.full(len(values), at),
            linestyle="none",
            marker="|",
            color=style.colour,
            alpha=0.35,
            markersize=5,
        )
        _mark(axes, at, point, style)


def bars(axes: Axes, panel: Panel, styles: Mapping[str, Style], names: Sequence[str]) -> None:
    """Draw a lying interval for each category, from the top, and a line at 0."""
    axes.axvline(0.0, color="#666666", linewidth=0.8)
    for at, point, style in _placed(axes, panel, styles, names):
        _mark(axes, at, point, style)


def _placed(
    axes: Axes, panel: Panel, styles: Mapping[str, Style], names: Sequence[str]
) -> list[tuple[int, Point, Style]]:
    axes.set_yticks(range(len(names)), list(names), fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    return [
        (list(names).index(str(point.x)), point, styles[series.name])
        for series in panel.series
        for point in series.points
    ]


def _mark(axes: Axes, at: float, point: Point, style: Style) -> None:
    if not math.isfinite(point.y):
        return
    if math.isfinite(point.lo) and math.isfinite(point.hi):
        axes.plot([point.lo, point.hi], [at, at], color=style.colour, linewidth=1.6)
    axes.plot(
        [point.y],
        [at],
        marker=style.marker,
        markersize=7,
        markeredgecolor=style.colour,
        markerfacecolor=style.colour if point.converged else "white",
        zorder=4,
    )


def _hollow(axes: Axes, points: Sequence[Point], style: Style) -> None:
    hollow = [point for point in points if not point.converged and math.isfinite(point.y)]
    if hollow:
        axes.plot(
            [float(point.x) for point in hollow],
            [point.y for point in hollow],
            linestyle="none",
            marker=style.marker,
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=style.colour,
            zorder=4,
        )


def _errors(axes: Axes, points: Sequence[Point], style: Style) -> None:
    if points:
        reach = [[point.y - point.lo for point in points], [point.hi - point.y for point in points]]
        axes.errorbar(
            [float(point.x) for point in points],
            [point.y for point in points],
            reach,
            linestyle="none",
            color=style.colour,
            linewidth=1.2,
            capsize=2,
        )
