"""A learning rate of their own for the weights on devices."""

from __future__ import annotations

from dataclasses import dataclass

from steadynet.errors import check_number
from steadynet.recipes.base import FreeWeights


@dataclass(frozen=True)
class Pace(FreeWeights):
    """The weights on devices are trained at `speed` times the learning rate of all other parameters.

    A constraint that keeps weights small or two-valued asks them to change sign more often than free ones do: with Adam, a
    weight crosses its range in about (range / learning rate) steps. Biases and BatchNorm have no such range.

    Args:
        speed: Learning rate of the weights on devices over that of all others, > 0.

    Raises:
        SteadyNetError: If `speed` is no positive number.
    """

    speed: float = 3.0

    def __post_init__(self) -> None:
        check_number("pace (speed)", self.speed, above=0)

    @property
    def pace(self) -> float:
        """The learning rate of the weights on devices, over that of all others."""
        return self.speed
