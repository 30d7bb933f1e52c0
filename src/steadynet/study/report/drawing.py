"""Charts as pictures: PNG for pages, SVG and PDF for papers, the same bytes each time."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import rc_context  # pyright: ignore[reportUnknownVariableType] (typed in parts)
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from steadynet.errors import check_choice
from steadynet.files import write_atomically
from steadynet.report.figures import COLOURS, MARKERS, as_written
from steadynet.report.rows import order
from steadynet.study.report.content import Chart, Panel
from steadynet.study.report.drawing_marks import bars, curve, scatter, violins
from steadynet.study.report.limits import frame

# No dots: those are the published numbers'.
LINES: tuple[Any, ...] = ("-", "--", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
_CANVASES: Mapping[str, type[FigureCanvasBase]] = {
    ".png": FigureCanvasAgg,
    ".svg": FigureCanvasSVG,
    ".pdf": FigureCanvasPdf,
}
# No date, and a fixed salt: the same content gives the same file.
_METADATA: Mapping[str, dict[str, Any]] = {
    ".png": {"Software": "SteadyNet"},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Producer": "SteadyNet", "Creator": "SteadyNet"},
}
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "steadynet", "svg.fonttype": "path", "pdf.fonttype": 42}


@dataclass(frozen=True)
class Style:
    """How one series looks in all panels: colours that the colour-blind tell apart, and markers that tell in grey."""

    colour: str
    marker: str
    line: Any


# Inches that a line of a legend takes, of 9 points, and a letter of an axis's name.
_LEGEND_LINE, _LETTER = 0.2, 0.095


def style(index: int) -> Style:
    """Return the style of the `index`-th series; the first 64 differ."""
    turn = index + index // len(COLOURS)
    return Style(COLOURS[index % len(COLOURS)], MARKERS[turn % len(MARKERS)], LINES[turn % len(LINES)])


def draw(
    chart: Chart, folder: Path, *, suffixes: Sequence[str] = (".png", ".svg", ".pdf")
) -> tuple[Path, ...]:
    """Write a chart as `<key>.png`, `.svg` and `.pdf` into `folder`, and return their paths.

    Args:
        chart: The chart.
        folder: Where to; it exists.
        suffixes: In which formats.

    Raises:
        SteadyNetError: If a format is unknown, or a file cannot be written.
    """
    for suffix in suffixes:
        check_choice("format of a figure", suffix, _CANVASES)
    made = figure(chart)
    paths: list[Path] = []
    for suffix in suffixes:
        path = folder / f"{chart.key}{suffix}"
        write_atomically(path, partial(_save, made, suffix))
        paths.append(path)
    return tuple(paths)


def figure(chart: Chart) -> Figure:
    """Return a chart's figure: its panels as small multiples with shared axes, one legend for all."""
    names = order(series.name for panel in chart.panels for series in panel.series)
    styles = {name: style(index) for index, name in enumerate(order([*chart.names, *names]))}
    panels = chart.panels or (Panel("nothing is finished", ()),)
    sideways = chart.kind in ("violin", "bar")
    columns = min(len(panels), 2 if sideways and len(panels) != 3 else 3)
    rows = math.ceil(len(panels) / columns)
    lines = max((len(panel.series) for panel in panels), default=1)
    height = max(2.4, 0.9 + 0.34 * lines) if sideways else (4.2 if rows == 1 else 3.1)
    width = {1: 8.4, 2: 10.4, 3: 12.6}[columns]
    # A legend of many series is higher than their panels.
    legend = 0.0 if sideways else 0.9 + _LEGEND_LINE * len(names)
    made = Figure(figsize=(width, max(rows * height + 0.6, legend)), layout="constrained")
    grid = made.subplots(rows, columns, squeeze=False, sharex=chart.kind == "curve", sharey=sideways)
    for index, axes in enumerate(grid.flat):
        if index >= len(panels):
            axes.set_visible(False)
            continue
        _panel(axes, chart, panels[index], styles)
    across, up = (chart.y_label, "") if sideways else (chart.x_label, chart.y_label)
    for row in range(rows):
        # A long one would run over the next panel's, or out of the picture.
        grid[row][0].set_ylabel(textwrap.fill(up, int(height / _LETTER)))
    for column in range(columns):
        # The lowest frame of each column bears the numbers, whether or not the last row is full.
        lowest = max(row for row in range(rows) if row * columns + column < len(panels))
        grid[lowest][column].tick_params(labelbottom=True)
    if len(panels) == 1:
        grid[0][0].set_xlabel(across)
    else:
        made.supxlabel(across, fontsize=10)
    made.suptitle(chart.title, x=0.01, ha="left", fontsize=11)
    _legend(made, chart, grid.flat, sideways=sideways)
    return made


def _panel(axes: Axes, chart: Chart, panel: Panel, styles: Mapping[str, Style]) -> None:
    if panel.title:
        axes.set_title(panel.title, fontsize=10, loc="left")
    axes.grid(alpha=0.3, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if chart.kind in ("violin", "bar"):
        names = order(str(point.x) for one in chart.panels for s in one.series for point in s.points)
        (violins if chart.kind == "violin" else bars)(axes, panel, styles, names)
    else:
        mark: Callable[..., None] = curve if chart.kind == "curve" else scatter
        for series in panel.series:
            mark(axes, series, styles[series.name])
        if chart.log_x:
            axes.set_xscale("log")
        ticks = sorted(
            {float(p.x) for one in chart.panels for s in one.series for p in s.points if not s.published}
        )
        if 1 < len(ticks) <= 11 and (chart.kind == "curve" or all(tick.is_integer() for tick in ticks)):
            axes.set_xticks(ticks)
    ends = frame(chart, panel)
    if ends is not None:
        (axes.set_xlim if chart.kind in ("violin", "bar") else axes.set_ylim)(*ends)


def _legend(made: Figure, chart: Chart, grid: Any, *, sideways: bool) -> None:
    hollow = any(not p.converged for panel in chart.panels for s in panel.series for p in s.points)
    note = "hollow: not converged" if hollow else None
    if sideways:
        if note:
            made.legend([], [], loc="outside lower right", frameon=False, title=note, title_fontsize=9)
        return
    found: dict[str, Any] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            found.setdefault(label, handle)
    if found:
        made.legend(
            list(found.values()),
            list(found),
            loc="outside right upper",
            frameon=False,
            title=note,
            fontsize=9,
            title_fontsize=9,
        )


def _save(made: Figure, suffix: str, path: Path) -> None:
    with rc_context(_SETTINGS):
        _CANVASES[suffix](made)
        as_written(made)
        made.savefig(path, dpi=160, metadata=_METADATA[suffix])
