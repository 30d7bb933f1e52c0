"""No constraint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NoConstraint:
    """Weights move freely."""

    def penalty(self, weights: Mapping[str, Tensor]) -> None:
        """Return None: nothing is added to the loss."""
        return

    def project(self, weights: Mapping[str, Tensor]) -> None:
        """Leave the weights as they are."""
