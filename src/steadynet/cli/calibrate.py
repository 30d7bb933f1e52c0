"""`steadynet calibrate`: the temperature at which a network's confidence tells how often it is right on chips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from steadynet.cli.checks import NOT_COMPUTED_BY, CheckOptions, checked, columns, ends, percent, write
from steadynet.cli.evaluate_options import ComputeOptions
from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.table import print_table
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions

if TYPE_CHECKING:
    from steadynet.deploy.temperature import Confidence
    from steadynet.report.check_figures import Reliability

COMMAND = Command(
    "calibrate",
    "Find the one number that the logits are divided by, on validation images and chips, so that confidence tells how often the "
    "network is right; no prediction changes. Data, network and device are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, CheckOptions, ComputeOptions),
    positional="run",
    ignored=NOT_COMPUTED_BY,
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=("steadynet calibrate runs/steady --out runs/steady-calibrated",),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    held, asked = checked(options), options[CheckOptions]
    from steadynet.deploy.temperature import calibration
    from steadynet.report.check_figures import reliability

    found = calibration(
        held.model,
        held.device,
        held.data.test,
        held.data.validation,
        draws=asked.draws,
        seed=asked.seed,
        batch_size=asked.batch_size,
        compute=options[ComputeOptions].build(),
    )
    both = {"as it is": (1.0, found.before), "calibrated": (found.temperature, found.after)}
    print_table(
        ("logits", "divided by", "accuracy, %", "neg. log-likelihood", "Brier score", "calibration error, %"),
        [
            (
                label,
                f"{temperature:.4g}",
                percent(found.accuracy),
                str(one.nll),
                str(one.brier),
                percent(one.calibration_error),
            )
            for label, (temperature, one) in both.items()
        ],
    )
    print(
        f"sigma_d {found.sigma_d:g}, {found.draws} chips, seed {found.seed}, {found.images} test images; the "
        f"temperature was found on {found.validation_images} validation images and "
        "other chips; ±: 95 % interval over chips of this network"
    )
    figure = reliability(
        f"{held.name}: confidence and accuracy, sigma_d {found.sigma_d:g}",
        [_drawn(label, *of) for label, of in both.items()],
        told=f"{found.draws} simulated chips together; marks by their share of predictions",
    )
    rows = [
        {
            "logits": label,
            "temperature": temperature,
            **columns("nll", one.nll),
            **columns("brier", one.brier),
            **columns("ece", one.calibration_error),
            **columns("accuracy", found.accuracy),
        }
        for label, (temperature, one) in both.items()
    ]
    about = {
        "sigma_d": found.sigma_d,
        "draws": found.draws,
        "seed": found.seed,
        "images": found.images,
        "validation_images": found.validation_images,
        "temperature": found.temperature,
    }
    write(options, "calibration", rows, about, figure)
    return 0


def _drawn(label: str, temperature: float, one: Confidence) -> Reliability:
    from steadynet.report.check_figures import Reliability

    error = ends(one.calibration_error)[0]
    bins = [(share, sure, right) for share, sure, right in one.reliability.tolist()]
    return Reliability(f"{label} (/ {temperature:.3g}),\nerror {error:.2f} %", bins)
