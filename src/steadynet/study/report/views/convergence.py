"""How many trainings fail: end more than 5 points below their mean, as the paper counts, and below their median."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import ClassVar

from steadynet.report.rows import mean_of
from steadynet.study import published as paper
from steadynet.study.report.content import Block, Chart, Entry, Grid, Panel, Point, Series
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.groups import Group, Label, Row, label_text, select
from steadynet.study.report.views.metrics import METRICS

# How far below the others a training that failed ends, in accuracy as a fraction.
FAR = 0.05


@dataclass(frozen=True)
class Failures:
    """Trainings of one series that end far below the others.

    Attributes:
        trainings: How many there are.
        below_mean: Of them, more than 5 points below their mean.
        below_median: Of them, more than 5 points below their median, which failures do not drag along.
        mean: Of their accuracies, as a fraction.
        median: Likewise.
    """

    trainings: int
    below_mean: int
    below_median: int
    mean: float
    median: float


def failures(accuracies: Sequence[float]) -> Failures:
    """Return how many trainings fail, by both criteria."""
    mean, middle = fmean(accuracies), median(accuracies)
    # 5 points to the last digit is not more than 5.
    below = [sum(value < centre - FAR - 1e-12 for value in accuracies) for centre in (mean, middle)]
    return Failures(len(accuracies), below[0], below[1], mean, middle)


@dataclass(frozen=True, kw_only=True)
class ConvergenceView(View):
    """A table of counts, and the accuracy of each training.

    Args:
        title: Heading.
        where: Only rows with these labels.
        series: Axis whose labels are counted apart.
        panels: Axis with a table and a frame for each label.
        published: Published counts that may stand beside ours.
    """

    kind: ClassVar[str] = "convergence"

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
        """Return the table and the chart; see `View.blocks`."""
        selection = select(rows, self.where, expected)
        axes = [axis for axis in (self.panels, "sigma_d", self.series) if axis is not None]
        groups = selection.groups(axes, self.kind)
        sigmas = [sigma for sigma in selection.labels("sigma_d") if sigma is not None]
        lines: list[tuple[Entry, ...]] = []
        panels: list[Panel] = []
        told = False
        for panel in selection.labels(self.panels):
            for sigma_d in sigmas:
                singles: list[Series] = []
                for name in selection.labels(self.series):
                    group = groups.get(tuple(v for v in (panel, sigma_d, name) if v is not None))
                    if group is None:
                        continue
                    heading = ", ".join(
                        part
                        for part in (
                            words.panel_title(panel, self.panels),
                            str(name),
                            label_text("sigma_d", sigma_d) if len(sigmas) > 1 else "",
                        )
                        if part
                    )
                    published = None
                    if self.published is not None and published_allowed and group.rows:
                        published = paper.find_failures(group.rows[0]["options"], group.rows[0]["sigma_d"])
                    told = told or published is not None
                    lines.append((Entry(heading), *_counts(group), _published(published)))
                    if group.rows:
                        singles.append(Series(str(name), _singles(group)))
                if singles:
                    title = (words.panel_title(panel, self.panels), label_text("sigma_d", sigma_d))
                    panels.append(Panel(", ".join(part for part in title if part), tuple(singles)))
        if not told:
            lines = [line[:-1] for line in lines]
        counts = sorted({len(group.rows) for group in groups.values() if group.rows})
        several = " or ".join(str(count) for count in counts)
        shared = (
            f"counts of {several} trainings; in brackets the 95 % interval (Clopper-Pearson) of the share of trainings that fail",
            "below the mean: the paper's criterion, but failures drag the mean down; below the median is sounder",
            *words.training_note(groups.values()),
            *words.missing_note(groups.values()),
            *words.published_note(self.published, told, published_allowed),
        )
        table = Grid(
            key=words.key(key_prefix, self.kind),
            title=self.title or "Trainings that end more than 5 points below the others",
            columns=(
                self.series,
                "trainings",
                "mean accuracy, %",
                "median, %",
                "below the mean",
                "below the median",
                *(("published, below the mean",) if told else ()),
            ),
            rows=tuple(lines),
            notes=shared,
        )
        chart = Chart(
            key=words.key(key_prefix, self.kind, "trainings"),
            title=words.titled("Accuracy of each training", self.title),
            kind="scatter",
            x_label="seed of the training",
            y_label=METRICS["accuracy"].label,
            panels=tuple(panels),
            names=selection.names(self.series),
            notes=(
                words.interval_note(
                    [dataclasses.replace(g, rows=(row,)) for g in groups.values() for row in g.rows], "bars"
                ),
                *words.missing_note(groups.values()),
            ),
        )
        return table, dataclasses.replace(chart, alternative=words.alternative(chart))


def _counts(group: Group) -> tuple[Entry, ...]:
    from steadynet.montecarlo.intervals import proportion_interval

    if not group.rows:
        return tuple(Entry("–", detail="not finished") for _ in range(5))
    found = failures([mean_of(row["accuracy"]) for row in group.rows])
    unfinished = group.expected - found.trainings

    def count(number: int) -> Entry:
        low, high = proportion_interval(number, found.trainings)
        text = f"{number} [{100 * low:.0f} %, {100 * high:.0f} %]"
        return Entry(text, number, found.trainings * low, found.trainings * high, detail=group.detail)

    trainings = f"{found.trainings}" + (f" of {group.expected}" if unfinished else "")
    return (
        Entry(trainings, found.trainings, detail=group.detail),
        Entry(f"{100 * found.mean:.2f}", 100 * found.mean, detail=group.detail),
        Entry(f"{100 * found.median:.2f}", 100 * found.median, detail=group.detail),
        count(found.below_mean),
        count(found.below_median),
    )


def _published(number: int | None) -> Entry:
    if number is None:
        return Entry("", published=True)
    return Entry(
        f"{number} of {paper.TRAININGS}", number, published=True, detail=paper.SOURCES["convergence"]
    )


def _singles(group: Group) -> tuple[Point, ...]:
    metric = METRICS["accuracy"]
    points: list[Point] = []
    for row in sorted(group.rows, key=lambda row: int(row["seed"])):
        estimate = metric.estimate([row])
        alone = dataclasses.replace(group, rows=(row,), expected=1)
        y, lo, hi = (math.nan,) * 3 if estimate is None else (estimate.mean, estimate.lo, estimate.hi)
        points.append(Point(float(row["seed"]), y, lo, hi, detail=alone.detail))
    return tuple(points)
