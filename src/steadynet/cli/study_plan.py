"""From the options of `steadynet study` to its plan, and the tables that it prints of cells."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.cli.parser import Options
from steadynet.cli.study_options import ChosenOptions, StudyOptions
from steadynet.errors import SteadyNetError
from steadynet.study.cells import told
from steadynet.study.definition import Study
from steadynet.study.estimate import Estimates, Pace, duration
from steadynet.study.plan import Plan, plan
from steadynet.study.report.assemble import views_of
from steadynet.study.selection import searches_for, select, select_waiting
from steadynet.study.specification import read_study
from steadynet.study.store import Place, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATES: tuple[State, ...] = ("finished", "running", "begun", "failed", "waiting")
_COLOURS = {"finished": "green", "running": "cyan", "begun": "yellow", "failed": "red", "waiting": ""}


def planned(options: Options, run_options: dict[str, Any] | None = None) -> Plan:
    """Return the plan of the studies that are named.

    Raises:
        SteadyNetError: If one cannot be read, or its cells cannot be planned.
    """
    asked = options[StudyOptions]
    studies: list[Study] = []
    for file in asked.files or ():
        studies.append(read_study(Path(file), asked.preset))
        try:
            views_of(studies[-1])
        except SteadyNetError as error:
            # Before hours of training, not after.
            raise SteadyNetError(f"study {file}: {error}") from None
    made = plan(
        studies,
        Path(asked.out),
        other_code=asked.other_code,
        run_options={**_data_root(asked), **(run_options or {})},
        data_as=asked.other_data(),
    )
    return dataclasses.replace(made, words=_words(asked))


def _data_root(asked: StudyOptions) -> dict[str, Any]:
    """Return where data lie, if it is said; absolute, since workers of a cluster run in folders of their own."""
    return (
        {} if asked.data_root is None else {"data_root": str(Path(asked.data_root).expanduser().absolute())}
    )


def _words(asked: StudyOptions) -> str:
    """Return the words that a command needs beside the study, to find data and results where this one does."""
    words = ["--out", asked.out] if asked.out != StudyOptions.out else []
    words += [] if asked.data_root is None else ["--data-root", asked.data_root]
    words += ["--data-as", *asked.data_as] if asked.data_as else []
    return "".join(f" {shlex.quote(word)}" for word in words)


def chosen(options: Options, whole: Plan) -> tuple[Place, ...]:
    """Return the places that are meant."""
    asked = options[ChosenOptions]
    return select(whole, only=tuple(asked.only or ()), shard=asked.part())


def files(options: Options, whole: Plan) -> dict[str, str]:
    """Return each study's file, as it was given, by the study's name."""
    return dict(zip((study.name for study in whole.studies), options[StudyOptions].files or (), strict=True))


def counts(places: Iterable[Place]) -> str:
    """Return how many cells are in each state, in words."""
    found = Counter(place.state() for place in places)
    return ", ".join(f"{found[state]} {state}" for state in STATES if found[state]) or "no cells"


def table(places: Sequence[Place], estimates: Estimates, *, whole: bool = False) -> Table:
    """Return the table of cells: what they are, their state, and how long they take.

    Args:
        places: The cells.
        estimates: What is known of their cost.
        whole: Whether the time of finished cells counts too.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("cell", overflow="fold")
    for heading in ("state", "time left" if not whole else "time", "memory"):
        made.add_column(heading, justify="right", no_wrap=True)
    for place in places:
        state = place.state()
        pace = estimates.pace(place)
        made.add_row(
            Text(name(place)),
            Text(_progress(place, state), style=_COLOURS[state]),
            "-" if state == "finished" and not whole else _time(place, pace, whole),
            _memory(pace),
        )
    return made


def print_waiting(console: Console, options: Options, whole: Plan) -> None:
    """Print the searches that points which are meant wait for, how far each is, and how many points that are."""
    asked = options[ChosenOptions]
    waiting = select_waiting(whole, tuple(asked.only or ()))
    if not waiting:
        return
    for search in searches_for(whole, tuple(asked.only or ())):
        why = search.failure()
        line = f"{search.sought.named()}: {why or search.told()}"
        console.print(f"search {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{len(waiting)} points wait for their searches", markup=False, highlight=False, soft_wrap=True
    )


def total(places: Sequence[Place], estimates: Estimates, *, whole: bool = False) -> tuple[float, int]:
    """Return the seconds that cells take together, and for how many of them nothing is known."""
    seconds, unknown = 0.0, 0
    for place in places:
        if not whole and place.state() == "finished":
            continue
        pace = estimates.pace(place)
        if pace is None:
            unknown += 1
        else:
            seconds += pace.seconds(place, whole=whole)
    return seconds, unknown


def name(place: Place) -> str:
    """Return what a cell is called: the first point that it stands for, or what starts from it."""
    if not place.cell.points:
        return f"{place.cell.label()} (others start from it)"
    first = place.cell.points[0]
    more = len({(point.study, told(point.labels)) for point in place.cell.points}) - 1
    return f"{first.study}: {told(first.labels)}" + (f" (and {more} more)" if more else "")


def _progress(place: Place, state: State) -> str:
    if state not in ("running", "begun") or place.trained():
        return state
    return f"{state} {place.epochs_done()}/{place.cell.training.epochs} epochs"


def _time(place: Place, pace: Pace | None, whole: bool) -> str:
    return "?" if pace is None else duration(pace.seconds(place, whole=whole))


def _memory(pace: Pace | None) -> str:
    return "?" if pace is None or pace.peak_mib != pace.peak_mib else f"{pace.peak_mib:.0f} MiB"
