"""`steadynet demo`: the main job on real digits within minutes: train, prove, hand over."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from steadynet.cli.command_options import CompareOptions
from steadynet.cli.compare import GROUPS, TRAININGS, checked, compare
from steadynet.cli.export import export
from steadynet.cli.parser import Command
from steadynet.cli.runs import BACKBONE

COMMAND = Command(
    "demo",
    "Compare the recipes on the handwritten digits that scikit-learn embeds, then hand over the network that "
    "keeps the best accuracy on noisy chips over validation images. Every option of compare can be changed.",
    GROUPS,
    ignored=("loggers",),
    inherits=GROUPS,
    defaults={
        "model": "cnn",
        "epochs": 60,
        "batch_size": 64,
        "lr": 0.002,
        "train_sigma_d": 0.2,
        "draws": 100,
        "progress": False,
        "out": "demo-results",
    },
    examples=(
        "steadynet demo",
        "steadynet demo --recipes noise ovf --sigma-d 0.2 0.4 --train-sigma-d matched",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = checked(COMMAND, argv)
    if options is None:
        return 0
    compare(options)
    out = Path(options[CompareOptions].out)
    best = best_training(out / TRAININGS / "cells")
    print(f"\nhanded over, by validation accuracy on noisy chips: {best.name}")
    # A demo that is carried on may have handed over before.
    export(options, best / BACKBONE, out / "export", onnx=False, overwrite=True)
    return 0


def best_training(cells: Path) -> Path:
    """Return the folder of the training with the best validation accuracy on noisy chips."""
    return max(sorted(path.parent for path in cells.glob("*/history.csv")), key=_accuracy)


def _accuracy(cell: Path) -> float:
    with (cell / "history.csv").open(newline="", encoding="utf-8") as file:
        return max(float(row["val_accuracy_noisy"]) for row in csv.DictReader(file))
