"""The lines under charts and tables, and the words that stand for a chart where it is not seen."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence

from steadynet.report.rows import order
from steadynet.study.published import SOURCES
from steadynet.study.report.content import Chart, Panel
from steadynet.study.report.views.groups import Group, Label

# Beside a suffix, well within what file systems take.
_LONGEST = 100
SIGMA_D = "sigma_d: std of a device's conductance error ÷ its largest conductance"
LEFT_OUT = "published numbers are left out: they are of the paper's networks at full width, trained and tested on whole data sets"


def interval_note(groups: Iterable[Group], sign: str) -> str:
    """Return the line that says what the intervals are over.

    Args:
        groups: What is shown.
        sign: What shows them, as "bands".
    """
    shown = [group for group in groups if group.rows]
    counts = sorted({len(group.rows) for group in shown})
    rows = [row for group in shown for row in group.rows]
    # Without any variation there is but one chip.
    noisy = [row for row in rows if row["sigma_d"] > 0]
    draws = [f"{n:,}" for n in order(row["draws"] for row in noisy or rows)]
    exact = " (at sigma_d 0, of the one that there is)" if 0 < len(noisy) < len(rows) else ""
    chips = f"{listed(draws)} simulated chips{exact}"
    several = [str(count) for count in counts if count > 1]
    one = f"over {chips} of one training, which do not speak of other trainings"
    if not several:
        return f"{sign}: 95 % interval {one}"
    line = f"{sign}: 95 % interval over {listed(several)} trainings (Student's t), each the mean of {chips}"
    return line + (f"; where there is one training, {one}" if counts[0] == 1 else "")


def notes(groups: Iterable[Group], *, sign: str, mark: str) -> tuple[str, ...]:
    """Return what a reader must know: what intervals are over, σ_d of the training, what is not converged, what is missing.

    Args:
        groups: What is shown, and what would be if it were finished.
        sign: What shows intervals.
        mark: What shows that a training is not converged.
    """
    groups = list(groups)
    shown = [group for group in groups if group.rows]
    lines = [interval_note(shown, sign), *training_note(groups)] if shown else []
    if any(group.converged is False for group in shown):
        lines.append(
            f"{mark}: not converged (clean accuracy more than 2 points under vanilla's, which sees no noise, in as many steps): "
            "it needs more steps"
        )
    unjudged = [group for group in shown if group.converged is None]
    if unjudged:
        which = "these" if len(unjudged) == len(shown) else f"{len(unjudged)} of these {len(shown)}"
        lines.append(
            f"of {which} it is not known whether they are converged: no training without noise stands beside them"
        )
    return (*lines, *missing_note(groups))


def missing_note(groups: Iterable[Group]) -> tuple[str, ...]:
    """Return the line on what is not finished, if anything is not."""
    counts = [(group.expected, len(group.rows)) for group in groups]
    expected, finished = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    if finished >= expected:
        return ()
    return (f"{expected - finished} of {expected} results (a training tested at a sigma_d) are not finished",)


def training_note(groups: Iterable[Group]) -> tuple[str, ...]:
    """Return the line that says at which σ_d the networks were trained."""
    rows = [row for group in groups for row in group.rows]
    noisy = [row for row in rows if row["train_sigma_d"] is not None]
    trained = sorted({float(row["train_sigma_d"]) for row in noisy})
    if not trained:
        return ("trained without noise",) if rows else ()
    if all(row["train_sigma_d"] == row["sigma_d"] for row in noisy):
        where = "at the sigma_d of the test" if len(trained) > 1 else f"and tested at sigma_d {trained[0]:g}"
    elif len(trained) == 1:
        where = f"once, at sigma_d {trained[0]:g}"
    else:
        where = f"at sigma_d {', '.join(f'{value:g}' for value in trained)}"
    return (f"trained {where}" + (", vanilla without noise" if len(noisy) < len(rows) else ""),)


def published_note(name: str | None, shown: bool, allowed: bool) -> tuple[str, ...]:
    """Return the line that says where published numbers come from, or why there are none."""
    if name is None:
        return ()
    if not allowed:
        return (LEFT_OUT,)
    return (SOURCES[name],) if shown else ()


def alternative(chart: Chart) -> str:
    """Return a chart's numbers as sentences, for those who do not see it."""
    parts = [f"{chart.title}: {chart.y_label} by {chart.x_label}."]
    parts += [f"{_of(panel)}." for panel in chart.panels]
    return " ".join(parts)


def key(prefix: str, *parts: str) -> str:
    """Return a block's key, which names its files: lower-case letters, digits and hyphens.

    What these lose of a name (T+ and T-, letters of other alphabets, what is too long for a file) a short hash keeps apart.
    """
    whole = "-".join((prefix, *parts))
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    if re.fullmatch(r"[A-Za-z0-9 _,=-]*", whole) and len(plain) <= _LONGEST:
        return plain
    return f"{plain[:_LONGEST]}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}".strip("-")


def axis_label(axis: str) -> str:
    """Return what an axis of a chart says."""
    return SIGMA_D if axis == "sigma_d" else axis


def panel_title(label: Label | None, axis: str | None) -> str:
    """Return a panel's heading; none where there is one panel."""
    if label is None or axis is None:
        return ""
    return f"{axis} {label:g}" if isinstance(label, int | float) else label


def titled(heading: str, *parts: str) -> str:
    """Return a heading with what sets it apart: "Accuracy: VGG-8 MNIST"."""
    told = [part for part in parts if part]
    return f"{heading}: {', '.join(told)}" if told else heading


def _of(panel: Panel) -> str:
    told: list[str] = []
    for series in panel.series:
        points = [p for p in series.points if math.isfinite(p.y)]
        if not points:
            continue
        values = ", ".join(_value(p.x, p.y, p.lo, p.hi, p.converged) for p in points)
        told.append(f"{series.name}{', published' if series.published else ''}: {values}")
    return (f"{panel.title}: " if panel.title else "") + "; ".join(told or ["nothing finished"])


def _value(x: float | str, y: float, lo: float, hi: float, converged: bool) -> str:
    half = max(hi - y, y - lo)
    reach = f" ± {half:.3g}" if math.isfinite(half) else ""
    at = f" at {x:g}" if isinstance(x, int | float) else ""
    return f"{y:.4g}{reach}{'' if converged else ' (not converged)'}{at}"


def listed(texts: Sequence[str]) -> str:
    """Return texts as a list in words: 2, 3 or 5."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
