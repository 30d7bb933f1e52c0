"""What accuracy costs: the time of training against the accuracy that is kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from steadynet.study.report.content import Block, Chart, Panel, Point, Series
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.groups import Label, Row, label_text, select

# From here on, times are told apart better by their ratio.
_LOG_FROM = 10.0


@dataclass(frozen=True, kw_only=True)
class CostView(View):
    """A point for each series and σ_d: median time of its trainings, mean accuracy.

    Args:
        title: Heading.
        where: Only rows with these labels.
        metric: What is shown against the time.
        series: Axis whose labels are told apart by colour.
        panels: Axis whose labels are frames.
    """

    kind: ClassVar[str] = "cost"

    metric: str = "accuracy"
    series: str = "recipe"
    panels: str | None = None

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
        axes = [axis for axis in (self.panels, self.series, "sigma_d") if axis is not None]
        groups = selection.groups(axes, self.kind)
        metric, panels = self.shown_metric, list[Panel]()
        for panel in selection.labels(self.panels):
            made: list[Series] = []
            for name in selection.labels(self.series):
                points: list[Point] = []
                for sigma_d in selection.labels("sigma_d"):
                    group = groups.get(tuple(v for v in (panel, name, sigma_d) if v is not None))
                    estimate = metric.estimate(group.rows) if group is not None and group.rows else None
                    if group is None or estimate is None or sigma_d is None:
                        continue
                    points.append(
                        Point(
                            median(float(row["train_seconds"]) for row in group.rows),
                            estimate.mean,
                            estimate.lo,
                            estimate.hi,
                            group.converged is not False,
                            detail=f"{label_text('sigma_d', sigma_d)}, {group.detail}",
                        )
                    )
                if points:
                    made.append(Series(str(name), tuple(points)))
            if made:
                panels.append(Panel(words.panel_title(panel, self.panels), tuple(made)))
        times = [float(p.x) for panel in panels for series in panel.series for p in series.points]
        low, high = min(times, default=math.nan), max(times, default=math.nan)
        chart = Chart(
            key=words.key(key_prefix, self.kind, self.metric),
            title=self.title or f"{metric.heading} against time of training",
            kind="scatter",
            x_label="time of a training, s",
            y_label=metric.label,
            panels=tuple(panels),
            names=selection.names(self.series),
            notes=(
                "time: median over the trainings of a point, whatever else the machine did at the time",
                *(("a point for each sigma_d",) if len(selection.labels("sigma_d")) > 1 else ()),
                *words.notes(groups.values(), sign="bars", mark="hollow"),
            ),
            log_x=low > 0 and high / low > _LOG_FROM,
        )
        return (dataclasses.replace(chart, alternative=words.alternative(chart)),)
