"""Draw the half-width over time from a file of results: `python -m benchmarks.figure RESULTS.json FIGURE.png`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.store import read
from steadynet.errors import SteadyNetError

INK, FULL, BLOCKS = "#333333", "#0072B2", "#D55E00"


def draw(details: dict[str, Any], path: Path) -> None:
    """Write the figure: both designs on the same axes, logarithmic, with the time saved at the narrowest common width."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, colour, style, label in (
        ("full_trace", FULL, "o", f"full: each chip sees all {details['images']:,} images"),
        ("blocks_trace", BLOCKS, "s", f"blocks: {details['blocks']} blocks, a chip each, pilot included"),
    ):
        seconds, halves = zip(*details[name], strict=True)
        axes.plot(
            seconds, [100 * half for half in halves], color=colour, marker=style, markersize=3, linewidth=1.4, label=label
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_number))
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.set_minor_formatter(FuncFormatter(_number))
    axes.set_xlabel("wall-clock time, s")
    axes.set_ylabel("half-width of the 95 % interval, points")
    axes.set_title(
        f"mean accuracy of one network at sigma_d {details['sigma_d']:.3g}, {details['data']}", fontsize=10
    )
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False, fontsize=8.5)
    figure.savefig(path, dpi=160)


def _number(value: float, _position: int) -> str:
    return f"{value:g}"


def main(arguments: list[str] | None = None) -> int:
    """Draw; return 2 if there is nothing to draw."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if len(words) != 2:
            raise SteadyNetError("name two files: RESULTS.json FIGURE.png")
        rows = read(Path(words[0]))["benches"].get("widths", {}).get("rows", [])
        if not rows:
            raise SteadyNetError(
                f"{words[0]} holds no widths: measure them by python -m benchmarks --only widths"
            )
    except SteadyNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    draw(rows[0]["details"], Path(words[1]))
    print(words[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
