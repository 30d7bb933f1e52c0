"""A metric as a table: an axis for its rows, one for its columns, a table for each panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from steadynet.study import published as paper
from steadynet.study.report.content import Block, Entry, Grid
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.groups import Group, Key, Label, Row, label_text, select
from steadynet.study.report.views.metrics import METRICS, Metric


@dataclass(frozen=True, kw_only=True)
class TableView(View):
    """Values with their intervals.

    Args:
        title: Heading.
        where: Only rows with these labels.
        metric: What is shown.
        rows: Axis whose labels are rows.
        columns: Axis whose labels are columns; the metric alone, with the clean accuracy, if none.
        panels: Axis with a table for each label.
        published: Published numbers that may stand beneath ours.
    """

    kind: ClassVar[str] = "table"

    metric: str = "accuracy"
    rows: str = "recipe"
    columns: str | None = None
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
        """Return the tables; see `View.blocks`."""
        selection = select(rows, self.where, expected)
        axes = [axis for axis in (self.panels, self.rows, self.columns) if axis is not None]
        groups = selection.groups(axes, self.kind)
        columns = [
            column
            for column in selection.labels(self.columns)
            if self.columns is None or any(key[-1] == column for key in groups)
        ]
        made: list[Block] = []
        for panel in selection.labels(self.panels):
            lines, told, shown = list[tuple[Entry, ...]](), False, list[Group]()
            here = [
                c for c in columns if any(_key(panel, r, c) in groups for r in selection.labels(self.rows))
            ]
            for name in selection.labels(self.rows):
                own = [groups.get(_key(panel, name, column)) for column in here]
                if not any(group is not None for group in own):
                    continue
                shown += [group for group in own if group is not None]
                heading = Entry(str(name))
                lines.append((heading, *self._entries(own)))
                if self.published is not None and published_allowed:
                    theirs = [_published(self.published, self.metric, group) for group in own]
                    if any(entry.value is not None for entry in theirs):
                        told = True
                        padding = [Entry("")] * (len(lines[-1]) - 1 - len(theirs))
                        lines.append((Entry(f"{name}, published", published=True), *theirs, *padding))
            if not any(group.rows for group in shown):
                continue
            title = words.panel_title(panel, self.panels)
            made.append(
                Grid(
                    key=words.key(
                        key_prefix, self.kind, self.metric, *([str(panel)] if panel is not None else [])
                    ),
                    title=words.titled(self.title or self._heading(), title),
                    columns=(self.rows, *self._headings(here)),
                    rows=tuple(lines),
                    notes=(
                        *words.notes(shown, sign="±", mark="asterisk"),
                        *words.published_note(self.published, told, published_allowed),
                    ),
                )
            )
        return tuple(made)

    def _heading(self) -> str:
        unit = ", in %" if self.shown_metric.in_points else ""
        return f"{self.shown_metric.heading}{unit}"

    @property
    def _with_clean(self) -> bool:
        return self.columns is None and self.metric == "accuracy"

    def _headings(self, columns: Sequence[Label | None]) -> list[str]:
        if self.columns is None:
            clean = [METRICS["clean"].label] if self._with_clean else []
            return [self.shown_metric.label, *clean]
        return [label_text(self.columns, column) for column in columns if column is not None]

    def _entries(self, groups: Sequence[Group | None]) -> list[Entry]:
        entries = [entry(self.shown_metric, group) for group in groups]
        if self._with_clean:
            entries += [entry(METRICS["clean"], group) for group in groups]
        return entries


def entry(metric: Metric, group: Group | None) -> Entry:
    """Return a group's field: its value with its interval, or a dash that says why there is none."""
    if group is None:
        return Entry("")
    if not group.rows:
        return Entry(
            "–", detail=f"not finished: {group.expected} trainings" if group.expected > 1 else "not finished"
        )
    estimate = metric.estimate(group.rows)
    if estimate is None:
        return Entry("–", detail=f"not defined: {group.detail}")
    return Entry(
        metric.text(estimate.mean, estimate.half_width),
        estimate.mean,
        *(None if end != end else end for end in (estimate.lo, estimate.hi)),
        converged=group.converged is not False,
        detail=group.detail,
    )


def _key(*labels: Label | None) -> Key:
    return tuple(label for label in labels if label is not None)


def _published(name: str, metric: str, group: Group | None) -> Entry:
    if group is None or not group.rows:
        return Entry("", published=True)
    row = group.rows[0]
    number = paper.find(name, metric, row["options"], row["sigma_d"])
    if number is None:
        return Entry("", published=True)
    return Entry(str(number), number.value, published=True, detail=paper.SOURCES[name])
