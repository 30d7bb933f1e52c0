"""`steadynet write-verify`: what accuracy a part of the write cycles buys, by which weights are verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from steadynet.cli.checks import NOT_COMPUTED_BY, CheckOptions, checked, columns, ends, percent, write
from steadynet.cli.evaluate_options import ComputeOptions
from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.table import print_table
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions


@dataclass(frozen=True)
class WriteVerifyOptions:
    """Write-verify.

    Args:
        rank: By what the weights to be verified are chosen: second derivative of the loss (sensitivity), magnitude, or at random.
        nwc: Costs, 0 to 1: writes that are spent over writes that verify every weight.
        tolerance: Error below which a device is left, relative to its largest conductance.
        ranking_images: Training images that the sensitivity is taken on.
    """

    rank: list[Literal["sensitivity", "magnitude", "random"]] = field(
        default_factory=lambda: ["sensitivity", "magnitude", "random"]
    )
    nwc: list[float] = field(default_factory=lambda: [0.0, 0.1, 0.3, 0.5, 0.7, 1.0])
    tolerance: float = 0.06
    ranking_images: int = 512

    def __post_init__(self) -> None:
        if not self.rank or not self.nwc:
            raise SteadyNetError("--rank and --nwc need at least one value each")
        for cost in self.nwc:
            check_number("--nwc", cost, at_least=0, at_most=1)
        check_number("--tolerance", self.tolerance, above=0)
        check_integer("--ranking-images", self.ranking_images, at_least=1)


COMMAND = Command(
    "write-verify",
    "Write-verify a part of the weights and tell what accuracy each share of the write cycles buys. Data, network and device "
    "are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, CheckOptions, WriteVerifyOptions, ComputeOptions),
    positional="run",
    ignored=NOT_COMPUTED_BY,
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=("steadynet write-verify runs/noise --nwc 0 0.1 0.2 0.5 1 --out runs/noise-verified",),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    held, asked, search = checked(options), options[CheckOptions], options[WriteVerifyOptions]
    from steadynet.deploy.selective import selective_write_verify
    from steadynet.report.check_figures import Line, lines

    found = selective_write_verify(
        held.model,
        held.device,
        held.data.test,
        held.data.train,
        rankings=search.rank,
        nwc=search.nwc,
        tolerance=search.tolerance,
        ranking_images=search.ranking_images,
        draws=asked.draws,
        seed=asked.seed,
        batch_size=asked.batch_size,
        compute=options[ComputeOptions].build(),
    )
    print_table(
        ("ranking", "NWC", "weights verified", "accuracy, %"),
        [(p.ranking, f"{p.nwc:g}", f"{100 * p.share:.1f} %", percent(p.accuracy)) for p in found.points],
    )
    print(
        f"sigma_d {found.sigma_d:g}, {found.draws} chips, the same for all rows, seed {found.seed}, {found.images} test images; "
        "±: 95 % interval over chips of this network"
    )
    print(
        f"NWC: writes spent over those that verify every weight, {found.writes:.2f} a device; tolerance {found.tolerance:g}, "
        f"which leaves {found.residual:.4f} (root mean square, relative to the largest conductance)"
    )
    figure = lines(
        f"{held.name}: selective write-verify, sigma_d {found.sigma_d:g}",
        [
            Line(rank, [(p.nwc, *ends(p.accuracy)) for p in found.points if p.ranking == rank])
            for rank in search.rank
        ],
        told=f"mean of {found.draws} simulated chips; bars: 95 % interval over chips",
        x_label="normalised write cycles (1: every weight is verified)",
    )
    rows = [
        {
            "ranking": p.ranking,
            "nwc": p.nwc,
            "spent": p.spent,
            "share": p.share,
            **columns("accuracy", p.accuracy),
        }
        for p in found.points
    ]
    about = {
        "sigma_d": found.sigma_d,
        "tolerance": found.tolerance,
        "writes_per_device": found.writes,
        "residual": found.residual,
        "draws": found.draws,
        "seed": found.seed,
        "images": found.images,
    }
    write(options, "write-verify", rows, about, figure)
    return 0
