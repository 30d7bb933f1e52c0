"""Lines on what a study says, worked out from its numbers: who beats the control, who fails, what agrees with the paper."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.report.rows import mean_of, order
from steadynet.study import published as paper
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.claims import ClaimsView
from steadynet.study.report.views.comparing import difference_text
from steadynet.study.report.views.convergence import ConvergenceView, failures
from steadynet.study.report.views.curve import CurveView
from steadynet.study.report.views.groups import Label, Row, label_text, shown
from steadynet.study.report.views.ranking import VERDICTS, RankingView, Standing
from steadynet.study.report.views.table import TableView


def findings(
    rows: Sequence[Row], views: Sequence[View], *, published_allowed: bool = False
) -> tuple[str, ...]:
    """Return lines of words for the views of a study.

    Args:
        rows: Its rows.
        views: Its views: rankings, convergence, and those with published numbers give lines.
        published_allowed: As in `View.blocks`.
    """
    lines: list[str] = []
    for view in views:
        if isinstance(view, RankingView):
            lines += _ranked(view, rows)
        elif isinstance(view, ClaimsView):
            lines += _claimed(view, rows)
        elif isinstance(view, ConvergenceView):
            lines += _failed(view, rows)
        elif published_allowed and isinstance(view, CurveView | TableView) and view.published is not None:
            lines += _compared(view, rows)
    return tuple(order(lines))


def _ranked(view: RankingView, rows: Sequence[Row]) -> list[str]:
    """Return a line for each panel: each series' verdicts, by σ_d."""
    found = view.standings(shown(rows, view.where))
    lines: list[str] = []
    for panel in order(standing.panel for standing in found):
        own = [s for s in found if s.panel == panel]
        several = len(order(s.sigma_d for s in own)) > 1
        told: list[str] = []
        for verdict in VERDICTS:
            for name in order(s.name for s in own if s.verdict.partition(",")[0] == verdict):
                mine = [s for s in own if s.name == name and s.verdict.partition(",")[0] == verdict]
                mine = sorted(mine, key=lambda s: float(s.sigma_d))
                told.append(f"{name} {verdict}" + _places(view, mine, several))
        if told:
            where = words.panel_title(panel, view.panels)
            against = f"{view.shown_metric.words} against {view.control}"
            lines.append(f"{where + ', ' if where else ''}{against}: {'; '.join(told)}.")
    return lines


def _places(view: RankingView, standings: Sequence[Standing], several: bool) -> str:
    """Return where a verdict holds, with the differences where it decides something."""
    decided = standings[0].verdict.startswith(("better", "worse", "equivalent"))
    parts: list[str] = []
    for s in standings:
        at = f"{s.sigma_d:g}" if isinstance(s.sigma_d, int | float) else s.sigma_d
        difference = difference_text(view.shown_metric, s.difference) if s.difference and decided else ""
        parts.append(f"{at} ({difference})" if several and difference else at if several else difference)
    if several:
        return f" at sigma_d {', '.join(parts)}"
    return f" ({parts[0]})" if parts[0] else ""


def _claimed(view: ClaimsView, rows: Sequence[Row]) -> list[str]:
    """Return a line for each claim: where it holds, and where not."""
    found = view.found(shown(rows, view.where))
    lines: list[str] = []
    for claim in order(one.claim.words for one in found):
        own = [one for one in found if one.claim.words == claim]
        told: list[str] = []
        for verdict in order(one.verdict for one in own):
            mine = [one for one in own if one.verdict == verdict]
            places = [
                ", ".join(label_text(axis, label) for axis, label in one.place.items() if label != "")
                + (f" ({difference_text(view.shown_metric, one.difference)})" if one.difference else "")
                for one in mine
            ]
            told.append(f"{verdict} at {'; '.join(places)}")
        lines.append(f"“{claim}” ({view.source}): {'. '.join(told)}.")
    return lines


def _failed(view: ConvergenceView, rows: Sequence[Row]) -> list[str]:
    selection = shown(rows, view.where)
    axes = [axis for axis in (view.panels, "sigma_d", view.series) if axis is not None]
    lines: list[str] = []
    for key, group in selection.groups(axes, view.kind).items():
        found = failures([mean_of(row["accuracy"]) for row in group.rows])
        name, sigma_d = key[-1], key[-2]
        where = f"{words.panel_title(key[0], view.panels)}, " if len(key) > 2 else ""
        lines.append(
            f"{where}{name} at {label_text('sigma_d', sigma_d)}: of {found.trainings} trainings, {found.below_mean} end "
            f"more than 5 points below their mean and {found.below_median} below their median."
        )
    return lines


def _compared(view: CurveView | TableView, rows: Sequence[Row]) -> list[str]:
    """Return a line for each series that has published numbers: at which places ours agree with them."""
    line_axis, place_axis = (
        (view.series, view.x) if isinstance(view, CurveView) else (view.rows, view.columns)
    )
    axes = [axis for axis in (view.panels, line_axis, place_axis) if axis is not None]
    told: dict[tuple[Label, ...], tuple[list[str], list[str]]] = {}
    for key, group in shown(rows, view.where).groups(axes, view.kind).items():
        row = group.rows[0]
        number = paper.find(view.published or "", view.metric, row["options"], row["sigma_d"])
        estimate = view.shown_metric.estimate(group.rows)
        if number is None or estimate is None or number.source in ("rough", "below"):
            continue
        reading = paper.READ_WITHIN * (1 if view.shown_metric.in_points else 0.01)
        slack = reading if number.source == "figure" else 0.0
        line, place = (key[:-1], key[-1]) if place_axis is not None else (key, "")
        agrees, differs = told.setdefault(line, ([], []))
        at = f"{place:g}" if isinstance(place, int | float) else place
        ours = view.shown_metric.text(estimate.mean, estimate.half_width)
        if estimate.lo - slack <= number.value <= estimate.hi + slack:
            agrees.append(at or f"{ours}, published {number}")
        else:
            differs.append(f"{at + ': ' if at else ''}{ours}, published {number}")
    return [
        f"{', '.join(map(str, line))}, {view.metric} against the published numbers: "
        + "; ".join(
            part
            for part in (
                f"agrees within its interval at {', '.join(agrees)}" if agrees else "",
                f"differs at {'; '.join(differs)}" if differs else "",
            )
            if part
        )
        + "."
        for line, (agrees, differs) in told.items()
    ]
