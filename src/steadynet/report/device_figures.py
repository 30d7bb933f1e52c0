"""Figures of devices: how far they miss the conductances that they are aimed at."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steadynet.nvm.conductance_law import ConductanceLaw
from steadynet.nvm.device import Device
from steadynet.report.figures import COLOURS

if TYPE_CHECKING:
    from steadynet.nvm.measurements import Measurements
    from steadynet.nvm.presets import Preset

_COLUMNS = 4
_GRID = 401
Values = NDArray[np.float64]


def gallery(presets: Sequence[Preset], *, sigma_d: float, device_bits: int) -> Figure:
    """Return a panel for each device: the std of its error over the conductance that it is aimed at, in % of the largest.

    Args:
        presets: The devices. One without a size of its own is drawn at `sigma_d`.
        sigma_d: That size.
        device_bits: K; levels are marked.
    """
    rows = math.ceil(len(presets) / _COLUMNS)
    columns = min(_COLUMNS, len(presets))
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.5 * rows + 0.7), layout="constrained")
    for index, preset in enumerate(presets):
        axes: Axes = figure.add_subplot(rows, columns, index + 1)
        size = preset.own_sigma_d or sigma_d
        device = Device(
            weight_bits=device_bits,
            device_bits=device_bits,
            variation=preset.at(size),
            on_off_ratio=preset.on_off_ratio,
        )
        x, std = _over_conductance(device)
        levels, at_levels = _over_levels(device)
        axes.plot(x, std, color=COLOURS[5], linewidth=1.6)
        axes.plot(levels, at_levels, linestyle="none", marker="o", markersize=5, color=COLOURS[4])
        axes.set_ylim(0, 1.15 * max(*std, *at_levels))
        axes.set_xlim(-0.03, 1.03)
        told = f"σ_d {size:.3g}" + ("" if preset.own_sigma_d else ", as given")
        axes.set_title(f"{preset.name}\n{told}", fontsize=10, loc="left")
        _dress(axes)
    figure.supxlabel(
        f"conductance aimed at, relative to the largest (dots: levels of {device_bits} bits)", fontsize=10
    )
    figure.supylabel("std of the error, % of the largest conductance", fontsize=10)
    return figure


def fit_figure(title: str, measured: Measurements, law: ConductanceLaw) -> Figure:
    """Return mean error and std over the target, as measured and as fitted.

    Args:
        title: What stands above.
        measured: Points, with 95 % intervals where devices were counted.
        law: The line.
    """
    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    targets = np.array(measured.targets)
    grid = np.linspace(law.g_min, law.g_max, _GRID)
    left: Axes = figure.add_subplot(1, 2, 1)
    left.axhline(0, color="#999999", linewidth=0.8)
    left.plot(grid, law.mean_at(grid) - grid, color=COLOURS[5], linewidth=1.6, label="law")
    left.errorbar(
        targets,
        np.array(measured.means) - targets,
        yerr=measured.mean_half_widths(),
        fmt="o",
        color=COLOURS[4],
        markersize=5,
        capsize=3,
        linewidth=1,
    )
    left.set_ylabel(f"mean error, {law.unit}")
    right: Axes = figure.add_subplot(1, 2, 2)
    right.plot(grid, law.std_at(grid), color=COLOURS[5], linewidth=1.6, label="law")
    stds = np.array(measured.stds)
    intervals = measured.std_interval()
    reach = None if intervals is None else np.abs(np.array(intervals).T - stds)
    right.errorbar(
        targets,
        stds,
        yerr=reach,
        fmt="o",
        color=COLOURS[4],
        markersize=5,
        capsize=3,
        linewidth=1,
        label="measured",
    )
    right.set_ylabel(f"std of the error, {law.unit}")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel(f"target, {law.unit}")
        _dress(axes)
    right.legend(frameon=False, fontsize=9)
    note = "" if intervals is None else "; bars: 95 % intervals, for Gaussian errors"
    figure.suptitle(
        f"{title}\nσ_d {law.own_sigma_d:.4g} of {law.g_max:g} {law.unit}{note}",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    return figure


def _over_conductance(device: Device) -> tuple[Values, Values]:
    """Return conductances relative to the largest, and the std there in % of it, between levels too."""
    law = device.law
    x = np.linspace(device.least, 1, _GRID)
    if isinstance(law, ConductanceLaw):
        return x, 100 * law.std_at(x * law.g_max) / law.g_max * law.sigma_d / law.own_sigma_d
    # Levels so fine that they are a line.
    fine = dataclasses.replace(device, weight_bits=10, device_bits=10)
    return _over_levels(fine)


def _over_levels(device: Device) -> tuple[Values, Values]:
    """Return the levels' conductances relative to the largest, and the std there in % of it."""
    import torch

    levels = torch.arange(device.max_level + 1)
    std = device.law.level_std(levels[None], levels, device).expand(1, len(levels))[0].double().numpy()
    scale = device.levels_per_conductance
    return levels.numpy() / scale + device.least, 100 * std / scale


def _dress(axes: Axes) -> None:
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
