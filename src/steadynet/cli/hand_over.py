"""The best network of a comparison, handed over."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from steadynet.cli.export import export
from steadynet.cli.parser import Options
from steadynet.cli.runs import BACKBONE

EXPORT = "export"


def hand_over(options: Options, trainings: Sequence[Path], out: Path) -> None:
    """Export the network that keeps the best accuracy on noisy chips over validation images, and say which it is."""
    best = best_training(trainings)
    print(f"\nhanded over, by validation accuracy on noisy chips: {best.name}")
    # A comparison that is carried on may have handed over before.
    export(options, best / BACKBONE, out / EXPORT, onnx=False, overwrite=True)


def best_training(trainings: Sequence[Path]) -> Path:
    """Return the folder of the training with the best validation accuracy on noisy chips; the first of equals."""
    return max(trainings, key=_accuracy)


def _accuracy(training: Path) -> float:
    with (training / "history.csv").open(newline="", encoding="utf-8") as file:
        return max(float(row["val_accuracy_noisy"]) for row in csv.DictReader(file))
