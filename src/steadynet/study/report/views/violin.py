"""How the accuracies of single chips spread, a violin for each series, a frame for each σ_d and panel."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from steadynet.report.rows import mean_of
from steadynet.study.report.content import Block, Chart, Panel, Point, Series
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.groups import Group, Label, Row, label_text, select
from steadynet.study.report.views.metrics import METRICS


@dataclass(frozen=True, kw_only=True)
class ViolinView(View):
    """Draws of all seeds together, with the mean of their trainings.

    Args:
        title: Heading.
        where: Only rows with these labels.
        series: Axis whose labels are violins.
        panels: Axis whose labels, with each σ_d, are frames.
    """

    kind: ClassVar[str] = "violin"

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
        axes = [axis for axis in (self.panels, "sigma_d", self.series) if axis is not None]
        groups = selection.groups(axes, self.kind)
        panels: list[Panel] = []
        for panel, sigma_d in itertools.product(selection.labels(self.panels), selection.labels("sigma_d")):
            violins: list[Series] = []
            for name in selection.labels(self.series):
                group = groups.get(tuple(v for v in (panel, sigma_d, name) if v is not None))
                if group is not None and group.rows:
                    violins.append(Series(str(name), (_violin(str(name), group),)))
            if violins and sigma_d is not None:
                parts = (words.panel_title(panel, self.panels), label_text("sigma_d", sigma_d))
                panels.append(Panel(", ".join(part for part in parts if part), tuple(violins)))
        chart = Chart(
            key=words.key(key_prefix, self.kind),
            title=self.title or "Spread of accuracy over simulated chips",
            kind="violin",
            x_label=self.series,
            y_label=METRICS["accuracy"].label,
            panels=tuple(panels),
            names=selection.names(self.series),
            notes=(
                "violins: accuracies of single simulated chips, all trainings together; the mark is the mean of the trainings",
                *words.notes(groups.values(), sign="bars", mark="hollow"),
            ),
        )
        return (dataclasses.replace(chart, alternative=f"{words.alternative(chart)} {_spreads(chart)}"),)


def _violin(name: str, group: Group) -> Point:
    metric = METRICS["accuracy"]
    estimate = metric.estimate(group.rows)
    values = tuple(metric.scale * float(v) for row in group.rows for v in row.get("accuracy_values", ()))
    if estimate is None:
        return Point(name, math.nan, values=values, detail=group.detail)
    means = ", ".join(f"{metric.scale * mean_of(row['accuracy']):.2f}" for row in group.rows)
    return Point(
        name,
        estimate.mean,
        estimate.lo,
        estimate.hi,
        group.converged is not False,
        values,
        f"means of the trainings: {means}; {group.detail}",
    )


def _spreads(chart: Chart) -> str:
    told = [
        f"{series.name} {min(point.values):.4g} to {max(point.values):.4g}"
        + (f" ({panel.title})" if panel.title else "")
        for panel in chart.panels
        for series in panel.series
        for point in series.points
        if point.values
    ]
    return f"Chips range: {'; '.join(told)}." if told else ""
