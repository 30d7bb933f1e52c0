"""Draws the pictures of docs/concepts.md, with numbers that the library gives: python docs/images/concepts.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import steadynet as sn
from steadynet.nvm.quantize import max_abs, to_codes
from steadynet.nvm.slicing import slice_levels

HERE = Path(__file__).parent
INK, PALE, WARM, COOL, GREY = "#222222", "#f3f4f8", "#f6dcc8", "#d5e3f4", "#888888"


def canvas(width: float, height: float) -> Axes:
    """Return axes without axes, in units of inches."""
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return axes


def box(
    axes: Axes, x: float, y: float, text: str, *, w: float = 1.5, h: float = 0.7, fill: str = PALE
) -> None:
    """Draw a box around a text, its centre at (x, y)."""
    patch = FancyBboxPatch(
        (x - w / 2, y - h / 2), w, h, boxstyle="round,pad=0.02,rounding_size=0.08", fc=fill, ec=INK, lw=1
    )
    axes.add_patch(patch)
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color=INK, linespacing=1.4)


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", *, dashed: bool = False
) -> None:
    """Draw an arrow, with a text above its middle."""
    style = "--" if dashed else "-"
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, lw=1, color=INK, ls=style, shrinkA=0, shrinkB=0
        )
    )
    if text:
        axes.text(
            (start[0] + end[0]) / 2,
            (start[1] + end[1]) / 2 + 0.08,
            text,
            ha="center",
            va="bottom",
            fontsize=8,
            color=INK,
        )


def note(axes: Axes, x: float, y: float, text: str) -> None:
    """Write a small grey text."""
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color="#555555", linespacing=1.4)


def weight_to_device() -> None:
    """Follow one weight onto four devices and back."""
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[0.37, -1.0]])
    device = sn.Device(weight_bits=8, device_bits=2, variation=sn.Gaussian(0.1), path="device")
    codes = to_codes(layer.weight, max_abs(layer.weight), 8)
    code = int(codes[0, 0])
    levels = [int(level) for level in slice_levels(codes, 8, 2)[:, 0, 0]]
    held = float(sn.program(layer, device, seed=0, draw=3)["weight"].detach()[0, 0])
    axes = canvas(11, 4.3)
    y = 3.3
    box(axes, 0.95, y, "weight\nw = 0.37", fill=COOL)
    arrow(axes, (1.72, y), (2.68, y), "quantise")
    box(axes, 3.45, y, f"code, M = 8 bits\n{code} of 255")
    arrow(axes, (4.22, y), (5.18, y), "slice")
    box(axes, 5.95, y, "levels, K = 2 bits\n" + "  ".join(map(str, reversed(levels))))
    arrow(axes, (6.72, y), (7.68, y), "program")
    axes.text(8.8, 4.12, "crossbar of positive signs", ha="center", fontsize=8, color=INK)
    for index, level in enumerate(reversed(levels)):
        x = 7.95 + 0.55 * index
        axes.add_patch(plt.Rectangle((x, 2.75), 0.42, 1.1, fc="white", ec=INK, lw=1))
        axes.add_patch(plt.Rectangle((x, 2.75), 0.42, 1.1 * level / 3, fc=WARM, ec="none"))
        axes.plot([x, x + 0.42], [2.75 + 1.1 * level / 3] * 2, color="#c0562a", lw=1.5)
        note(axes, x + 0.21, 2.58, f"× {4 ** (3 - index)}")
    note(
        axes,
        8.9,
        2.2,
        "J = M/K = 4 devices; each ends at its level\nplus Gaussian noise of σ_d = 10 % of the largest conductance",
    )
    arrow(axes, (8.8, 1.9), (8.8, 1.28))
    box(axes, 8.8, 0.9, "currents of the slices,\nshifted and added", w=2.0)
    arrow(axes, (7.78, 0.9), (5.62, 0.9), "read")
    box(axes, 4.75, 0.9, f"programmed weight\n{held:.4f}", w=1.7, fill=COOL)
    note(axes, 4.75, 0.25, "std of the error: 0.7776 · σ_d · max|W|, whatever the weight")
    arrow(axes, (3.88, 0.9), (1.0, 2.9), dashed=True)
    note(axes, 1.55, 1.35, "in training: the gradient passes\nstraight through to the clean weight")
    save("weight-to-device")


def feedback(name: str, title: str, rows: list[tuple[str, str]], below: str) -> None:
    """Draw a network's output and its feedback."""
    axes = canvas(10, 3.9)
    axes.text(0.15, 3.65, title, fontsize=10, color=INK, weight="bold", va="center")
    box(axes, 0.95, 2.9, "images", fill=COOL)
    if name == "ovf":
        box(axes, 3.6, 2.9, "backbone, a chip at σ_d", w=2.5)
        arrow(axes, (1.72, 2.9), (2.33, 2.9))
        arrow(axes, (4.87, 2.9), (6.08, 2.9))
        for index, (chip, output) in enumerate(rows):
            y = 1.95 - 0.85 * index
            box(axes, 3.6, y, chip, w=2.5, h=0.6, fill=WARM)
            arrow(axes, (0.95, 2.53) if index == 0 else (0.95, 1.95), (0.95, y))
            arrow(axes, (0.95, y), (2.33, y))
            arrow(axes, (4.87, y), (6.08, y))
            box(axes, 6.6, y, output, w=1.0, h=0.6, fill=WARM)
    else:
        xs = [2.5, 3.75, 5.0]
        arrow(axes, (1.72, 2.9), (2.05, 2.9))
        for index, x in enumerate(xs):
            box(axes, x, 2.9, f"layers {index + 1}", w=0.9)
            arrow(axes, (x + 0.47, 2.9), (x + 0.78, 2.9) if index < 2 else (6.08, 2.9))
        for index, (chip, output) in enumerate(rows):
            x = xs[index]
            arrow(axes, (x, 2.53), (x, 2.0))
            box(axes, x, 1.65, chip, w=1.1, h=0.65, fill=WARM)
            arrow(axes, (x, 1.3), (x, 0.92))
            box(axes, x, 0.6, output, w=0.9, h=0.55, fill=WARM)
    box(axes, 6.6, 2.9, "logits O", w=1.0, fill=COOL)
    arrow(axes, (7.12, 2.9), (8.03, 2.9))
    box(axes, 8.85, 2.9, "cross entropy of\n(O − β Σ γ F)/(N + 1)", w=1.6)
    if name == "ovf":
        for index in range(len(rows)):
            arrow(axes, (7.12, 1.95 - 0.85 * index), (8.5 + 0.35 * index, 2.53))
    else:
        for x in xs:
            axes.plot([x, x], [0.3, 0.12], color=INK, lw=1)
        axes.plot([xs[0], 8.85], [0.12, 0.12], color=INK, lw=1)
        arrow(axes, (8.85, 0.12), (8.85, 2.53))
    note(axes, 8.3 if name == "ovf" else 7.2, 0.55, below)
    save(name)


def save(name: str) -> None:
    """Write the picture."""
    with mpl.rc_context({"svg.hashsalt": "steadynet"}):
        plt.savefig(HERE / f"{name}.svg", metadata={"Date": None}, facecolor="white")
    plt.close()


if __name__ == "__main__":
    weight_to_device()
    feedback(
        "ovf",
        "OVF: the same weights, run again at larger variation",
        [("the same, at σ_d + δ", "F₁"), ("the same, at σ_d + 2δ", "F₂")],
        "after training the feedback is dropped;\nthe plain backbone is deployed",
    )
    feedback(
        "irs",
        "IRS: noisy classifiers on intermediate feature maps",
        [("classifier", "F₁"), ("classifier", "F₂"), ("classifier", "F₃")],
        "after training the classifiers are dropped;\nthe plain backbone is deployed",
    )
