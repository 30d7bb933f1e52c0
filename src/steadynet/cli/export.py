"""`steadynet export`: what a chip and other tools need of a trained network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadynet.cli.checks import trained_sigma_d
from steadynet.cli.command_options import ExportOptions
from steadynet.cli.outputs import check_output
from steadynet.cli.parser import Command, Options, parse, run_folder
from steadynet.cli.runs import trained_weights
from steadynet.options.build import build_model, check_model, images, load_data
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions

COMMAND = Command(
    "export",
    "Hand over a trained network: its weights as safetensors and as a plain state_dict, the target level of "
    "every device, and, if asked for, ONNX. Data (which tell image size and classes), network and device are "
    "those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, ExportOptions),
    positional="run",
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=(
        "steadynet export runs/noise --out runs/noise-export",
        "steadynet export runs/noise --chips 0 1 --hdf5 --out runs/noise-chips",
        "steadynet export runs/noise --onnx --weight-bits 6 --device-bits 3 --out runs/noise-6-bits",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    asked = options[ExportOptions]
    weights = trained_weights(Path(asked.run or ""))
    check_output(Path(asked.out), options, weights, overwrite=asked.overwrite)
    sigma_d = 0.0 if asked.chips is None else trained_sigma_d(asked.run or "", weights, asked.sigma_d)
    chips = Chips(tuple(asked.chips or ()), sigma_d, asked.seed)
    export(
        options,
        weights,
        Path(asked.out),
        onnx=asked.onnx,
        overwrite=asked.overwrite,
        hdf5=asked.hdf5,
        chips=chips,
    )
    return 0


@dataclass(frozen=True)
class Chips:
    """Simulated chips that are written too: their draws, σ_d and seed."""

    draws: tuple[int, ...] = ()
    sigma_d: float = 0.0
    seed: int = 0


def export(
    options: Options, weights: Path, out: Path, *, onnx: bool, overwrite: bool, hdf5: bool = False,
    chips: Chips = Chips(),
) -> None:  # fmt: skip
    """Write the files and say which."""
    from steadynet.batchnorm import fold_batchnorm
    from steadynet.deploy import DEFAULT_FORMATS, load_state
    from steadynet.deploy import export as write

    data = load_data(options[DataOptions])
    model = build_model(options[ModelOptions], data.classes, data.shape)
    load_state(model, weights)
    check_model(model, data)
    device = options[DeviceOptions].build(chips.sigma_d)
    if device.fold_bn:
        # A chip has no norm: what is handed over is the folded network.
        model, device = fold_batchnorm(model), dataclasses.replace(device, fold_bn=False)
    written = write(
        model,
        device,
        out,
        formats=(*DEFAULT_FORMATS, *(["hdf5"] if hdf5 else []), *(["onnx"] if onnx else [])),
        chips=chips.draws,
        seed=chips.seed,
        example=images(data.test),
        overwrite=overwrite,
        metadata={"weights": str(weights), "options": options.config()},
    )
    for file in written:
        print(f"{out / file.path}  {file.bytes:,} bytes  sha256 {file.sha256[:16]}…")
    print(f"{out / 'export.json'}  the files with their checksums, the device, and what lies on devices")
