"""`steadynet recalibrate`: what BatchNorm regains from images without labels, chip by chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from steadynet.cli.checks import NOT_COMPUTED_BY, CheckOptions, checked, columns, ends, percent, write
from steadynet.cli.evaluate_options import ComputeOptions
from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.table import print_table
from steadynet.errors import SteadyNetError, check_integer
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions


@dataclass(frozen=True)
class RecalibrateOptions:
    """Recalibration.

    Args:
        images: Numbers of training images, without their labels, that each chip's BatchNorm is recalibrated on; 0 for none.
    """

    images: list[int] = field(default_factory=lambda: [0, 16, 64, 256])

    def __post_init__(self) -> None:
        if not self.images:
            raise SteadyNetError("--images needs at least one number of images")
        for count in self.images:
            check_integer("--images", count, at_least=0)


COMMAND = Command(
    "recalibrate",
    "Recalibrate BatchNorm on each programmed chip with unlabelled images, and tell how many it needs. Data, network and device "
    "are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, CheckOptions, RecalibrateOptions, ComputeOptions),
    positional="run",
    ignored=NOT_COMPUTED_BY,
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=("steadynet recalibrate runs/noise --images 16 64 256 --out runs/noise-recalibrated",),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    held, asked = checked(options), options[CheckOptions]
    from steadynet.deploy.recalibration import recalibration
    from steadynet.report.check_figures import over_images

    found = recalibration(
        held.model,
        held.device,
        held.data.test,
        held.data.train,
        images=options[RecalibrateOptions].images,
        draws=asked.draws,
        seed=asked.seed,
        batch_size=asked.batch_size,
        compute=options[ComputeOptions].build(),
    )
    print_table(
        ("images", "accuracy, %", "gain, points"),
        [
            (f"{point.images}", percent(point.accuracy), percent(point.gain, "{:+.2f}"))
            for point in found.points
        ],
    )
    told = (
        f"sigma_d {found.sigma_d:g}, {found.draws} chips, seed {found.seed}, {found.test_images} test images"
    )
    print(f"{told}; gains are paired by chip; ±: 95 % interval over chips of this network")
    figure = over_images(
        f"{held.name}: BatchNorm recalibrated, sigma_d {found.sigma_d:g}",
        [(point.images, *ends(point.accuracy)) for point in found.points],
        told=f"mean of {found.draws} simulated chips; bars: 95 % interval over chips",
    )
    rows = [
        {"images": point.images, **columns("accuracy", point.accuracy), **columns("gain", point.gain)}
        for point in found.points
    ]
    about = {
        "sigma_d": found.sigma_d,
        "draws": found.draws,
        "seed": found.seed,
        "test_images": found.test_images,
    }
    write(options, "recalibration", rows, about, figure)
    return 0
