"""Recipes that users might bring by import path, whose parts have fields of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import steadynet as sn
from steadynet.recipes import CrossEntropy, FreeWeights, Several

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from steadynet.recipes import Forwards


@dataclass(frozen=True)
class Agreement(CrossEntropy):
    """Cross entropy, and the squared distance of the outputs of two chips."""

    weight: float = 0.1
    layers: tuple[str, ...] = ()
    how: Literal["mean", "sum"] | None = None
    times: int = 1
    scale: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layers", tuple(sorted(self.layers)))
        if self.times > 5:
            raise ValueError("more than five\nare too many")

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the loss."""
        one, other = forwards.backbone(pass_=0).output, forwards.backbone(pass_=1).output
        return forwards.task_loss(one / self.temperature) + self.weight * (one - other).square().mean()


@dataclass(frozen=True)
class Decay(FreeWeights):
    """After each step the weights on devices shrink a little."""

    share: float = 1e-4
    weight: float = 1.0

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        """Shrink them."""
        for weight in weights.values():
            weight.detach().mul_(1 - self.weight * self.share)


@dataclass(frozen=True)
class Unknown(CrossEntropy):
    """An objective whose annotation names nothing."""

    weight: Nowhere = 1.0  # pyright: ignore[reportUndefinedVariable, reportUnknownVariableType]  # noqa: F821


class Bare(FreeWeights):
    """A constraint that is no dataclass."""


mine = sn.Recipe(objective=Agreement(temperature=4.0), constraint=sn.Clip(2.0), name="agreement")
both = sn.Recipe(objective=Agreement(), constraint=Several((Decay(), sn.Clip(2.0))), name="both")
unknown: Any = sn.Recipe(objective=Unknown(), constraint=Bare(), name="unknown")
no_recipe = Agreement()
