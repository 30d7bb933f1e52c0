"""Figures of the commands that look at a finished run: a bar is as long as what it stands for."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from steadynet.report.check_figures import Bar, bars

ENTRIES = [Bar("a", 96.0, 95.5, 96.5, "3.0 % of weights"), Bar("all", 90.0, 88.0, 92.0)]


def drawn(base: float | None) -> tuple[Axes, list[Rectangle]]:
    axes = bars("title", ENTRIES, told="what", base=base).axes[0]
    return axes, [patch for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("base", [None, 97.0])
def test_bars_begin_at_nothing_or_at_their_base_and_are_all_to_be_seen(base: float | None) -> None:
    axes, found = drawn(base)
    foot = base or 0.0
    ends = [{patch.get_x(), patch.get_x() + patch.get_width()} for patch in found]
    assert ends == [{foot, 96.0}, {foot, 90.0}]
    low, high = axes.get_xlim()
    assert low <= min(foot, 88.0)
    assert high >= max(foot, 96.5)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (3.0 % of weights)", "all"]
