"""What a report is made of, apart from how it is drawn: charts and tables as plain data.

Views turn rows of results into these; the page, the figures and the tables on disk are drawn from these alone, so that
they all show the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ChartKind = Literal["curve", "violin", "scatter", "bar"]


@dataclass(frozen=True)
class Point:
    """One value with its interval.

    Attributes:
        x: Where it stands: a number, or a category's name.
        y: The value, in the unit of the axis; NaN where undefined.
        lo: Lower end of its interval; NaN without one.
        hi: Upper end; NaN without one.
        converged: False where the training was too short for its clean accuracy.
        values: Values of single draws, for a violin; empty otherwise.
        detail: What is told beside it: trainings, draws, and the command that gives it again.
    """

    x: float | str
    y: float
    lo: float = float("nan")
    hi: float = float("nan")
    converged: bool = True
    values: tuple[float, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one name, drawn in one colour, marker and line style, the same in all panels.

    Attributes:
        name: What the legend says.
        points: In the order in which they are drawn.
        published: Whether the numbers are those of a paper, not ours: drawn apart (dotted, no band).
    """

    name: str
    points: tuple[Point, ...]
    published: bool = False


@dataclass(frozen=True)
class Panel:
    """One of a chart's frames, which share their axes' labels."""

    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        key: Its name in file names and anchors: lower-case letters, digits and hyphens, unique in a study.
        title: Its heading.
        kind: curve (lines with bands over a numeric x), violin (spread of draws by category), scatter (y against a numeric
            x, with error bars) or bar (horizontal intervals by category).
        x_label: With its unit.
        y_label: With its unit.
        panels: One or more.
        notes: Lines under it: what the intervals are over, what is not converged, what is left out.
        alternative: Its content in a few sentences, for those who do not see it.
        log_x: Whether x is drawn on a logarithmic axis.
        names: All names that series of the study's charts have, in their order, so that each looks alike in all of them.
    """

    key: str
    title: str
    kind: ChartKind
    x_label: str
    y_label: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    alternative: str = ""
    log_x: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One field of a table.

    Attributes:
        text: What is shown, as "97.31 ± 0.42".
        value: The number behind it; None for words.
        lo: Lower end of its interval; None without one.
        hi: Upper end; None without one.
        converged: False where the training was too short: shown with an asterisk.
        published: Whether it is a paper's number: shown in italics.
        detail: As in `Point`.
    """

    text: str
    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    converged: bool = True
    published: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: a heading for each column, rows of as many entries; the first column names the rows."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()


Block = Chart | Grid


@dataclass(frozen=True)
class StudyContent:
    """All that a report says of one study.

    Attributes:
        name: The study's name, which is that of its folder.
        title: Its heading.
        question: What it asks, in a sentence or two.
        preset: small or paper.
        setting: Lines on net, data, steps, device, draws and seeds.
        blocks: Charts and tables, in order.
        findings: Lines on what agrees with the paper, what does not, what the controls say; worked out from numbers.
        missing: A line for each cell that is not finished: what it is, its state, and an estimate of its time.
        commands: The command that runs the study, and one for each cell: (what it is, command).
        facts: Versions, machine and dates, as (name, value).
    """

    name: str
    title: str
    question: str
    preset: str
    setting: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    findings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default_factory=tuple[tuple[str, str], ...])


def plain(content: StudyContent) -> dict[str, Any]:
    """Return the content as plain types, for JSON; NaN stays NaN."""
    import dataclasses

    return dataclasses.asdict(content)
