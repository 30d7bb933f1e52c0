"""What a study reports: each view turns rows of results into charts and tables.

A view is written in the study's file as a mapping, such as `{view: curve, metric: accuracy, panels: panel}`. Nothing here
imports torch, pandas or matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steadynet.errors import SteadyNetError, unknown
from steadynet.study.report.views.base import View
from steadynet.study.report.views.claims import ClaimsView
from steadynet.study.report.views.convergence import ConvergenceView
from steadynet.study.report.views.cost import CostView
from steadynet.study.report.views.curve import CurveView
from steadynet.study.report.views.leaderboard import LeaderboardView
from steadynet.study.report.views.ranking import RankingView
from steadynet.study.report.views.table import TableView
from steadynet.study.report.views.violin import ViolinView

__all__ = ["VIEWS", "View", "view_from"]

VIEWS: Mapping[str, type[View]] = {
    view.kind: view
    for view in (
        CurveView,
        TableView,
        ViolinView,
        ConvergenceView,
        RankingView,
        LeaderboardView,
        CostView,
        ClaimsView,
    )
}


def view_from(written: Mapping[str, Any]) -> View:
    """Return the view that a mapping describes.

    Raises:
        SteadyNetError: If there is no such view or key (the nearest are named), or a value is none that it takes.
    """
    if "view" not in written:
        raise SteadyNetError(f"a view needs its kind, as in view: curve; known: {', '.join(sorted(VIEWS))}")
    kind = written["view"]
    if kind not in VIEWS:
        raise unknown("view", kind, VIEWS)
    return VIEWS[kind].made_from({key: value for key, value in written.items() if key != "view"})
