"""How far an axis of values reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence

from steadynet.study.report.content import Point


def limits(points: Sequence[Point], *, percent: bool) -> tuple[float, float]:
    """Return the ends of the axis of values: all values and their intervals, but no interval that would flatten the rest.

    Student's interval of two trainings may reach many times as far as all values lie apart, and knows nothing of 0 and 100 %.
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
    return (max(low, -1.0), min(high, 101.0)) if percent else (low, high)
