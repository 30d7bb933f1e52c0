"""`steadynet layers`: which layer's errors cost the accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.cli.checks import NOT_COMPUTED_BY, CheckOptions, checked, columns, ends, percent, write
from steadynet.cli.evaluate_options import ComputeOptions
from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.table import print_table
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions

COMMAND = Command(
    "layers",
    "Let one layer's devices err and all others hold what they are aimed at: which layer costs the accuracy. Data, network "
    "and device are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, CheckOptions, ComputeOptions),
    positional="run",
    ignored=NOT_COMPUTED_BY,
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=("steadynet layers runs/noise --out runs/noise-layers",),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    held, asked = checked(options), options[CheckOptions]
    from steadynet.deploy.layers import layer_sensitivity
    from steadynet.report.check_figures import Bar, bars

    found = layer_sensitivity(
        held.model,
        held.device,
        held.data.test,
        draws=asked.draws,
        seed=asked.seed,
        batch_size=asked.batch_size,
        compute=options[ComputeOptions].build(),
    )
    print_table(
        ("noisy layer", "weights", "accuracy, %", "loss, points"),
        [
            *(
                (layer.name, f"{100 * layer.share:.1f} %", percent(layer.accuracy), percent(layer.loss))
                for layer in found.layers
            ),
            ("all", "100 %", percent(found.all), percent(found.all_loss)),
            ("none", "", f"{100 * found.none:.2f}", ""),
        ],
    )
    print(
        f"sigma_d {found.sigma_d:g}, {found.draws} chips, the same errors in each row, seed {found.seed}, "
        f"{found.images} test images; "
        "±: 95 % interval over chips of this network"
    )
    none = 100 * found.none
    figure = bars(
        f"{held.name}: accuracy with one layer noisy, sigma_d {found.sigma_d:g}",
        [
            *(
                Bar(layer.name, *ends(layer.accuracy), f"{100 * layer.share:.1f} % of weights")
                for layer in found.layers
            ),
            Bar("all", *ends(found.all)),
        ],
        told=f"from {none:.2f} % without noise; {found.draws} simulated chips; lines: 95 % interval over chips",
        base=none,
    )
    rows = [
        {
            "layer": layer.name,
            "weights": layer.weights,
            **columns("accuracy", layer.accuracy),
            **columns("loss", layer.loss),
        }
        for layer in found.layers
    ]
    total = sum(layer.weights for layer in found.layers)
    rows.append(
        {
            "layer": "all",
            "weights": total,
            **columns("accuracy", found.all),
            **columns("loss", found.all_loss),
        }
    )
    about = {"sigma_d": found.sigma_d, "draws": found.draws, "seed": found.seed, "images": found.images}
    write(options, "layers", rows, {**about, "none": found.none, **columns("all", found.all)}, figure)
    return 0
