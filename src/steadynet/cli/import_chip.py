"""`steadynet import`: a chip whose conductances were measured, on the test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadynet.cli.parser import Command, parse, run_folder
from steadynet.cli.runs import check_images, trained_weights
from steadynet.cli.table import Row, print_table
from steadynet.errors import SteadyNetError, check_integer
from steadynet.files import check_new, write_json_atomically
from steadynet.options.build import build_model, check_model, load_data
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions


@dataclass(frozen=True)
class ImportOptions:
    """A measured chip.

    Args:
        file: Measured conductances, NPZ or HDF5, as docs/levels.md has them; --file may be left out.
        run: Folder of the training, or the file of weights, that the chip was programmed from.
        batch_size: Images at a time.
        json: File for what is told; none by default.
        overwrite: Replace that file if it is there.
    """

    file: str | None = None
    run: str | None = None
    batch_size: int = 500
    json: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.json is not None:
            check_new(Path(self.json), overwrite=self.overwrite)
        if self.file is None:
            raise SteadyNetError("name the measured chip: steadynet import FILE --run RUN")
        if self.run is None:
            raise SteadyNetError("name the training that the chip was programmed from: --run RUN")
        check_integer("--batch-size", self.batch_size, at_least=1)


COMMAND = Command(
    "import",
    "Tell what accuracy a chip has whose conductances were measured. Data, network and device are those of the run, unless given "
    "here; the levels that the chip was programmed to must be those of the run.",
    (DataOptions, ModelOptions, DeviceOptions, ImportOptions),
    positional="file",
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=(
        "steadynet export runs/noise --chips 0 --out out",
        "steadynet import out/chip-0.npz --run runs/noise",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Read, compute and tell."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    asked = options[ImportOptions]
    weights, path = trained_weights(Path(asked.run or "")), Path(asked.file or "")
    from steadynet.batchnorm import fold_batchnorm
    from steadynet.deploy import levels_of, load_measured, load_state
    from steadynet.deploy.held import holding
    from steadynet.montecarlo.intervals import proportion_interval

    data = load_data(options[DataOptions])
    model = build_model(options[ModelOptions], data.classes, data.shape)
    load_state(model, weights)
    check_model(model, data)
    check_images(weights.parent, weights, options, data)
    device = options[DeviceOptions].build(0.0).ideal
    if device.fold_bn:
        model, device = fold_batchnorm(model), dataclasses.replace(device, fold_bn=False)
    levels = levels_of(model, device)
    measured = load_measured(path, levels)
    chip, targets = measured.weights(levels), levels.weights()
    rows: list[Row] = []
    told: dict[str, dict[str, float]] = {}
    with holding(model, device, data.test, batch_size=asked.batch_size) as held:
        count = len(held.images)
        for name, tensors in (
            ("clean network", {}),
            ("quantised, without error", targets),
            (path.name, chip),
        ):
            accuracy = held.accuracy(tensors)
            low, high = proportion_interval(round(accuracy * count), count)
            rows.append((name, f"{100 * accuracy:.2f}", f"{100 * low:.2f} to {100 * high:.2f}"))
            told[name] = {"accuracy": accuracy, "low": low, "high": high}
    print_table(("network", "accuracy, %", "95 % interval"), rows)
    errors: list[Row] = []
    sizes: dict[str, float] = {}
    for name, target in targets.items():
        largest = float(levels.tensors[name].maximum.max()) or 1.0
        sizes[name] = float((chip[name] - target).double().square().mean().sqrt()) / largest
        errors.append((name, f"{100 * sizes[name]:.3f}"))
    print_table(("weights", "root mean square of the error, % of the largest weight"), errors)
    print(f"{count} test images; intervals are over images: this is one chip")
    if asked.json is not None:
        write_json_atomically(
            Path(asked.json),
            {"chip": str(path), "run": asked.run, "images": count, "networks": told, "errors": sizes},
        )
        print(asked.json)
    return 0
