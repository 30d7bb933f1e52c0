"""`steadynet study status`: what is finished, running, failed or left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steadynet.cli.parser import Command, parse
from steadynet.cli.study_options import ChosenOptions, StudyOptions

COMMAND = Command(
    "study status",
    "List the cells of studies: what is finished, running in any process on a shared folder, begun, failed (and why), or left, "
    "with the time that is left as far as it can be told from finished cells or from a dry run.",
    (StudyOptions, ChosenOptions),
    positional="files",
    examples=(
        "steadynet study status studies/*.yaml",
        "steadynet study status studies/figure3.yaml --only recipe=OVF",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    from rich.console import Console

    from steadynet.cli.study_plan import chosen, counts, name, planned, print_waiting, table, total
    from steadynet.study.estimate import Estimates, duration

    whole = planned(options)
    places = chosen(options, whole)
    estimates = Estimates(Path(options[StudyOptions].out))
    estimates.learn(places)
    console = Console()
    console.print(table(places, estimates))
    for place in places:
        if place.state() == "failed":
            console.print(
                f"failed: {name(place)}: {place.failure()}{place.log()}",
                markup=False,
                soft_wrap=True,
            )
    for search in whole.searches:
        if search.chosen() is not None:
            line = f"search {search.sought.named()}: {search.told()}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    print_waiting(console, options, whole)
    seconds, unknown = total(places, estimates)
    untold = (
        f", beside {unknown} of which nothing is known yet (study run --dry-run measures)" if unknown else ""
    )
    console.print(
        f"{len(places)} cells: {counts(places)}; about {duration(seconds)} left{untold}", soft_wrap=True
    )
    return 0
