"""`steadynet study run`: train and test the cells of studies."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from steadynet.cli.parser import Command, Options, parse
from steadynet.cli.study_options import ChosenOptions, RunStudyOptions, StudyOptions

if TYPE_CHECKING:
    from rich.console import RenderableType

    from steadynet.study.estimate import Estimates
    from steadynet.study.execute import Outcome
    from steadynet.study.plan import Plan
    from steadynet.study.store import Place

COMMAND = Command(
    "study run",
    "Train and test the cells of studies. A finished cell is never run again, one that was cut off goes on where it was, one "
    "that fails does not stop the others. Start it again, or several times at once on a shared folder, as often as you like.",
    (StudyOptions, ChosenOptions, RunStudyOptions),
    positional="files",
    examples=(
        "steadynet study run studies/figure3.yaml --dry-run",
        "steadynet study run studies/*.yaml --preset small --workers 2",
        "steadynet study run studies/figure3.yaml --only recipe=OVF sigma_d=0.2 --limit 4",
        "steadynet study run studies/figure3.yaml --preset paper --shard 3/16    # the third of 16 jobs",
        "steadynet study run studies/figure3.yaml --preset paper --ray head:6379",
    ),
)
# Rows of the live table; a screen holds few more.
_ROWS = 20


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    from steadynet.cli.study_plan import chosen, planned
    from steadynet.study.report.check import check_views

    asked = options[RunStudyOptions]
    whole = planned(options, asked.run_options())
    places = chosen(options, whole)
    for study in whole.studies:
        check_views(
            study,
            [
                *(point for _, point in whole.of(study)),
                *(point for point, _ in whole.waiting if point.study == study.name),
            ],
        )
    if asked.dry_run:
        if asked.limit is not None:
            places = whole.with_starts(whole.left(places)[: asked.limit])
        _estimate(options, whole, places)
        return 0
    _set_threads(asked.threads)
    from steadynet.cli.study_search import search

    hopeless = search(options, whole)
    if hopeless is not None:  # There was something to search for.
        whole = planned(options, asked.run_options())
        places = chosen(options, whole)
    return max(_run(options, whole, places), 1 if hopeless else 0)


def _estimate(options: Options, whole: Plan, places: Sequence[Place]) -> None:
    """Print the cells with an estimate; kinds of which nothing is known are measured."""
    from rich.console import Console

    from steadynet.cli.study_plan import counts, print_waiting, table, total
    from steadynet.cli.study_search import after_searches, trials_left
    from steadynet.study.estimate import duration

    asked = options[RunStudyOptions]
    _set_threads(asked.threads)
    console = Console()
    estimates = _estimates(options, places)
    trials, later = trials_left(options, whole), after_searches(options, whole)
    for place in (*places, *trials, *later):
        if estimates.pace(place) is None and not place.images.why:
            if asked.progress and sys.stderr.isatty():
                print(f"measuring {asked.steps} steps of {place.cell.label()}", file=sys.stderr)
            estimates.measure(place, asked.steps)
    console.print(table(places, estimates, whole=True))
    seconds, _ = total(places, estimates)
    every, _ = total(places, estimates, whole=True)
    console.print(
        f"{len(places)} cells: {counts(places)}. About {duration(every)} in all and {duration(seconds)} left, one after the "
        f"other on this machine; {asked.workers} at once: about {duration(seconds / asked.workers)}.",
        soft_wrap=True,
    )
    if trials or later:
        print_waiting(console, options, whole)
        console.print(
            f"Their {len(trials)} trials that are left: about {duration(total(trials, estimates)[0])}; the {len(later)} cells "
            f"that come after them: about {duration(total(later, estimates)[0])}.",
            highlight=False,
            soft_wrap=True,
        )


def _run(options: Options, whole: Plan, places: Sequence[Place]) -> int:
    from steadynet.cli.study_plan import counts, name
    from steadynet.options.build import is_main_process
    from steadynet.study.runner import run

    asked = options[RunStudyOptions]
    left = whole.left(places)
    if asked.limit is not None:
        left = whole.left(whole.with_starts(left[: asked.limit]))
    # Of the processes that train a cell together, one speaks.
    main = is_main_process()
    if main:
        print(f"{len(places)} cells: {counts(places)}; {len(left)} to do", flush=True)
    if not left:
        return 0
    done: list[tuple[Place, Outcome]] = []
    live = asked.progress and main and sys.stdout.isatty()

    def ended(place: Place, outcome: Outcome) -> None:
        done.append((place, outcome))
        if main and not live:
            print(
                f"{len(done)}/{len(left)} {outcome.end} in {outcome.seconds:.0f} s: {name(place)}", flush=True
            )

    try:
        with _table(options, left, live):
            run(whole, left, workers=asked.workers, ray=asked.ray, gpus=asked.ray_gpus, on_outcome=ended)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("nothing finished is lost; the same command goes on") from None
    return _closing(places, done) if main else 0


def _closing(places: Sequence[Place], done: Sequence[tuple[Place, Outcome]]) -> int:
    """Print what failed, with its log; return 1 if something did."""
    from steadynet.cli.study_plan import counts, name

    failed = [(place, outcome) for place, outcome in done if outcome.end == "failed"]
    for place, outcome in failed:
        print(f"failed: {name(place)}: {outcome.message}{place.log()}", file=sys.stderr)
    for end, told in (
        ("busy", "being done by other processes"),
        (
            "waiting",
            "waiting for trainings that they start from, which are not finished: run the study again when they are",
        ),
    ):
        count = sum(outcome.end == end for _, outcome in done)
        if count:
            print(f"{count} cells are {told}")
    print(f"{len(places)} cells: {counts(places)}")
    return 1 if failed else 0


def _estimates(options: Options, places: Sequence[Place]) -> Estimates:
    from pathlib import Path

    from steadynet.study.estimate import Estimates

    estimates = Estimates(Path(options[StudyOptions].out))
    estimates.learn(places)
    return estimates


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


@contextmanager
def _table(options: Options, places: Sequence[Place], live: bool) -> Generator[None]:
    """Show a live table of the cells that run, are next, or failed."""
    if not live:
        yield
        return
    from rich.console import Console
    from rich.live import Live

    shown = _Shown(lambda: _live(options, places))
    with Live(get_renderable=shown.get, console=Console(), refresh_per_second=1, transient=True):
        yield


class _Shown:
    """Draws anew at most every two seconds: it reads files, perhaps over a network."""

    def __init__(self, draw: Callable[[], RenderableType]) -> None:
        self._draw, self._lock = draw, threading.Lock()
        self._last: Any = ""
        self._since = 0.0

    def get(self) -> RenderableType:
        """Return the table, fresh or as it was."""
        import time

        with self._lock:
            if time.monotonic() - self._since > 2.0:
                self._last, self._since = self._draw(), time.monotonic()
            return self._last


def _live(options: Options, places: Sequence[Place]) -> RenderableType:
    from rich.console import Group

    from steadynet.cli.study_plan import counts, table, total
    from steadynet.study.estimate import duration

    states = {place.folder: place.state() for place in places}
    order = ("running", "failed", "begun", "waiting")
    open_ = sorted(
        (place for place in places if states[place.folder] != "finished"),
        key=lambda place: order.index(states[place.folder]),
    )
    estimates = _estimates(options, places)
    seconds, unknown = total(places, estimates)
    left = duration(seconds / options[RunStudyOptions].workers) if not unknown else "?"
    hidden = len(open_) - _ROWS
    more = f"\n… and {hidden} more" if hidden > 0 else ""
    return Group(table(open_[:_ROWS], estimates), f"{counts(places)}; about {left} left{more}")
