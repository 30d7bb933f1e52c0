"""A metric over a numeric axis: a line for each series, a frame for each panel."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from steadynet.errors import SteadyNetError
from steadynet.study import published as paper
from steadynet.study.report.content import Block, Chart, Panel, Point, Series
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.groups import Group, Label, Row, select
from steadynet.study.report.views.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class CurveView(View):
    """Lines with interval bands.

    Args:
        title: Heading.
        where: Only rows with these labels.
        metric: What is shown.
        x: Axis whose labels are numbers.
        series: Axis whose labels are lines.
        panels: Axis whose labels are frames.
        published: Published numbers that may stand beside ours.
    """

    kind: ClassVar[str] = "curve"

    metric: str = "accuracy"
    x: str = "sigma_d"
    series: str = "recipe"
    panels: str | None = None
    published: str | None = None

    def blocks(
        self,
        rows: Sequence[Row],
        *,
        key_prefix: str,
        published_allowed: bool = False,
        expected: Sequence[Mapping[str, Label]] | None = None,
    ) -> tuple[Block, ...]:
        """Return the chart; see `View.blocks`."""
        selection = select(rows, self.where, expected)
        axes = [axis for axis in (self.panels, self.series, self.x) if axis is not None]
        groups = selection.groups(axes, self.kind)
        xs = selection.labels(self.x)
        bad = [x for x in xs if not isinstance(x, int | float)]
        if bad:
            raise SteadyNetError(
                f"view curve: x must be an axis of numbers, but {self.x} has {bad[0]!r}: take a table, or another x"
            )
        metric, panels, told = self.shown_metric, list[Panel](), False
        for panel in selection.labels(self.panels):
            lines: list[Series] = []
            for name in selection.labels(self.series):
                own = {
                    x: group
                    for x in xs
                    if (group := groups.get(tuple(v for v in (panel, name, x) if v is not None))) is not None
                }
                if not any(group.rows for group in own.values()):
                    continue
                lines.append(Series(str(name), tuple(point(metric, x, group) for x, group in own.items())))
                if self.published is not None and published_allowed:
                    theirs = self._published(self.published, own)
                    if theirs:
                        told = True
                        lines.append(Series(str(name), theirs, published=True))
            if lines:
                panels.append(Panel(words.panel_title(panel, self.panels), tuple(lines)))
        chart = Chart(
            key=words.key(key_prefix, self.kind, self.metric),
            title=self.title or f"{metric.heading} over {self.x}",
            kind="curve",
            x_label=words.axis_label(self.x),
            y_label=metric.label,
            panels=tuple(panels),
            names=selection.names(self.series),
            notes=(
                *words.notes(groups.values(), sign="bands", mark="hollow"),
                *words.published_note(self.published, told, published_allowed),
            ),
        )
        return (dataclasses.replace(chart, alternative=words.alternative(chart)),)

    def _published(self, name: str, groups: Mapping[Any, Group]) -> tuple[Point, ...]:
        """Return the published points of one line: at all published σ_d if x is that, else where ours are."""
        first = next(group.rows[0] for group in groups.values() if group.rows)
        if self.x == "sigma_d":
            found = [(x, paper.find(name, self.metric, first["options"], x)) for x in paper.SIGMAS]
        else:
            found = [
                (x, paper.find(name, self.metric, group.rows[0]["options"], group.rows[0]["sigma_d"]))
                for x, group in groups.items()
                if group.rows
            ]
        return tuple(
            Point(float(x), number.value, detail=f"published: {number}")
            for x, number in found
            if number is not None
        )


def point(metric: Metric, x: Any, group: Group) -> Point:
    """Return the point of a group; NaN where it is not finished or the metric not defined."""
    estimate = metric.estimate(group.rows) if group.rows else None
    at = float(x) if isinstance(x, int | float) else str(x)
    if estimate is None:
        return Point(at, math.nan, detail=group.detail if group.rows else "not finished")
    return Point(
        at, estimate.mean, estimate.lo, estimate.hi, group.converged is not False, detail=group.detail
    )
