"""What the commands that check one trained network share: its run, its chips, and their files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.cli.about import again, versions
from steadynet.cli.outputs import check_output
from steadynet.cli.parser import Options, run_folder, saved_options
from steadynet.cli.runs import check_images, trained_weights
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.files import write_json_atomically, write_text_atomically
from steadynet.folders import prepare_folder
from steadynet.options.build import build_model, check_model, load_data
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from steadynet.data import DataSplits
    from steadynet.montecarlo.estimates import Estimate
    from steadynet.nvm.device import Device


# Of an evaluation's ways of computing, those that these commands do not take: they run one chip after the other, by one process.
NOT_COMPUTED_BY = ("channels_last", "chunk", "processes", "ray")


@dataclass(frozen=True)
class CheckOptions:
    """Simulated chips.

    Args:
        run: Folder of a finished training, or a file of weights; --run may be left out.
        sigma_d: σ_d of the chips; that of the training by default.
        draws: Simulated chips.
        seed: Seed of the chips.
        batch_size: Images at a time.
        out: Folder for the JSON, the CSV and the figure; only the terminal by default.
        overwrite: Empty the folder if it already holds results.
    """

    run: str | None = None
    sigma_d: float | None = None
    draws: int = 50
    seed: int = 0
    batch_size: int = 500
    out: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.run is None:
            raise SteadyNetError(
                "name what to check: RUN, the folder of a finished training or a file of weights"
            )
        if self.sigma_d is not None:
            check_number("--sigma-d", self.sigma_d, above=0)
        check_integer("--draws", self.draws, at_least=2)
        check_integer("--seed", self.seed, at_least=0)
        check_integer("--batch-size", self.batch_size, at_least=2)


@dataclass(frozen=True)
class Checked:
    """A trained network, its data, and the device that it is checked on."""

    model: nn.Module
    data: DataSplits
    device: Device
    name: str


def checked(options: Options) -> Checked:
    """Return what a command checks; the folder for its files is looked at first.

    Raises:
        SteadyNetError: If the run cannot be read, its σ_d is not told, or the folder cannot be used.
    """
    asked = options[CheckOptions]
    weights = trained_weights(Path(asked.run or ""))
    sigma_d = trained_sigma_d(asked.run or "", weights, asked.sigma_d)
    if asked.out is not None:
        check_output(Path(asked.out), options, weights, overwrite=asked.overwrite)
    # Only now: it takes seconds.
    from steadynet.deploy import load_state

    data = load_data(options[DataOptions])
    model = build_model(options[ModelOptions], data.classes, data.shape)
    load_state(model, weights)
    check_model(model, data)
    check_images(weights.parent, weights, options, data)
    return Checked(model, data, options[DeviceOptions].build(sigma_d), weights.parent.name or weights.name)


def trained_sigma_d(run: str, weights: Path, asked: float | None) -> float:
    """Return the σ_d that is asked for, or that of a run's training.

    Raises:
        SteadyNetError: If none is asked for, and the run tells none.
    """
    if asked is not None:
        return asked
    saved = saved_options(run_folder({"run": run}) or weights.parent).get("sigma_d")
    if not isinstance(saved, int | float) or not saved > 0:
        raise SteadyNetError(f"{run} tells no sigma_d above 0 that it was trained for: give --sigma-d")
    return float(saved)


def write(
    options: Options, name: str, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], figure: Figure
) -> None:
    """Write NAME.json, .csv, .png and .svg into the folder that was asked for, and say which; nothing without one.

    Args:
        options: The command's.
        name: Of the files.
        rows: Plain types by column, the same in each row.
        about: Facts of all rows.
        figure: What is drawn.
    """
    from steadynet.report.check_figures import write_figure

    asked = options[CheckOptions]
    if asked.out is None:
        return
    out = prepare_folder(Path(asked.out), overwrite=asked.overwrite)
    options.save(out)
    command = again(options.command.name, out)
    told = {"command": command, "versions": versions(), "options": options.config(), **about}
    write_json_atomically(out / f"{name}.json", {"about": told, "rows": [dict(row) for row in rows]})
    text = io.StringIO()
    table: csv.DictWriter[str] = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text_atomically(out / f"{name}.csv", text.getvalue())
    for path in (out / f"{name}.json", out / f"{name}.csv", *write_figure(out, name, figure)):
        print(path)


def percent(estimate: Estimate, form: str = "{:.2f}") -> str:
    """Return a share over draws in percent, or a difference of shares in points, with its interval."""
    half = "" if estimate.interval is None else f" ± {100 * estimate.half_width:.2f}"
    return form.format(100 * estimate.mean) + half


def ends(estimate: Estimate) -> tuple[float, float, float]:
    """Return mean, and both ends of the interval, in percent, cut at 0 and 100."""
    low, high = estimate.interval or (estimate.mean, estimate.mean)
    return 100 * estimate.mean, max(0.0, 100 * low), min(100.0, 100 * high)


def columns(prefix: str, estimate: Estimate) -> dict[str, float]:
    """Return an estimate's mean and interval as columns of a row, as shares."""
    low, high = estimate.interval or (estimate.mean, estimate.mean)
    return {prefix: estimate.mean, f"{prefix}_low": low, f"{prefix}_high": high}
