"""Weights that are left alone."""

from __future__ import annotations

from dataclasses import dataclass

from steadynet.recipes.base import FreeWeights


@dataclass(frozen=True)
class NoConstraint(FreeWeights):
    """The weights are what the optimiser makes of them."""
