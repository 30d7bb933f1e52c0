"""A range of the weights that is learned with them."""

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
class LearnedRange(FreeWeights):
    """What is programmed is w = clamp(v, −r, r) of the weight v that is trained, r = s·e^ρ learned for each tensor.

    s is the root mean square of v before training. The loss's gradient moves r by the weights that lie outside,

        dL/dr = Σ_{v > r} dL/dw − Σ_{v < −r} dL/dw,

    and the penalty  λ Σ_tensors r² / mean(w²)  draws it in: the error's std is proportional to r, which the loss's gradient
    does not see, since max|W| is constant to it.

    Args:
        start: r/s at the first step, > 0.
        strength: λ ≥ 0.

    Raises:
        SteadyNetError: If a number is out of its range.

    Source:
        learned clipping of activations (PACT, Choi et al. 2018), here of weights.
    """

    start: float = 2.5
    strength: float = 1e-3

    def __post_init__(self) -> None:
        check_number("learned_range (start)", self.start, above=0)
        check_number("range_strength", self.strength, at_least=0)

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the module that holds log r of each tensor.

        Raises:
            SteadyNetError: If all weights of a tensor are 0.
        """
        from steadynet.recipes.constraint.state import Remembered, sizes

        return Remembered(
            {name: (self.start * root).log() for name, root in sizes(weights).items()}, learned=True
        )

    def transform(self, name: str, weight: Tensor, state: nn.Module) -> Tensor:
        """Return the weight clamped to its range."""
        bound = cast("Remembered", state).of(name).exp()
        return weight.clamp(-bound, bound)

    def penalty(self, weights: Mapping[str, Tensor], state: nn.Module) -> Tensor | None:
        """Return λ Σ r² / mean(w²), the mean square held constant: weights are not rewarded for being large."""
        import torch

        ranges = cast("Remembered", state)
        return self.strength * torch.stack(
            [
                (2 * ranges.of(name)).exp() / weight.detach().square().mean()
                for name, weight in weights.items()
            ]
        ).sum().to(torch.get_default_dtype())
