"""`steadynet inspect`: which of a network's weights lie on devices, on how many crossbars, and what stays digital and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadynet.cli.parser import Command, parse
from steadynet.cli.table import Row, print_table
from steadynet.errors import SteadyNetError, check_integer
from steadynet.files import check_new, write_json_atomically
from steadynet.options.build import build_model, load_data
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions


@dataclass(frozen=True)
class InspectOptions:
    """What is told.

    Args:
        classes: Classes of the network; those of --data by default.
        shape: Channels, height and width of its images; those of --data by default.
        json: File for what is told; none by default.
        overwrite: Replace that file if it is there.
    """

    classes: int | None = None
    shape: list[int] | None = None
    json: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.json is not None:
            check_new(Path(self.json), overwrite=self.overwrite)
        if self.classes is not None:
            check_integer("--classes", self.classes, at_least=1)
        if self.shape is not None:
            if len(self.shape) != 3:
                raise SteadyNetError(
                    f"--shape takes channels, height and width, got {' '.join(map(str, self.shape))}"
                )
            for size in self.shape:
                check_integer("--shape", size, at_least=1)


COMMAND = Command(
    "inspect",
    "Tell which of a network's weights lie on devices, on how many crossbars (both signs, --tile rows and columns each), and "
    "what stays digital and why.",
    (ModelOptions, DataOptions, DeviceOptions, InspectOptions),
    positional="model",
    examples=(
        "steadynet inspect vgg8 --model.width 0.25",
        "steadynet inspect timm:mobilenetv3_small_050 --classes 1000 --shape 3 224 224 --tile 128 128",
        "steadynet inspect my_pkg.nets.Net --data cifar10 --exclude 'head.*'",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Print the map."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    asked = options[InspectOptions]
    classes, shape = asked.classes, asked.shape
    if classes is None or shape is None:
        data = load_data(options[DataOptions])
        classes = data.classes if classes is None else classes
        shape = list(data.shape) if shape is None else shape
    from steadynet.mapping import layout

    model = build_model(options[ModelOptions], classes, (shape[0], shape[1], shape[2]))
    device = options[DeviceOptions].build(0.0)
    found = layout(model, device)
    total, within = found.weights, found.made_of
    rows: list[Row] = []
    for tensor in found.mapped:
        groups, height, width = tensor.matrix.size(tensor.shape)
        rows.append(
            (
                " = ".join((tensor.name, *tensor.aliases)),
                tensor.kind,
                _times(tensor.shape),
                f"{f'{groups} of ' if groups > 1 else ''}{height} × {width}",
                f"{tensor.weights:,}",
                f"{tensor.weights / total:.2%}",
                f"{tensor.devices:,}",
                f"{tensor.crossbars:,}",
            )
        )
    print_table(
        ("on devices", "layer", "shape", "matrix, in × out", "weights", "share", "devices", "crossbars"), rows
    )
    digital: list[Row] = [
        (
            t.name,
            _times(t.shape),
            f"{t.weights:,}",
            "–" if t.name in within else f"{t.weights / total:.2%}",
            t.reason,
        )
        for t in found.digital
    ]
    if digital:
        print_table(("digital", "shape", "weights", "share", "why"), digital)
    on = sum(tensor.weights for tensor in found.mapped)
    devices, crossbars = sum(t.devices for t in found.mapped), sum(t.crossbars for t in found.mapped)
    print(
        f"{on:,} of {total:,} parameters ({on / total:.2%}) lie on {devices:,} devices in {crossbars:,} crossbars of "
        f"{device.tile[0]} × {device.tile[1]}: M = {device.weight_bits}, K = {device.device_bits}, {device.slices} devices a "
        "weight side by side, for each sign"
    )
    if asked.json is not None:
        write_json_atomically(
            Path(asked.json),
            {
                "model": options[ModelOptions].model,
                "mapped": [
                    {
                        "name": t.name, "aliases": list(t.aliases), "kind": t.kind, "shape": list(t.shape), "weights": t.weights,
                        "matrix": list(t.matrix.size(t.shape)), "devices": t.devices, "crossbars": t.crossbars,
                    }
                    for t in found.mapped
                ],
                "digital": [
                    {"name": t.name, "shape": list(t.shape), "weights": t.weights, "reason": t.reason}
                    for t in found.digital
                ],
            },
        )  # fmt: skip
        print(asked.json)
    return 0


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"
