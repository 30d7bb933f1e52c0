"""Several constraints at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError
from steadynet.recipes.base import Constraint
from steadynet.recipes.constraint.clip import Clip
from steadynet.recipes.constraint.learned_range import LearnedRange
from steadynet.recipes.constraint.peak import Peak
from steadynet.recipes.constraint.saturate import Saturate

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout

# Each sets the range of the weights.
_BOUNDS = (Clip, Peak, Saturate, LearnedRange)


@dataclass(frozen=True)
class Several:
    """Constraints that act one after the other: transforms and projections in their order, penalties added.

    Args:
        constraints: Two or more, of different classes; several among them count as the ones that they hold.

    Raises:
        SteadyNetError: If there are fewer than two, one is none, two are of one class, or two bound the weights.
    """

    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        # Several within several would hide from each other what contradicts itself.
        flat = [
            own
            for one in self.constraints
            for own in (one.constraints if isinstance(one, Several) else (one,))
        ]
        object.__setattr__(self, "constraints", tuple(flat))
        if len(self.constraints) < 2:
            raise SteadyNetError(
                f"several constraints are two or more, got {len(self.constraints)}: give the one itself"
            )
        for constraint in self.constraints:
            if isinstance(constraint, type) or not isinstance(constraint, Constraint):
                raise SteadyNetError(f"each of several constraints must be a Constraint, got {constraint!r}")
        names = [type(constraint).__name__ for constraint in self.constraints]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SteadyNetError(f"several constraints hold {twice[0]} twice: give it once")
        bounds = [type(c).__name__ for c in self.constraints if isinstance(c, _BOUNDS)]
        if len(bounds) > 1:
            raise SteadyNetError(
                f"{bounds[0]} and {bounds[1]} contradict each other: both bound the weights, so take one"
            )

    @property
    def pace(self) -> float:
        """The product of theirs."""
        return math.prod(constraint.pace for constraint in self.constraints)

    @property
    def settled(self) -> float:
        """Once all are."""
        return max(constraint.settled for constraint in self.constraints)

    def rates(self, state: nn.Module) -> Mapping[str, float]:
        """Return theirs.

        Raises:
            SteadyNetError: If two of them have a rate for one weight.
        """
        found: dict[str, float] = {}
        for constraint, own in self._each(state):
            given = constraint.rates(own)
            both = sorted(found.keys() & given.keys())
            if both:
                raise SteadyNetError(
                    f"two constraints have a learning rate for {both[0]}: leave one of them out"
                )
            found |= given
        return found

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the states of all, in a list."""
        from torch import nn

        return nn.ModuleList([constraint.setup(weights, sigma_d, layout) for constraint in self.constraints])

    def transform(self, name: str, weight: Tensor, state: nn.Module) -> Tensor:
        """Return what all transforms make of the weight."""
        for constraint, own in self._each(state):
            weight = constraint.transform(name, weight, own)
        return weight

    def penalty(self, weights: Mapping[str, Tensor], state: nn.Module) -> Tensor | None:
        """Return the sum of the penalties; None if there is none."""
        penalties = [constraint.penalty(weights, own) for constraint, own in self._each(state)]
        given = [penalty for penalty in penalties if penalty is not None]
        return sum(given[1:], given[0]) if given else None

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        """Let each change the weights."""
        for constraint, own in self._each(state):
            constraint.project(weights, progress, own)

    def _each(self, state: nn.Module) -> list[tuple[Constraint, nn.Module]]:
        return list(zip(self.constraints, state.children(), strict=True))
