"""A recipe's own learning rate, relative to that of the settings."""

from __future__ import annotations

from dataclasses import dataclass

from steadynet.errors import check_number
from steadynet.recipes.base import FreeWeights


@dataclass(frozen=True)
class Pace(FreeWeights):
    """Training takes `speed` times the learning rate that the settings say.

    A constraint that keeps weights in a narrow range asks them to cross it, which with Adam takes about (range / learning rate)
    steps; and at a high temperature biases and BatchNorm have far to grow. So a recipe can bear, and need, a larger rate
    than others, and says so itself, where others are held against it at one setting.

    Args:
        speed: Learning rate over that of the settings, > 0.

    Raises:
        SteadyNetError: If `speed` is no positive number.
    """

    speed: float = 3.0

    def __post_init__(self) -> None:
        check_number("pace (speed)", self.speed, above=0)

    @property
    def pace(self) -> float:
        """The learning rate over that of the settings."""
        return self.speed
