"""Figures: accuracy and EKL over σ_d, a curve per recipe with its interval band, as PNG and SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib import rc_context  # pyright: ignore[reportUnknownVariableType] (typed in parts)
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from steadynet.files import write_atomically
from steadynet.report.rows import Cell, Estimate, order, over_trainings, training_caption

# Okabe and Ito's palette, told apart by the colour-blind, and a marker each, told apart in grey.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")


def draw_figures(folder: Path, cells: Sequence[Cell], *, title: str) -> tuple[Path, ...]:
    """Write `accuracy.png`, `accuracy.svg`, `ekl.png` and `ekl.svg` into `folder`, and return their paths.

    A figure whose metric no cell has (EKL where no prediction is correct) is left out.
    """
    written: list[Path] = []
    for name, label, scale in (
        ("accuracy", "accuracy, %", 100.0),
        ("ekl", "EKL of correct predictions, nats", 1.0),
    ):
        if not any(name in cell.metrics for cell in cells):
            continue
        figure = curve(cells, name, label=label, scale=scale, title=title)
        for suffix, canvas in ((".png", FigureCanvasAgg), (".svg", FigureCanvasSVG)):
            path = folder / f"{name}{suffix}"

            write_atomically(path, partial(save_figure, figure, canvas))
            written.append(path)
    return tuple(written)


def curve(cells: Sequence[Cell], metric: str, *, label: str, scale: float, title: str) -> Figure:
    """Return the figure of one metric over σ_d.

    Args:
        cells: From `summarise`.
        metric: Its name among the cells' metrics.
        label: What the vertical axis says.
        scale: What values are multiplied by.
        title: First line of the title; the second says how the networks were trained.
    """
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    axes: Axes = figure.add_subplot()
    for index, recipe in enumerate(order(cell.recipe for cell in cells)):
        points = sorted(
            (cell.sigma_d, cell.metrics[metric], cell.converged)
            for cell in cells
            if cell.recipe == recipe and metric in cell.metrics and math.isfinite(cell.metrics[metric].mean)
        )
        _draw(axes, recipe, index, points, scale)
    spread = "trainings" if over_trainings(cells) else "simulated chips"
    axes.set_xlabel("sigma_d: std of a device's conductance error ÷ its largest conductance")
    axes.set_ylabel(label)
    told = f"{training_caption(cells)}; bands: 95 % interval over {spread}"
    axes.set_title(f"{title}\n{told}", fontsize=11, loc="left")
    axes.set_xticks(sorted({cell.sigma_d for cell in cells}))
    if metric == "accuracy":
        # Student's interval knows nothing of 100 %; the axis does.
        axes.set_ylim(top=min(axes.get_ylim()[1], 101.0), bottom=max(axes.get_ylim()[0], 0.0))
    axes.grid(alpha=0.3, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    note = "hollow: not converged" if any(cell.converged is False for cell in cells) else None
    figure.legend(loc="outside right upper", frameon=False, title=note)
    return figure


def as_written(figure: Figure) -> None:
    """Let texts of a figure stand as they are, but for numbers of axes: between two dollars of a name there is no formula."""
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
    }
    for text in figure.findobj(Text):
        if id(text) not in ticks:
            text.set_parse_math(False)


def save_figure(figure: Figure, canvas: type[FigureCanvasAgg | FigureCanvasSVG], path: Path) -> None:
    """Write a figure; the same results give the same file."""
    # A fixed salt and no date: the same results give the same file.
    with rc_context({"svg.hashsalt": "steadynet", "svg.fonttype": "path"}):
        canvas(figure)
        as_written(figure)
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": "SteadyNet"}
        figure.savefig(path, dpi=160, metadata=metadata)


def _draw(
    axes: Axes, recipe: str, index: int, points: Sequence[tuple[float, Estimate, bool | None]], scale: float
) -> None:
    colour = COLOURS[index % len(COLOURS)]
    x = [sigma for sigma, _, _ in points]
    axes.plot(
        x,
        [scale * estimate.mean for _, estimate, _ in points],
        color=colour,
        linestyle=LINES[index % len(LINES)],
        linewidth=1.6,
        marker=MARKERS[index % len(MARKERS)],
        markersize=6,
        label=recipe,
    )
    hollow = [(sigma, scale * estimate.mean) for sigma, estimate, converged in points if converged is False]
    if hollow:
        axes.plot(
            [sigma for sigma, _ in hollow],
            [mean for _, mean in hollow],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=colour,
            zorder=3,
        )
    banded = [(sigma, e) for sigma, e, _ in points if math.isfinite(e.lo) and math.isfinite(e.hi)]
    if len(banded) == 1 or len(points) == 1:
        for sigma, e in banded:
            reach = [[scale * (e.mean - e.lo)], [scale * (e.hi - e.mean)]]
            axes.errorbar([sigma], [scale * e.mean], reach, color=colour)
    elif banded:
        axes.fill_between(
            [sigma for sigma, _ in banded],
            [scale * e.lo for _, e in banded],
            [scale * e.hi for _, e in banded],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
