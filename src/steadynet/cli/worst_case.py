"""`steadynet worst-case`: the errors within a bound that cost the most accuracy, beside chips drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steadynet.cli.checks import CheckOptions, checked, write
from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.table import print_table
from steadynet.errors import check_integer, check_number
from steadynet.options.groups import DataOptions, DeviceOptions, ModelOptions


@dataclass(frozen=True)
class WorstCaseOptions:
    """Search.

    Args:
        norm: l2 bounds the root mean square of all errors relative to their std, linf the largest of them.
        bound: The bound, above 0; a chip drawn at random has about 1 in l2.
        steps: Gradients of each start.
        restarts: Starts; the first one is without error.
    """

    norm: Literal["l2", "linf"] = "l2"
    bound: float = 1.0
    steps: int = 20
    restarts: int = 2

    def __post_init__(self) -> None:
        check_number("--bound", self.bound, above=0)
        check_integer("--steps", self.steps, at_least=1)
        check_integer("--restarts", self.restarts, at_least=1)


COMMAND = Command(
    "worst-case",
    "Search the errors within a bound that cost a trained network the most accuracy on its test images, and tell them beside "
    "the percentiles of chips drawn at random. Data, network and device are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, CheckOptions, WorstCaseOptions),
    positional="run",
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=("steadynet worst-case runs/noise --norm linf --bound 0.3 --out runs/noise-worst",),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    held, asked, search = checked(options), options[CheckOptions], options[WorstCaseOptions]
    from steadynet.deploy.worst_case import worst_case
    from steadynet.report.check_figures import Bar, bars

    found = worst_case(
        held.model,
        held.device,
        held.data.test,
        norm=search.norm,
        bound=search.bound,
        steps=search.steps,
        restarts=search.restarts,
        draws=asked.draws,
        seed=asked.seed,
        batch_size=asked.batch_size,
    )
    values = {
        "without error": found.quantised,
        "mean of random chips": float(found.drawn.mean()),
        "5th percentile": found.percentile(5),
        "1st percentile": found.percentile(1),
        "worst random chip": float(found.drawn.min()),
        "worst found by the search": found.accuracy,
    }
    print_table(("chip", "accuracy, %"), [(name, f"{100 * value:.2f}") for name, value in values.items()])
    told = f"sigma_d {found.sigma_d:g}, {len(found.drawn)} random chips, seed {found.seed}, {found.images} test images"
    print(
        f"{told}; the search kept within {found.norm} {found.bound:g} ({found.size:.3g}) relative to the errors' std. It "
        "looks at the test labels, as an adversary does; the true worst case may be worse still."
    )
    figure = bars(
        f"{held.name}: the worst errors within {found.norm} {found.bound:g}, sigma_d {found.sigma_d:g}",
        [Bar(name, 100 * value, 100 * value, 100 * value) for name, value in values.items()],
        told=f"beside {len(found.drawn)} chips drawn at random; {found.images} test images",
    )
    rows = [{"chip": name, "accuracy": value} for name, value in values.items()]
    about = {
        "sigma_d": found.sigma_d,
        "norm": found.norm,
        "bound": found.bound,
        "size": found.size,
        "draws": len(found.drawn),
        "seed": found.seed,
        "images": found.images,
    }
    write(options, "worst-case", rows, about, figure)
    return 0
