"""`steadynet devices list`: the named devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadynet.cli.outputs import check_output
from steadynet.cli.parser import Command, parse
from steadynet.cli.table import Row, print_table
from steadynet.errors import check_integer, check_number
from steadynet.folders import prepare_folder
from steadynet.nvm.conductance_law import ConductanceLaw
from steadynet.nvm.device_file import is_device_file, named_device
from steadynet.nvm.device_law import LogNormalDevice
from steadynet.nvm.presets import PRESETS, Preset
from steadynet.nvm.variation import StateDependent


@dataclass(frozen=True)
class ListOptions:
    """Named devices.

    Args:
        device: Devices to list, named or device files; all that are named by default.
        sigma_d: Size at which devices without one of their own are drawn.
        device_bits: K, bits of one device, whose levels are marked.
        out: Folder for their picture; none by default.
        overwrite: Empty the folder if it already holds results.
    """

    device: list[str] = field(default_factory=lambda: [*PRESETS])
    sigma_d: float = 0.1
    device_bits: int = 2
    out: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in self.device:
            named_device(name)
        check_number("--sigma-d", self.sigma_d, above=0)
        check_integer("--device-bits", self.device_bits, at_least=1, at_most=8)


COMMAND = Command(
    "devices list",
    "List the named devices, for --device NAME, and draw how much each errs over its conductance.",
    (ListOptions,),
    examples=("steadynet devices", "steadynet devices list --device pcm rram-milo mine.yaml --out devices"),
)


def main(argv: Sequence[str]) -> int:
    """Print the table, and draw the picture if it is asked for."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    asked = options[ListOptions]
    presets = [named_device(name) for name in asked.device]
    if asked.out is not None:
        files = [Path(name) for name in asked.device if is_device_file(name)]
        check_output(Path(asked.out), options, *files, overwrite=asked.overwrite)
    rows: list[Row] = [
        (
            name,
            preset.technology,
            "any" if preset.own_sigma_d is None else f"{preset.own_sigma_d:.4f}",
            _range(preset),
            _law(preset),
            preset.source,
        )
        for name, preset in zip(asked.device, presets, strict=True)
    ]
    print_table(("name", "device", "sigma_d", "range", "std of a device's error", "source"), rows)
    print(
        "sigma_d: root mean square of the error over the range, relative to the largest conductance; --sigma-d own takes it."
    )
    print(
        "That of a state-dependent device is sigma_d if 40 % of the devices lie in the middle of their range."
    )
    if asked.out is not None:
        from steadynet.report.check_figures import write_figure
        from steadynet.report.device_figures import gallery

        out = prepare_folder(Path(asked.out), overwrite=asked.overwrite)
        options.save(out)
        figure = gallery(presets, sigma_d=asked.sigma_d, device_bits=asked.device_bits)
        for path in write_figure(out, "devices", figure):
            print(path)
    return 0


def _range(preset: Preset) -> str:
    law = preset.law
    return f"{law.g_min:g} to {law.g_max:g} {law.unit}" if isinstance(law, ConductanceLaw) else "–"


def _law(preset: Preset) -> str:
    """Return how a device errs, in words."""
    law = preset.law
    if isinstance(law, ConductanceLaw):
        return law.formula
    if isinstance(law, StateDependent) and law.factor != 1:
        outer = 1 / (0.4 * law.factor**2 + 0.6) ** 0.5
        return f"{outer:.3f} sigma_d, times {law.factor:g} between 1/4 and 3/4 of the range"
    if isinstance(law, LogNormalDevice):
        return "about sigma_d times its conductance"
    return "sigma_d at every level"
