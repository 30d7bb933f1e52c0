"""`steadynet worst-case`: the errors within a bound that cost the most accuracy, beside chips drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadynet.cli.checks import NOT_COMPUTED_BY, CheckOptions, checked, percent, write
from steadynet.cli.evaluate_options import ComputeOptions
from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.table import print_table
from steadynet.errors import check_integer, check_number
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions

if TYPE_CHECKING:
    from steadynet.deploy.worst_case import WorstCase
    from steadynet.montecarlo.intervals import Interval


@dataclass(frozen=True)
class WorstCaseOptions:
    """Search.

    Args:
        norm: l2 bounds the root mean square of all errors relative to their std, linf the largest of them.
        bound: The bound, above 0; a chip drawn at random has about 1 in l2.
        steps: Gradients of each start.
        restarts: Starts; the first two are without error, every second one takes short steps.
    """

    norm: Literal["l2", "linf"] = "l2"
    bound: float = 1.0
    steps: int = 20
    restarts: int = 3

    def __post_init__(self) -> None:
        check_number("--bound", self.bound, above=0)
        check_integer("--steps", self.steps, at_least=1)
        check_integer("--restarts", self.restarts, at_least=1)


COMMAND = Command(
    "worst-case",
    "Search the errors within a bound that cost a trained network the most accuracy on its test images, and tell them beside "
    "the percentiles of chips drawn at random. Data, network and device are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, CheckOptions, WorstCaseOptions, ComputeOptions),
    positional="run",
    ignored=NOT_COMPUTED_BY,
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
        compute=options[ComputeOptions].build(),
    )
    rows = _rows(found)
    print_table(("chip", "accuracy, %"), [(row.name, row.told) for row in rows])
    told = f"sigma_d {found.sigma_d:g}, {len(found.drawn)} random chips, seed {found.seed}, {found.images} test images"
    print(
        f"{told}; ± and …: 95 % interval over chips of this network. "
        f"The search kept within {found.norm} {found.bound:g} ({found.size:.3g}) relative to the errors' std. It "
        "looks at the test labels, as an adversary does; the true worst case may be worse still."
    )
    figure = bars(
        f"{held.name}: the worst errors within {found.norm} {found.bound:g}, sigma_d {found.sigma_d:g}",
        [Bar(row.name, 100 * row.value, *row.reach) for row in rows],
        told=f"beside {len(found.drawn)} chips drawn at random; lines: 95 % interval over chips",
    )
    about = {
        "sigma_d": found.sigma_d,
        "norm": found.norm,
        "bound": found.bound,
        "size": found.size,
        "draws": len(found.drawn),
        "seed": found.seed,
        "images": found.images,
    }
    write(options, "worst-case", [row.columns for row in rows], about, figure)
    return 0


@dataclass(frozen=True)
class _Row:
    """One figure of the table; what has no interval over chips has None."""

    name: str
    value: float
    interval: Interval | None
    told: str

    @property
    def reach(self) -> tuple[float, float]:
        """Both ends of the interval, in percent, cut at 0 and 100; the value itself without one."""
        low, high = self.interval or (self.value, self.value)
        return max(0.0, 100 * low), min(100.0, 100 * high)

    @property
    def columns(self) -> dict[str, str | float | None]:
        """The row as plain types, as shares."""
        low, high = self.interval or (None, None)
        return {"chip": self.name, "accuracy": self.value, "accuracy_low": low, "accuracy_high": high}


def _rows(found: WorstCase) -> list[_Row]:
    def alone(name: str, value: float) -> _Row:
        return _Row(name, value, None, f"{100 * value:.2f}")

    def percentile(name: str, k: float) -> _Row:
        at = found.percentile(k)
        told = (
            f"an interval needs {at.needs_draws} chips"
            if at.interval is None
            else f"{100 * at.interval.low:.2f} … {100 * at.interval.high:.2f}"
        )
        return _Row(name, at.value, at.interval, f"{100 * at.value:.2f} ({told})")

    return [
        alone("without error", found.quantised),
        _Row("mean of random chips", found.mean.mean, found.mean.interval, percent(found.mean)),
        percentile("5th percentile", 5),
        percentile("1st percentile", 1),
        alone("worst random chip", float(found.drawn.min())),
        alone("worst found by the search", found.accuracy),
    ]
