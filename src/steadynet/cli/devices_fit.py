"""`steadynet devices fit`: a device file of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from steadynet.cli.parser import Command, parse
from steadynet.cli.table import Row, print_table
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.files import check_new

SHOWN = 24


@dataclass(frozen=True)
class FitOptions:
    """Measurements and their fit.

    Args:
        file: CSV or Parquet table with columns target, mean and std (and count), or target and read; a unit may stand in a
            name, as in "target (µS)". --file may be left out.
        fit: table takes mean and std as they are, interpolated between targets; polynomial takes the std as a polynomial of the
            conductance, and the mean as the target.
        degree: Of the polynomial, 0 to 4; by default the one that predicts each target from the others best.
        g_max: The conductance that the largest level stands for; the largest target by default.
        unit: Of the measurements, where the file does not tell it; µS by default.
        name: What the device is called; the file's name by default.
        technology: What it is.
        out: The device file, FILE.yaml by default; its picture lies beside it.
        overwrite: Replace the device file and its pictures if they are there.
    """

    file: str | None = None
    fit: Literal["table", "polynomial"] = "table"
    degree: int | None = None
    g_max: float | None = None
    unit: str | None = None
    name: str | None = None
    technology: str = ""
    out: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.file is None:
            raise SteadyNetError("name the measurements: steadynet devices fit FILE, a CSV or Parquet table")
        if self.degree is not None:
            check_integer("--degree", self.degree, at_least=0, at_most=4)
            if self.fit != "polynomial":
                raise SteadyNetError("--degree is that of --fit polynomial: leave it out")
        if self.g_max is not None:
            check_number("--g-max", self.g_max, above=0)
        if not self.target.name.endswith((".yaml", ".yml")):
            raise SteadyNetError(
                f"--out must end in .yaml, by which a device file is known, got {self.out!r}"
            )
        for suffix in (self.target.suffix, ".png", ".svg"):
            check_new(self.target.with_suffix(suffix), overwrite=self.overwrite)

    @property
    def target(self) -> Path:
        """The device file."""
        return Path(self.out) if self.out is not None else Path(self.file or "").with_suffix(".yaml")


COMMAND = Command(
    "devices fit",
    "Make a device file of measurements: how far devices miss each conductance that they are aimed at. It is named "
    "wherever a device is: --device FILE.yaml.",
    (FitOptions,),
    positional="file",
    examples=(
        "steadynet devices fit measured.csv",
        "steadynet devices fit reads.csv --fit polynomial --name lab-rram --out lab-rram.yaml",
        "steadynet evaluate runs/noise --device lab-rram.yaml --sigma-d own",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Fit, write and tell."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    asked = options[FitOptions]
    import numpy as np

    from steadynet.nvm.device_file import save_device
    from steadynet.nvm.measurements import fitted_law, read_measurements
    from steadynet.nvm.presets import Preset
    from steadynet.report.check_figures import write_figure
    from steadynet.report.device_figures import fit_figure

    source = Path(asked.file or "")
    measured = read_measurements(source)
    law = fitted_law(measured, fit=asked.fit, degree=asked.degree, g_max=asked.g_max, unit=asked.unit)
    devices = "" if measured.counts is None else f"{sum(measured.counts):,} reads of "
    name = asked.name or asked.target.stem
    preset = Preset(name, asked.technology, law, f"{devices}{len(measured.targets)} targets in {source.name}")
    save_device(preset, asked.target)
    rows: list[Row] = []
    for index, target in enumerate(measured.targets[:SHOWN]):
        fit = (
            f"{float(law.std_at(np.array([target]))[0]):.4g}"
            if law.g_min <= target <= law.g_max
            else "beyond g_max"
        )
        rows.append(
            (f"{target:g}", f"{measured.means[index] - target:+.4g}", f"{measured.stds[index]:.4g}", fit)
        )
    print_table((f"target, {law.unit}", "mean error", "std", "std of the law"), rows)
    if len(measured.targets) > SHOWN:
        print(f"… and {len(measured.targets) - SHOWN} targets more")
    print(f"{name}: {law.formula}, sigma_d {law.own_sigma_d:.4f} of {law.g_max:g} {law.unit}")
    if asked.fit == "polynomial" and max(
        abs(m - t) for m, t in zip(measured.means, measured.targets, strict=True)
    ):
        print("The polynomial has no shift of the mean; --fit table keeps the measured one.")
    print(asked.target)
    figure = fit_figure(f"{name}: measured and fitted", measured, law)
    for path in write_figure(asked.target.parent, asked.target.stem, figure):
        print(path)
    return 0
