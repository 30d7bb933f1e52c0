"""`steadynet demo`: the main job on real digits within minutes: train, prove, hand over."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.cli.compare import GROUPS, checked, compare
from steadynet.cli.parser import Command

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
        "hand_over": True,
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
    if options is not None:
        compare(options)
    return 0
