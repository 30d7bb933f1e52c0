"""Rows of a study without a study: for reports, as finished cells would give them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "W/O": {"recipe": "vanilla"},
    "W/": {"recipe": "noise"},
    "W/, T = 4": {"recipe": "noise", "temperature": 4.0},
    "OVF": {"recipe": "ovf", "beta": 1e-3},
    "IRS": {"recipe": "irs", "beta": 1e-2},
}
PANELS: Mapping[str, Mapping[str, Any]] = {
    "VGG-8 MNIST": {"data": "mnist", "model": "vgg8"},
    "ResNet-18 CIFAR-10": {"data": "cifar10", "model": "resnet18"},
}


def row(
    accuracy: float = 0.9,
    *,
    axes: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    half: float = 0.01,
    **others: Any,
) -> Row:
    """Return a row: recipe and seed by its axes, σ_d of the test by `sigma_d`."""
    labels = {"recipe": "W/", "seed": 0, **(axes or {})}
    sigma_d = float(others.pop("sigma_d", labels.get("sigma_d", 0.2)))
    made = {
        "data": "mnist",
        "model": "vgg8",
        "epochs": 12,
        **RECIPES.get(str(labels["recipe"]), {}),
        **(options or {}),
    }
    vanilla = made.get("recipe") == "vanilla"
    only = " ".join(f"'{axis}={label}'" for axis, label in labels.items())
    own = {
        "study": "small",
        "cell": f"cell-{zlib.crc32(only.encode()):08x}",
        "axes": labels,
        "recipe": str(labels["recipe"]),
        "seed": labels["seed"],
        "sigma_d": sigma_d,
        "train_sigma_d": None if vanilla else sigma_d,
        "best_epoch": 11,
        "steps": 1020,
        "train_seconds": 100.0,
        "test_seconds": 4.0,
        "peak_mib": 512.5,
        "clean_accuracy": 0.98,
        "quantised_accuracy": 0.979,
        "draws": 5,
        "evaluation_seed": 0,
        "images": 1000,
        "accuracy": estimate(accuracy, half),
        "ekl": estimate(0.3),
        "nll": estimate(0.4),
        "brier": estimate(0.1),
        "ece": estimate(0.02, 0.001),
        "kpp1": {"mean": accuracy - 0.03, "lo": None, "hi": None, "needs": 368},
        "kpp5": {"mean": accuracy - 0.02, "lo": None, "hi": None, "needs": 72},
        "kpp10": {"mean": accuracy - 0.01, "lo": accuracy - 0.02, "hi": accuracy, "needs": 36},
        "worst": accuracy - 0.04,
        "mutual_information": 0.05,
        "accuracy_values": [accuracy + step for step in (-0.02, -0.01, 0.0, 0.01, 0.02)],
        "options": made,
        "versions": {"steadynet": "0.1.0", "torch": "2.14.0", "python": "3.11", "machine": "x86_64"},
        "finished": "2026-01-02T03:04:05+00:00",
        "other_code": [],
        "command": f"steadynet study run small.yaml --only {only}",
    }
    return {**own, **others}


def estimate(mean: float, half: float = 0.01) -> dict[str, float]:
    """Return a metric as a row has it."""
    return {"mean": mean, "std": half, "lo": mean - half, "hi": mean + half}


def grid(
    value: Callable[[dict[str, Any]], Row | None],
    **axes: Sequence[Any],
) -> list[Row]:
    """Return the rows of a grid, the first seed first; `value` makes a point's row, or None where it is not finished."""
    names = sorted(axes, key=lambda name: name != "seed")
    made: list[Row] = []
    for labels in itertools.product(*(axes[name] for name in names)):
        found = value(dict(zip(names, labels, strict=True)))
        if found is not None:
            made.append(found)
    return made


def expected(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what a grid is to have."""
    return [dict(zip(axes, labels, strict=True)) for labels in itertools.product(*axes.values())]


SIGMAS = (0.0, 0.1, 0.2, 0.3, 0.4)
GRID: Mapping[str, Sequence[Any]] = {
    "panel": tuple(PANELS),
    "recipe": tuple(RECIPES),
    "sigma_d": SIGMAS,
    "seed": (0, 1, 2),
}


def figure3(seed: int = 0) -> list[Row]:
    """Return rows like those of the paper's Figure 3: two panels, five recipes, five σ_d, three seeds, some not finished."""
    rng = np.random.default_rng(seed)
    falls = {"W/O": 2.2, "W/": 0.9, "W/, T = 4": 0.5, "OVF": 0.45, "IRS": 0.6}

    def one(labels: dict[str, Any]) -> Row | None:
        if labels["panel"] == "ResNet-18 CIFAR-10" and labels["sigma_d"] == 0.4:
            return None
        top = 0.99 if labels["panel"] == "VGG-8 MNIST" else 0.8
        sigma = labels["sigma_d"]
        mean = (
            top
            - falls[labels["recipe"]] * sigma**2 * (1.5 if top < 0.9 else 1)
            + rng.normal(0, 0.01 * sigma / 0.4)
        )
        values = np.clip(rng.normal(mean, 0.05 * sigma + 1e-9, 50), 0, 1)
        short = labels["recipe"] == "W/" and sigma >= 0.3
        return row(
            float(values.mean()),
            axes=labels,
            options=PANELS[labels["panel"]],
            half=float(2 * values.std() / 7),
            clean_accuracy=top - (0.05 if short else 0.0),
            accuracy_values=[float(v) for v in values],
            draws=50,
            train_seconds={"OVF": 400.0, "IRS": 130.0}.get(labels["recipe"], 100.0) + float(rng.normal(0, 5)),
        )

    return grid(one, **GRID)
