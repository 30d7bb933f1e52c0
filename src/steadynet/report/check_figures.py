"""Figures of what is checked of one trained network: bars by layer, accuracy over images or cost, confidence beside accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from steadynet.files import write_atomically
from steadynet.report.figures import COLOURS, LINES, MARKERS, save_figure


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: What stands beside it.
        value: Accuracy in %.
        low: Lower end of its interval; equal to `value` where it has none.
        high: Upper end.
        note: What stands behind the label.
    """

    label: str
    value: float
    low: float
    high: float
    note: str = ""


def bars(title: str, entries: Sequence[Bar], *, told: str, base: float | None = None) -> Figure:
    """Return horizontal bars of accuracy, the first one at the top, with their intervals.

    A bar's length is its accuracy, or what it lacks of a `base`, so that lengths can be compared.

    Args:
        title: First line of the title.
        entries: The bars.
        told: Second line: what the intervals are over.
        base: Accuracy in % at which bars begin; 0 if None.
    """
    figure = Figure(figsize=(8.4, 1.6 + 0.42 * len(entries)), layout="constrained")
    axes: Axes = figure.add_subplot()
    places = list(range(len(entries)))[::-1]
    foot = 0.0 if base is None else base
    axes.barh(places, [entry.value - foot for entry in entries], left=foot, color=COLOURS[2], height=0.7)
    spread = [(place, e) for place, e in zip(places, entries, strict=True) if e.low < e.high]
    axes.errorbar(
        [e.value for _, e in spread],
        [place for place, _ in spread],
        xerr=[[e.value - e.low for _, e in spread], [e.high - e.value for _, e in spread]],
        fmt="none",
        ecolor="#222222",
        capsize=3,
    )
    axes.set_yticks(places, [f"{e.label} ({e.note})" if e.note else e.label for e in entries])
    if base is None:
        axes.set_xlim(0.0, 101.0)
    else:
        axes.axvline(base, color="#222222", linewidth=1)
        lowest, highest = min(e.low for e in entries), max(base, *(e.high for e in entries))
        room = max(0.05 * (highest - lowest), 0.05)
        axes.set_xlim(max(0.0, lowest - room), min(100.0, highest) + room)
    _dress(axes, title, told)
    axes.set_xlabel("accuracy, %")
    return figure


def over_images(title: str, points: Sequence[tuple[int, float, float, float]], *, told: str) -> Figure:
    """Return accuracy over the number of calibration images: (images, accuracy, low, high) in % each."""
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    axes: Axes = figure.add_subplot()
    places = list(range(len(points)))
    values = [value for _, value, _, _ in points]
    reach = [[v - low for _, v, low, _ in points], [high - v for _, v, _, high in points]]
    axes.errorbar(places, values, yerr=reach, color=COLOURS[5], marker="o", capsize=3)
    axes.set_xticks(places, [f"{images:,}" for images, _, _, _ in points])
    axes.set_xlabel("images that each chip is recalibrated on (0: not at all)")
    axes.set_ylabel("accuracy, %")
    _dress(axes, title, told)
    return figure


@dataclass(frozen=True)
class Line:
    """One line: (x, accuracy, low, high) of each point, in % but for x."""

    label: str
    points: Sequence[tuple[float, float, float, float]]


def lines(title: str, series: Sequence[Line], *, told: str, x_label: str) -> Figure:
    """Return accuracy over some cost, a line with intervals for each of `series`."""
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    axes: Axes = figure.add_subplot()
    for index, line in enumerate(series):
        axes.errorbar(
            [x for x, _, _, _ in line.points],
            [value for _, value, _, _ in line.points],
            yerr=[
                [value - low for _, value, low, _ in line.points],
                [high - value for _, value, _, high in line.points],
            ],
            color=COLOURS[(5, 4, 7, 3)[index % 4]],
            marker=MARKERS[index % len(MARKERS)],
            linestyle=LINES[index % len(LINES)],
            capsize=3,
            label=line.label,
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel("accuracy, %")
    _dress(axes, title, told)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


@dataclass(frozen=True)
class Reliability:
    """One network's predictions by their confidence: (share, confidence, accuracy) of each bin, from 0 to 1."""

    label: str
    bins: Sequence[tuple[float, float, float]]


def reliability(title: str, series: Sequence[Reliability], *, told: str) -> Figure:
    """Return accuracy over confidence beside the diagonal, on which a network knows how often it is right; marks by share."""
    figure = Figure(figsize=(8.4, 5.4), layout="constrained")
    axes: Axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="#888888", linewidth=1, linestyle=":", label="as sure as right")
    for index, one in enumerate(series):
        held = [(share, 100 * sure, 100 * right) for share, sure, right in one.bins if share > 0]
        colour = COLOURS[(4, 5)[index % 2]]
        axes.plot([sure for _, sure, _ in held], [right for _, _, right in held], color=colour, linewidth=1)
        axes.scatter(
            [sure for _, sure, _ in held],
            [right for _, _, right in held],
            # By area, and large enough to be seen.
            s=[12 + 400 * share for share, _, _ in held],
            color=colour,
            marker=MARKERS[index % len(MARKERS)],
            alpha=0.7,
            label=one.label,
        )
    axes.set_xlim(0, 103)
    axes.set_ylim(0, 103)
    axes.set_xlabel("confidence (the largest softmax), %")
    axes.set_ylabel("accuracy of predictions as sure as that, %")
    _dress(axes, title, told)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def write_figure(folder: Path, name: str, figure: Figure) -> tuple[Path, ...]:
    """Write a figure as PNG and SVG, and return their paths."""
    written: list[Path] = []
    for suffix, canvas in ((".png", FigureCanvasAgg), (".svg", FigureCanvasSVG)):
        path = folder / f"{name}{suffix}"
        write_atomically(path, partial(save_figure, figure, canvas))
        written.append(path)
    return tuple(written)


def _dress(axes: Axes, title: str, told: str) -> None:
    axes.set_title(f"{title}\n{told}", fontsize=11, loc="left")
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
