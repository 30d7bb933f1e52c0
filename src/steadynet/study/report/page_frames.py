"""The frames of the page's charts: Plotly's layouts, their axes and their size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from steadynet.report.rows import order
from steadynet.study.report.content import Chart, Panel
from steadynet.study.report.limits import frame
from steadynet.study.report.page_look import LIGHT
from steadynet.study.report.page_text import at, plotted, shown_number

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"
# How many letters of a label fit a phone: of those beside a tip, and of names beside an axis.
LABEL = 46
_NAME = 22


def categories_of(chart: Chart) -> list[str]:
    """Return the names of a lying chart's lines, from the top."""
    return order(at(p.x) for panel in chart.panels for s in panel.series for p in s.points)


def is_lying(chart: Chart) -> bool:
    """Return whether values run from left to right."""
    return chart.kind in ("violin", "bar")


def layout(chart: Chart, panel: Panel, lines: list[str]) -> dict[str, Any]:
    """Return a panel's layout, without a title: the page gives it."""
    ends = frame(chart, panel)
    values: dict[str, Any] = _axis() if ends is None else {**_axis(), "range": list(ends)}
    across: dict[str, Any] = _axis()
    if is_lying(chart):
        values.update(_titled(chart.y_label), zeroline=chart.kind == "bar", zerolinecolor=LIGHT.muted)
        across.update(
            tickmode="array",
            tickvals=list(range(len(lines))),
            ticktext=[plotted(line, _NAME) for line in lines],
            range=[len(lines) - 0.4, -0.6],
            automargin=True,
        )
        axes = {"xaxis": values, "yaxis": across}
    else:
        across.update(_titled(chart.x_label.partition(":")[0]), **_places(chart))
        if chart.log_x:
            across.update(type="log")
        values.update(automargin=True)
        axes = {"xaxis": across, "yaxis": values}
    return {
        **axes,
        "height": height(chart),
        "margin": {"l": 44, "r": 12, "t": 8, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 12, "color": LIGHT.ink},
        "hovermode": "closest",
        "hoverlabel": {
            "align": "left",
            "bgcolor": LIGHT.paper,
            "bordercolor": LIGHT.muted,
            "font": {"family": _FONT, "size": 12, "color": LIGHT.ink},
            "namelength": -1,
        },
        "showlegend": False,
        "violingap": 0,
    }


def height(chart: Chart) -> int:
    """Return the height of a panel in pixels."""
    if is_lying(chart):
        return 76 + 34 * max(2, len(categories_of(chart)))
    return 380 if len(chart.panels) == 1 else 300


def _axis() -> dict[str, Any]:
    return {
        "type": "linear",
        "gridcolor": LIGHT.grid,
        "linecolor": LIGHT.rule,
        "tickcolor": LIGHT.rule,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "zeroline": False,
        "separatethousands": True,
    }


def _titled(label: str) -> dict[str, Any]:
    return {"title": {"text": plotted(label, LABEL), "font": {"size": 12}, "standoff": 8}}


def _places(chart: Chart) -> dict[str, Any]:
    """Return where ticks stand: where our points are, if these are few and no one needs a ruler between them."""
    ours = _numbers(chart)
    if chart.log_x or not 1 < len(ours) <= 9:
        return {}
    if chart.kind != "curve" and not all(value.is_integer() for value in ours):
        return {}
    return {
        "tickmode": "array",
        "tickvals": ours,
        "ticktext": [shown_number(value) for value in ours],
        "tickangle": 0,
    }


def _numbers(chart: Chart) -> list[float]:
    found: Iterable[float] = (
        float(p.x) for panel in chart.panels for s in panel.series for p in s.points if not s.published
    )
    return sorted(set(found))
