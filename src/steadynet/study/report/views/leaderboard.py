"""All figures of all series at once: a row for each, the best first, and what each costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from steadynet.errors import unknown
from steadynet.report.rows import order
from steadynet.study.report.content import Block, Entry, Grid
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.comparing import same_trainings
from steadynet.study.report.views.groups import Group, Label, Row, label_text, select
from steadynet.study.report.views.metrics import METRICS
from steadynet.study.report.views.table import entry

# By which series are told apart, after what they are ranked by.
SHOWN = ("accuracy", "kpp5", "worst", "nll", "ekl", "ece", "clean")
HEADINGS: Mapping[str, str] = {
    "accuracy": "accuracy, %",
    "kpp5": "5th percentile, %",
    "worst": "worst chip, %",
    "nll": "NLL, nats",
    "ekl": "EKL, nats",
    "ece": "calibration error, %",
    "clean": "clean accuracy, %",
}


@dataclass(frozen=True, kw_only=True)
class LeaderboardView(View):
    """A table for each panel and σ_d: mean accuracy, percentile, worst chip, likelihoods, calibration, clean accuracy and cost.

    The cost is the shortest time of a training for each of its steps, at whichever σ_d, over the shortest of the control's:
    what a step costs does not depend on σ_d, and the shortest is what other work disturbed least.

    Args:
        title: Heading.
        where: Only rows with these labels.
        control: Label of the series whose time is 1.
        metric: By which series are ordered; those that are not converged come last.
        series: Axis whose labels are ranked.
        panels: Axis with tables for each label.
    """

    kind: ClassVar[str] = "leaderboard"

    control: str
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
        """Return the tables; see `View.blocks`."""
        selection = select(rows, self.where, expected)
        names = [str(name) for name in selection.labels(self.series)]
        if self.control not in names:
            raise unknown(f"control of view {self.kind}", self.control, names)
        axes = [axis for axis in (self.panels, "sigma_d", self.series) if axis is not None]
        groups = selection.groups(axes, self.kind)
        made: list[Block] = []
        for panel in selection.labels(self.panels):
            for sigma_d in selection.labels("sigma_d"):
                own: dict[Label, Group] = {}
                for name in selection.labels(self.series):
                    group = groups.get(tuple(v for v in (panel, sigma_d, name) if v is not None))
                    if name is not None and group is not None:
                        own[name] = group
                if sigma_d is not None and any(group.rows for group in own.values()):
                    times = {name: _shortest(groups.values(), group) for name, group in own.items()}
                    made.append(self._table(own, times, panel, sigma_d, key_prefix))
        return tuple(made)

    def _table(
        self,
        own: Mapping[Label, Group],
        times: Mapping[Label, float | None],
        panel: Label | None,
        sigma_d: Label,
        prefix: str,
    ) -> Grid:
        control = next((time for name, time in times.items() if str(name) == self.control), None)
        shown = (self.metric, *(name for name in SHOWN if name != self.metric))
        ordered = sorted(
            (pair for pair in own.items() if pair[1].rows), key=lambda pair: self._place(pair[1])
        )
        empty = [str(name) for name, group in own.items() if not group.rows]
        parts = [label_text("sigma_d", sigma_d)]
        title = words.panel_title(panel, self.panels)
        return Grid(
            key=words.key(
                prefix, self.kind, self.metric, *([str(panel)] if panel is not None else []), str(sigma_d)
            ),
            title=words.titled(self.title or "Leaderboard", ", ".join([*([title] if title else []), *parts])),
            columns=(
                self.series,
                "trainings",
                *(HEADINGS.get(name, METRICS[name].label) for name in shown),
                f"time / {self.control}",
            ),
            rows=tuple(
                (
                    Entry(str(name)),
                    Entry(str(len(group.rows)), len(group.rows)),
                    *(entry(METRICS[metric], group) for metric in shown),
                    relative_time(times[name], control),
                )
                for name, group in ordered
            ),
            notes=(
                f"ordered by {METRICS[self.metric].words}; what is not converged comes last, "
                "and wins or loses nothing",
                f"time / {self.control}: shortest time of a training for each step, at any sigma_d, over that of {self.control}; "
                "what else the machine did is part of it",
                *_worst_note(own.values(), shown),
                *_same_note(own),
                *([f"of these nothing is finished: {'; '.join(empty)}"] if empty else []),
                *words.notes(list(own.values()), sign="±", mark="asterisk"),
            ),
        )

    def _place(self, group: Group) -> tuple[int, float]:
        metric = METRICS[self.metric]
        estimate = metric.estimate(group.rows) if group.rows else None
        if estimate is None:
            return 2, 0.0
        better_first = -1 if metric.higher_is_better else 1
        return int(group.converged is False), better_first * estimate.mean


def _worst_note(groups: Iterable[Group], shown: Sequence[str]) -> tuple[str, ...]:
    """Return the line that says that the fifth percentile of few chips, by nearest rank, is the worst of them."""
    draws = [int(row["draws"]) for group in groups for row in group.rows if row["sigma_d"] > 0]
    few = [n for n in order(sorted(draws)) if math.ceil(0.05 * n) == 1]
    if "kpp5" not in shown or not few:
        return ()
    return (f"the 5th percentile of {words.listed([str(n) for n in few])} chips is the worst of them",)


def _same_note(own: Mapping[Label, Group]) -> tuple[str, ...]:
    """Return the line that says which rows are the same trainings, as where a search chose what stands beside it too."""
    names = list(own)
    told = [
        f"{name} and {other}"
        for index, name in enumerate(names)
        for other in names[index + 1 :]
        if same_trainings(own[name], own[other])
    ]
    return (f"the same trainings: {'; '.join(told)}",) if told else ()


def _shortest(groups: Iterable[Group], own: Group) -> float | None:
    """Return the shortest time for a step of trainings that differ from a group's in σ_d and seed alone, in s."""
    alike = [_setting(row) for row in own.rows]
    rows = (row for group in groups for row in group.rows if _setting(row) in alike)
    return min((float(row["train_seconds"]) / max(int(row["steps"]), 1) for row in rows), default=None)


def _setting(row: Row) -> dict[str, Label]:
    return {axis: label for axis, label in row["axes"].items() if axis not in ("seed", "sigma_d")}


def relative_time(own: float | None, control: float | None) -> Entry:
    """Return a time for a step over the control's, both in s."""
    if own is None or control is None:
        return Entry("–", detail="not finished")
    ratio = own / control if control > 0 else math.nan
    if not math.isfinite(ratio):
        return Entry("–", detail="no time was taken")
    return Entry(f"{ratio:.2f}", ratio, detail=f"{own:.3g} s a step against {control:.3g} s")
