"""How large the measured work is: the targets' setting, a quick look, and one that only shows that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Scale:
    """Sizes of everything that is measured.

    Attributes:
        name: What the command line and the files call it.
        width: Of VGG-8's channels, for steps, programming and the pass over the images.
        size: Height and width of its images, of 3 channels.
        batch: Images of a training step.
        rounds: Of each pair of steps.
        long_rounds: Where a round takes minutes at the full scale.
        short_rounds: Where it takes a fraction of a second.
        images: Images of a Monte Carlo draw.
        train_steps: Steps of the network whose accuracy is estimated.
        design_share: Of the draws that a design's half-width is chosen by.
        std_draws: Draws from which the std of accuracy over chips is taken.
        full_seconds: A full estimate that takes no longer is also run.
        judged: Whether the targets are those of this scale.
    """

    name: str
    width: float
    size: int
    batch: int
    rounds: int
    long_rounds: int
    short_rounds: int
    images: int
    train_steps: int
    design_share: float
    std_draws: int
    full_seconds: float
    judged: bool


FULL = Scale("full", 1.0, 32, 128, 7, 3, 31, 10_000, 300, 1.0, 60, 180.0, True)
QUICK = Scale("quick", 0.25, 16, 128, 5, 3, 15, 1_000, 100, 0.1, 20, 5.0, False)
TINY = Scale("tiny", 0.0625, 8, 8, 2, 2, 3, 100, 4, 0.01, 4, 0.5, False)

SCALES: Mapping[str, Scale] = MappingProxyType({scale.name: scale for scale in (FULL, QUICK, TINY)})
