"""Weights that saturate: a smooth way to a small ratio of the peak to the root mean square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from steadynet.errors import check_number
from steadynet.recipes.base import FreeWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.recipes.constraint.state import Remembered


@dataclass(frozen=True)
class Saturate(FreeWeights):
    """What is programmed is w = s·tanh(v / (τ s)) of the weight v that is trained.

    s is the root mean square of v before training, one for each tensor, so |w| < s. The smaller τ, the more weights
    end near ±s, and the nearer to 1 is the ratio of max|W| to their root mean square.

    Args:
        tau: τ > 0.

    Raises:
        SteadyNetError: If `tau` is no positive number.
    """

    tau: float = 0.5

    def __post_init__(self) -> None:
        check_number("saturate (tau)", self.tau, above=0)

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the module that remembers s of each tensor.

        Raises:
            SteadyNetError: If all weights of a tensor are 0.
        """
        from steadynet.recipes.constraint.state import Remembered, sizes

        return Remembered(sizes(weights))

    def transform(self, name: str, weight: Tensor, state: nn.Module) -> Tensor:
        """Return s·tanh(v / (τ s))."""
        scale = cast("Remembered", state).of(name)
        return (weight / (self.tau * scale)).tanh() * scale
