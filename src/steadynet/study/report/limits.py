"""How far an axis of values reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence

from steadynet.study.report.content import Chart, Panel, Point


def limits(points: Sequence[Point], *, percent: bool, from_zero: bool = False) -> tuple[float, float]:
    """Return the ends of the axis of values: all values and their intervals, but no interval that would flatten the rest.

    Student's interval of two trainings may reach many times as far as all values lie apart, and knows nothing of 0 and 100 %.

    Args:
        points: What is drawn.
        percent: Whether it cannot leave 0 … 100.
        from_zero: Whether it cannot be negative.
    """
    values = [v for p in points for v in (p.y, *p.values) if math.isfinite(v)]
    if not values:
        return 0.0, 0.0
    low, high = min(values), max(values)
    # Values that are all but equal get a frame that shows them so.
    least = max(1e-2 * max(abs(low), abs(high)), 1e-9)
    reach = max(high - low, least)
    ends = [end for p in points for end in (p.lo, p.hi) if math.isfinite(end)]
    low = max(min([low, *ends]), low - reach)
    high = min(max([high, *ends]), high + reach)
    pad = max(0.04 * (high - low), 0.5 * (least - (high - low)))
    low, high = low - pad, high + pad
    if percent:
        return max(low, -1.0), min(high, 101.0)
    return (max(low, -0.02 * high) if from_zero else low), high


def frame(chart: Chart, panel: Panel) -> tuple[float, float] | None:
    """Return the ends of the axis of values of one of a chart's panels; None where there are none."""
    points = [point for series in panel.series for point in series.points]
    # Of all that is shown, differences alone can be negative.
    signed = "difference" in chart.y_label
    low, high = limits(points, percent=chart.y_label.endswith("%"), from_zero=not signed)
    return (low, high) if high > low else None
