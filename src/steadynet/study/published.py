"""The paper's numbers, each with where it comes from, found by the options of a training that stands for the same.

They belong to the paper's networks at full width, trained for 200 epochs on whole data sets: whoever shows them checks that.
Accuracies are in percent, EKL in nats. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from steadynet.errors import check_choice
from steadynet.options.groups import RecipeOptions
from steadynet.recipes import DEFAULT_RECIPE

Source = Literal["text", "figure", "rough", "below"]
# How far a value read off a vector figure may be off, in the figure's unit.
READ_WITHIN = 0.05

SOURCES: Mapping[str, str] = {
    "figure3": "published accuracy: Figure 3, read off the vector figure of the paper's journal version, to about ±0.05",
    "figure4": "published EKL: Figure 4, read off the vector figure (×1e-2); the paper does not say of which data set",
    "table1": "published accuracy: Table 1 of the paper (ResNet-18, CIFAR-10, σ_d = 0.3)",
    "table2": "published accuracy: Table 2 of the paper (ResNet-18, CIFAR-10, σ_d = 0.3, pretrained to 92.71 % clean)",
    "ablations": "published accuracy: the paper's text (ResNet-18, CIFAR-10, σ_d = 0.3; OVF with N = 3, IRS with N = 4)",
    "convergence": "published counts: the paper's text (VGG-8, MNIST, σ_d = 0.35, more than 5 points below the mean of 10)",
}
SIGMAS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


@dataclass(frozen=True)
class Number:
    """A published value.

    Attributes:
        value: In percent, or nats.
        source: From the paper's text; read off a figure; read off roughly ("~28"); or only known to lie below ("<32").
    """

    value: float
    source: Source

    def __str__(self) -> str:
        mark = {"rough": "~", "below": "<"}.get(self.source, "")
        return f"{mark}{self.value:g}"


def _curve(written: str) -> tuple[Number | None, ...]:
    """Return a curve as it is written: a value for each of `SIGMAS`, – where there is none."""
    kinds: dict[str, Source] = {"~": "rough", "<": "below"}
    return tuple(
        None if word == "–" else Number(float(word.lstrip("~<")), kinds.get(word[0], "figure"))
        for word in written.split()
    )


# By (model, data set), by method.
FIGURE3: Mapping[tuple[str, str], Mapping[str, tuple[Number | None, ...]]] = {
    panel: {method: _curve(written) for method, written in methods.items()}
    for panel, methods in {
        ("vgg8", "mnist"): {
            "W/O": "99.7 99.5 96.9 88.1 74.0 58.4 45.4 35.4 ~28",
            "W/": "99.7 99.6 99.6 99.5 99.5 99.4 86.6 52.3 54.2",
            "CorrectNet": "99.7 99.5 99.2 98.6 97.3 95.6 89.5 53.9 55.9",
            "OVF": "99.7 99.6 99.6 99.6 99.5 99.4 99.5 99.0 98.8",
            "IRS": "99.7 99.7 99.6 99.5 99.5 99.4 90.2 58.3 57.9",
        },
        ("vgg8", "cifar10"): {
            "W/O": "93.1 91.2 81.5 57.4 <32 – – – –",
            "W/": "93.1 92.3 90.5 87.6 83.3 79.4 71.2 62.2 55.4",
            "CorrectNet": "93.1 88.0 80.4 66.2 58.8 51.5 40.7 36.0 –",
            "OVF": "93.1 91.9 90.2 87.8 83.7 78.4 72.5 68.6 62.2",
            "IRS": "93.1 92.3 90.6 88.0 83.9 79.7 74.0 69.4 67.0",
        },
        ("resnet18", "mnist"): {
            "W/O": "99.6 99.2 94.3 87.2 80.5 70.9 55.3 ~41 –",
            "W/": "99.6 99.6 99.5 99.4 99.3 97.8 95.3 91.1 85.0",
            "CorrectNet": "99.6 99.3 98.3 96.8 94.7 91.8 90.7 82.1 73.0",
            "OVF": "99.6 99.6 99.6 99.5 99.3 97.9 98.5 96.5 89.0",
            "IRS": "97.8 97.7 97.7 96.4 98.0 98.0 97.1 96.4 95.8",
        },
        ("resnet18", "cifar10"): {
            "W/O": "92.7 90.3 77.8 48.6 23.1 13.5 10.8 10.0 10.0",
            "W/": "92.7 91.3 89.7 84.4 74.6 64.9 50.1 38.6 28.3",
            "CorrectNet": "92.7 86.2 82.2 78.9 72.2 63.9 56.1 44.0 35.0",
            "OVF": "93.4 92.8 91.0 87.0 81.1 74.0 63.5 53.8 44.6",
            "IRS": "93.8 92.9 91.0 87.5 81.6 74.8 65.8 56.9 48.6",
        },
        ("resnet18", "cifar100"): {
            "W/O": "66.3 57.9 30.4 8.6 2.3 1.2 1.0 1.0 1.0",
            "W/": "66.3 63.7 59.1 48.5 33.4 20.4 9.3 5.9 3.7",
            "CorrectNet": "66.3 56.6 50.5 43.8 33.6 27.1 16.1 8.8 5.9",
            "OVF": "68.6 65.9 62.4 55.4 48.1 35.8 26.5 16.5 11.5",
            "IRS": "69.2 67.0 62.9 57.1 48.6 39.7 29.4 17.8 13.3",
        },
        ("resnet18", "tiny-imagenet"): {
            "W/O": "61.5 56.4 36.7 9.0 1.2 .6 .5 .5 .5",
            "W/": "61.5 57.4 42.7 28.9 16.5 9.1 5.0 2.3 1.9",
            "CorrectNet": "61.5 44.2 35.8 19.8 13.8 8.1 4.6 3.0 2.2",
            "OVF": "60.2 55.8 44.3 31.4 19.7 11.4 7.3 4.8 3.3",
            "IRS": "61.0 55.8 42.5 29.1 19.9 11.2 6.7 4.4 4.2",
        },
    }.items()
}  # fmt: skip

# EKL by method and σ_d, in nats. The figure's axis is in hundredths: a correct prediction of ten classes cannot cost 7.9 nats.
FIGURE4: Mapping[str, Mapping[float, float]] = {
    "W/O": {0.0: 0.073e-2, 0.2: 0.721e-2, 0.4: 0.004e-2},
    "W/": {0.0: 0.073e-2, 0.2: 0.919e-2, 0.4: 7.876e-2},
    "CorrectNet": {0.0: 0.073e-2, 0.2: 1.08e-2, 0.4: 2.90e-2},
    "OVF": {0.0: 0.013e-2, 0.2: 0.076e-2, 0.4: 0.532e-2},
    "IRS": {0.0: 0.014e-2, 0.2: 0.065e-2, 0.4: 0.733e-2},
}

# By method, by N.
TABLE1: Mapping[str, Mapping[int, float]] = {
    "OVF": {1: 57.24, 2: 61.60, 3: 63.50, 4: 65.67},
    "IRS": {1: 55.93, 2: 61.58, 3: 65.43, 4: 65.81, 5: 66.44},
}
# By method, by epochs after the pretraining.
TABLE2: Mapping[str, Mapping[int, float]] = {
    "OVF": {0: 10.75, 50: 55.97, 100: 57.15, 200: 56.05},
    "IRS": {0: 10.75, 50: 55.07, 100: 57.34, 200: 56.94},
}
# Each with the one option that is changed.
ABLATIONS: Mapping[tuple[str, str], float] = {
    ("OVF", ""): 63.50,
    ("IRS", ""): 65.81,
    ("OVF", "gamma"): 46.01,
    ("IRS", "gamma"): 44.90,
    ("OVF", "delta_sigma"): 63.50 - 14.14,
    ("IRS", "heads_noise"): 48.44,
}
# Trainings of ten that end more than 5 points below their mean.
CONVERGENCE: Mapping[str, int] = {"W/": 6, "OVF": 0, "IRS": 2}
TRAININGS = 10
# Largest gain over W/ in points, by method, in the order of FIGURE3's panels, as the paper's text has them.
LARGEST_GAINS: Mapping[str, tuple[float, ...]] = {
    "OVF": (46.71, 6.78, 5.35, 16.30, 17.21, 3.22),
    "IRS": (5.98, 11.60, 10.78, 20.24, 20.10, 3.44),
}

_METHODS = {"vanilla": "W/O", "noise": "W/", "ovf": "OVF", "irs": "IRS", "correctnet": "CorrectNet"}
_RECIPE_OPTIONS = tuple(
    f.name for f in dataclasses.fields(RecipeOptions) if f.name not in ("recipe", "memory")
)


def find(name: str, metric: str, options: Mapping[str, Any], sigma_d: float) -> Number | None:
    """Return the published number of a training with these options, tested at σ_d; None where there is none.

    Args:
        name: figure3, figure4, table1, table2 or ablations.
        metric: accuracy or ekl.
        options: The training's flat options.
        sigma_d: σ_d of the test.

    Raises:
        SteadyNetError: If there is no such name.
    """
    check_choice("published", name, SOURCES)
    method, changed = _method(options)
    panel = (str(options.get("model", "")), str(options.get("data", "")))
    if method is None:
        return None
    if name == "figure3":
        if metric != "accuracy" or changed or sigma_d not in SIGMAS:
            return None
        curves = FIGURE3.get(panel, {})
        return curves[method][SIGMAS.index(sigma_d)] if method in curves else None
    if name == "figure4":
        value = FIGURE4[method].get(sigma_d) if metric == "ekl" and not changed else None
        return None if value is None else Number(value, "figure")
    if metric != "accuracy" or panel != ("resnet18", "cifar10") or sigma_d != 0.3:
        return None
    value = _ablated(name, method, changed, options)
    return None if value is None else Number(value, "text")


def find_failures(options: Mapping[str, Any], sigma_d: float) -> int | None:
    """Return how many of ten published trainings end more than 5 points below their mean; None where it is not told."""
    method, changed = _method(options)
    if (options.get("model"), options.get("data"), sigma_d) != ("vgg8", "mnist", 0.35) or changed:
        return None
    return CONVERGENCE.get(method or "")


def _ablated(name: str, method: str, changed: Mapping[str, Any], options: Mapping[str, Any]) -> float | None:
    if name == "table2":
        if options.get("init_from") is None:
            return None
        epochs = options.get("epochs")
        if epochs == 0:  # No further training: the pretrained network, whatever trained it further would be.
            return TABLE2["OVF"][0]
        return None if changed else TABLE2.get(method, {}).get(epochs or -1)
    if options.get("init_from") is not None:
        return None
    if name == "table1":
        if set(changed) - {"n"}:
            return None
        return TABLE1.get(method, {}).get(changed.get("n", {"OVF": 3, "IRS": 4}.get(method, 0)))
    if len(changed) > 1:
        return None
    return ABLATIONS.get((method, _ablation(changed)))


def _ablation(changed: Mapping[str, Any]) -> str:
    """Return the option that makes an ablation of the paper; "" for none, "?" for another change."""
    if not changed:
        return ""
    ((option, value),) = changed.items()
    paper = {"gamma": "reversed", "delta_sigma": -0.05, "heads_noise": False}
    return option if option in paper and value == paper[option] else "?"


def _method(options: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the paper's name of a training, and what differs from the paper's but β, which the paper chose by a search."""
    method = _METHODS.get(str(options.get("recipe", DEFAULT_RECIPE)))
    usual = {"gamma": "paper", "delta_sigma": 0.05, "heads_noise": True, "temperature": 1}
    changed = {
        name: value
        for name in _RECIPE_OPTIONS
        if (value := options.get(name)) is not None and value != usual.get(name)
    }
    beta = changed.pop("beta", None)
    if isinstance(beta, int | float) and beta <= 0:
        changed["beta"] = beta
    return method, changed
