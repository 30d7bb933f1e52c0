"""Who is better: series by their mean, with their differences from a control, paired by seed."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from steadynet.errors import unknown
from steadynet.report.rows import Estimate
from steadynet.study.report.content import Block, Chart, Entry, Grid, Panel, Point, Series
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.comparing import SAME, compared, difference_text, held_together
from steadynet.study.report.views.groups import Group, Label, Row, Selection, select
from steadynet.study.report.views.table import entry

CONTROL = "control"
# More lines than this are not told apart.
_MOST_LINES = 10
# In the order in which findings tell them.
VERDICTS = (
    "better",
    "worse",
    "equivalent within 1 point",
    "undecided",
    "not converged",
    "control not converged",
    SAME,
)


@dataclass(frozen=True)
class Standing:
    """One series in one frame.

    Attributes:
        panel: Label of its panel; None without panels.
        sigma_d: σ_d of the test.
        name: Its label.
        group: Its trainings.
        value: Their mean.
        difference: From the control, paired by seed; None for the control itself, and where fewer than two seeds are shared.
        pairs: How many seeds are shared.
        verdict: better, worse, equivalent within 1 point, undecided, not converged, control not converged, the same trainings
            (a search may choose the control's options), or control.
    """

    panel: Label | None
    sigma_d: Label
    name: Label
    group: Group
    value: float
    difference: Estimate | None
    pairs: int
    verdict: str


@dataclass(frozen=True, kw_only=True)
class RankingView(View):
    """A table for each panel, and a chart of the differences.

    Args:
        title: Heading.
        where: Only rows with these labels.
        control: Label of the series that the others are held against.
        metric: By which they are held.
        series: Axis whose labels are ranked.
        panels: Axis with a ranking for each label.
    """

    kind: ClassVar[str] = "ranking"

    control: str
    metric: str = "accuracy"
    series: str = "recipe"
    panels: str | None = None

    def standings(self, selection: Selection) -> tuple[Standing, ...]:
        """Return all standings, by panel, by σ_d, the best first."""
        names = selection.labels(self.series)
        axes = [axis for axis in (self.panels, "sigma_d", self.series) if axis is not None]
        groups = selection.groups(axes, self.kind)
        made: list[Standing] = []
        for panel, sigma_d in itertools.product(selection.labels(self.panels), selection.labels("sigma_d")):
            if sigma_d is None:
                continue
            here = {
                name: group
                for name in names
                if name is not None
                and (group := groups.get(tuple(v for v in (panel, sigma_d, name) if v is not None)))
                is not None
                and group.rows
            }
            control = next((group for name, group in here.items() if str(name) == self.control), None)
            found = [self._standing(panel, sigma_d, name, group, control) for name, group in here.items()]
            better_first = -1 if self.shown_metric.higher_is_better else 1
            made += sorted(
                (standing for standing in found if math.isfinite(standing.value)),
                key=lambda standing: better_first * standing.value,
            )
        return tuple(made)

    def _standing(
        self, panel: Label | None, sigma_d: Label, name: Label, group: Group, control: Group | None
    ) -> Standing:
        metric = self.shown_metric
        estimate = metric.estimate(group.rows)
        value = math.nan if estimate is None else estimate.mean
        if str(name) == self.control:
            return Standing(panel, sigma_d, name, group, value, None, 0, CONTROL)
        return Standing(panel, sigma_d, name, group, value, *compared(metric, group, control))

    def blocks(
        self,
        rows: Sequence[Row],
        *,
        key_prefix: str,
        published_allowed: bool = False,
        expected: Sequence[Mapping[str, Label]] | None = None,
    ) -> tuple[Block, ...]:
        """Return the tables and the chart; see `View.blocks`."""
        selection = select(rows, self.where, expected)
        names = [str(name) for name in selection.labels(self.series)]
        if self.control not in names:
            raise unknown(f"control of view {self.kind}", self.control, names)
        axes = [axis for axis in (self.panels, "sigma_d", self.series) if axis is not None]
        groups = selection.groups(axes, self.kind)
        found = self.standings(selection)
        metric, made = self.shown_metric, list[Block]()
        for panel in selection.labels(self.panels):
            own = [standing for standing in found if standing.panel == panel]
            if not own:
                continue
            here = [group for key, group in groups.items() if panel in (None, key[0])]
            daggers, together = held_together([(s.difference, s.pairs, s.verdict) for s in own])
            made.append(
                Grid(
                    key=words.key(
                        key_prefix, self.kind, metric.name, *([str(panel)] if panel is not None else [])
                    ),
                    title=words.titled(
                        self.title or f"Ranking by {metric.words}", words.panel_title(panel, self.panels)
                    ),
                    columns=(
                        self.series,
                        "sigma_d",
                        metric.label,
                        f"minus {self.control}",
                        "pairs",
                        "verdict",
                    ),
                    rows=tuple(
                        self._line(standing, dagger) for standing, dagger in zip(own, daggers, strict=True)
                    ),
                    notes=(*self._notes(own), *together, *words.notes(here, sign="±", mark="asterisk")),
                )
            )
        if any(standing.difference is not None for standing in found):
            notes = (*self._notes(found), *words.notes(groups.values(), sign="bands", mark="hollow")[1:])
            made.append(self._chart(selection, found, key_prefix, notes))
        return tuple(made)

    def _notes(self, found: Sequence[Standing]) -> tuple[str, ...]:
        counts = sorted({standing.pairs for standing in found if standing.difference is not None})
        pairs = " or ".join(str(count) for count in counts)
        unit = "in points, " if self.shown_metric.in_points else ""
        return (
            f"differences {unit}paired by seed, as trainings of one seed share initial weights, order of images and chips"
            + (f"; their 95 % intervals are over {pairs} pairs (Student's t)" if counts else "")
            + ", each for its own comparison: of twenty, one misses by chance",
            "better, worse: the whole interval lies on one side of 0"
            + ("; equivalent: it lies within 1 point of 0" if self.shown_metric.in_points else "")
            + "; undecided: anything else, and where fewer than two seeds are shared or all differences are the same, which "
            "gives no interval",
            "what is not converged neither wins nor loses",
        )

    def _line(self, standing: Standing, dagger: str) -> tuple[Entry, ...]:
        metric, difference = self.shown_metric, standing.difference
        if difference is None:
            shown = Entry(
                "" if standing.verdict == CONTROL else "–", detail="fewer than two seeds are shared"
            )
        else:
            shown = Entry(
                difference_text(metric, difference),
                difference.mean,
                difference.lo,
                difference.hi,
                converged=standing.group.converged is not False,
                detail=f"{standing.pairs} pairs; {standing.group.detail}",
            )
        return (
            Entry(str(standing.name)),
            Entry(f"{standing.sigma_d:g}" if isinstance(standing.sigma_d, int | float) else standing.sigma_d),
            entry(metric, standing.group),
            shown,
            Entry("" if standing.verdict == CONTROL else str(standing.pairs), standing.pairs or None),
            Entry(standing.verdict + dagger),
        )

    def _chart(
        self, selection: Selection, found: Sequence[Standing], prefix: str, notes: Sequence[str]
    ) -> Chart:
        """Return the differences: lines over σ_d, or intervals by series where there is one σ_d, or too many series for lines."""
        metric = self.shown_metric
        told = [s for s in found if s.difference is not None or s.verdict == CONTROL]
        sigmas = list(dict.fromkeys(s.sigma_d for s in told))
        names = [name for name in selection.labels(self.series) if any(s.name == name for s in told)]
        lines = len(sigmas) > 1 and len(names) <= _MOST_LINES
        if not lines:
            names = list(dict.fromkeys(s.name for s in told))  # The best first.
        panels: list[Panel] = []
        for panel, sigma_d in itertools.product(selection.labels(self.panels), [None] if lines else sigmas):
            here = [s for s in told if s.panel == panel and sigma_d in (None, s.sigma_d)]
            made = [
                Series(str(name), tuple(_point(s, lines=lines) for s in here if s.name == name))
                for name in names
                if any(s.name == name for s in here)
            ]
            title = words.panel_title(panel, self.panels)
            if not lines and len(sigmas) > 1:
                title = ", ".join(filter(None, (title, words.panel_title(sigma_d, "sigma_d"))))
            if any(series.name != self.control for series in made):
                panels.append(Panel(title, tuple(made)))
        unit = "points" if metric.in_points else metric.label.rpartition(", ")[2]
        chart = Chart(
            key=words.key(prefix, self.kind, metric.name, "differences"),
            title=words.titled(f"Differences from {self.control}", self.title or metric.words),
            kind="curve" if lines else "bar",
            x_label=words.SIGMA_D if lines else self.series,
            y_label=f"{metric.label.rpartition(', ')[0] or metric.label}: difference from {self.control}, {unit}",
            panels=tuple(panels),
            notes=tuple(notes),
            names=selection.names(self.series),
        )
        return dataclasses.replace(chart, alternative=words.alternative(chart))


def _point(standing: Standing, *, lines: bool) -> Point:
    difference, pairs = standing.difference, f"{standing.verdict}, {standing.pairs} pairs"
    return Point(
        float(standing.sigma_d) if lines else str(standing.name),
        difference.mean if difference else 0.0,
        difference.lo if difference else math.nan,
        difference.hi if difference else math.nan,
        standing.group.converged is not False,
        detail=standing.verdict if standing.verdict == CONTROL else pairs,
    )
