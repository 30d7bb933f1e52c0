"""What two groups of trainings, paired by seed, say of each other: their difference, its verdict, and a table of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from steadynet.report.differences import paired
from steadynet.report.rows import Estimate, mean_of
from steadynet.report.significance import holm, p_value
from steadynet.study.report.views.groups import Group, Row
from steadynet.study.report.views.metrics import Metric

# A difference whose whole interval lies within so many points of 0 is none that matters.
MARGIN = 1.0
SAME = "the same trainings"
# What is still decided among all comparisons of a table.
TOGETHER = "†"


def difference_text(metric: Metric, difference: Estimate) -> str:
    """Return a difference in words, with its sign."""
    text = metric.text(abs(difference.mean), difference.half_width)
    if not any(digit in text.partition(" ")[0] for digit in "123456789"):
        return text
    return ("+" if difference.mean > 0 else "−") + text


def by_seed(metric: Metric, rows: Sequence[Row]) -> dict[int, float]:
    """Return each training's value, in the metric's unit, by its seed."""
    return {
        int(row["seed"]): metric.scale * mean_of(row[metric.key])
        for row in rows
        if row.get(metric.key) is not None and math.isfinite(mean_of(row[metric.key]))
    }


def compared(metric: Metric, group: Group, control: Group | None) -> tuple[Estimate | None, int, str]:
    """Return a group's difference from its control, over how many pairs of one seed it is, and what it decides.

    The difference is None where fewer than two seeds are shared.
    """
    mine, theirs = (by_seed(metric, one.rows) if one is not None else {} for one in (group, control))
    shared = paired(mine, theirs)
    seeds, difference = shared or (tuple(seed for seed in mine if seed in theirs), None)
    same = control is not None and same_trainings(group, control)
    return difference, len(seeds), SAME if same else verdict(metric, group, control, difference)


def verdict(metric: Metric, group: Group, control: Group | None, difference: Estimate | None) -> str:
    """Return what a difference from the control decides."""
    if group.converged is False:
        return "not converged"
    if control is not None and control.converged is False:
        return "control not converged"
    # Differences that are all the same by chance, as accuracies on few images may be, would decide with certainty.
    if difference is None or difference.hi - difference.lo <= 1e-12 * max(1.0, abs(difference.mean)):
        return "undecided"
    within = metric.in_points and difference.lo >= -MARGIN and difference.hi <= MARGIN
    if difference.lo > 0 or difference.hi < 0:
        better = (difference.lo > 0) == metric.higher_is_better
        return ("better" if better else "worse") + (", by less than 1 point" if within else "")
    return "equivalent within 1 point" if within else "undecided"


def same_trainings(group: Group, other: Group) -> bool:
    """Return whether two groups' trainings of the same seeds are the same, as where a search chose what stands beside it too."""
    mine, theirs = ({int(row["seed"]): row["cell"] for row in one.rows} for one in (group, other))
    shared = [seed for seed in mine if seed in theirs]
    return bool(shared) and all(mine[seed] == theirs[seed] for seed in shared)


def held_together(
    compared: Sequence[tuple[Estimate | None, int, str]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a mark for each comparison that is still decided among all of its table, and the line that explains it.

    Args:
        compared: Of each a difference with Student's interval, or None; over how many pairs; its verdict.

    Returns:
        Marks, "" where there is none to be given, and the line, if there was anything to be decided.
    """
    tested = [
        index
        for index, (difference, pairs, told) in enumerate(compared)
        if difference is not None
        and pairs > 1
        and "not converged" not in told
        and difference.half_width > 1e-12
    ]
    if len(tested) < 2:
        return ("",) * len(compared), ()
    decided = holm(
        [p_value(difference, compared[i][1]) for i in tested if (difference := compared[i][0]) is not None]
    )
    marked = {index for index, held in zip(tested, decided, strict=True) if held}
    which = f"{TOGETHER}: decided also where" if marked else "none is decided where"
    line = f"{which} all {len(tested)} converged comparisons of the table are held against chance at once (Holm, 5 %)"
    return tuple(f" {TOGETHER}" if index in marked else "" for index in range(len(compared))), (line,)
