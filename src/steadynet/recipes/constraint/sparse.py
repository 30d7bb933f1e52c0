"""A penalty that drives weights to zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import check_number
from steadynet.recipes.base import FreeWeights

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Sparse(FreeWeights):
    """The penalty  strength · Σ |w|  over all programmed weights.

    Weights near zero lose least where a device sticks at its lowest conductance; but the peak stays, and with it the error
    of every other weight.

    Args:
        strength: The penalty's weight, > 0.

    Raises:
        SteadyNetError: If `strength` is no positive number.
    """

    strength: float = 1e-5

    def __post_init__(self) -> None:
        check_number("sparsity (strength)", self.strength, above=0)

    def penalty(self, weights: Mapping[str, Tensor], state: nn.Module) -> Tensor | None:
        """Return strength · Σ |w|."""
        import torch

        return self.strength * torch.stack([weight.abs().sum() for weight in weights.values()]).sum()
