"""Sharpness-aware minimisation: the gradient at the worst weights of a neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError, check_number

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.recipes.base import Evaluation


@dataclass(frozen=True)
class SAM:
    """The gradient is taken at w + e, where e points up the loss, and applied to w.

        SAM:   e = ρ g / ‖g‖₂                           g the gradient at w, norms over all of the backbone's parameters
        ASAM:  e = ρ t² g / ‖t g‖₂,   t = |w| + η

    Both gradients see the same chip, dropout and batch; BatchNorm learns from the first forward alone. What
    an objective trains beside the backbone (IRS's heads) is not moved. A step costs two.

    Args:
        rho: ρ > 0.
        adaptive: Whether it is ASAM, whose neighbourhood grows with each weight.
        eta: η ≥ 0 of ASAM, so that a weight of 0 can move.

    Raises:
        SteadyNetError: If a number is out of its range.

    Source:
        Foret et al., "Sharpness-Aware Minimization", ICLR 2021; Kwon et al., "ASAM", ICML 2021.
    """

    rho: float = 0.05
    adaptive: bool = False
    eta: float = 0.01

    def __post_init__(self) -> None:
        check_number("rho", self.rho, above=0)
        check_number("eta", self.eta, at_least=0)
        if not isinstance(self.adaptive, bool):
            raise SteadyNetError(f"adaptive must be True or False, got {self.adaptive!r}")

    def loss(self, evaluation: Evaluation) -> Tensor:
        """Return the loss at w + e."""
        import torch

        weights = evaluation.parameters
        gradient = evaluation.gradient(weights)
        with torch.no_grad():
            scales = {
                name: weights[name].abs() + self.eta if self.adaptive else torch.ones_like(g)
                for name, g in gradient.items()
            }
            norm = (
                torch.stack([(scales[name] * g).square().sum() for name, g in gradient.items()]).sum().sqrt()
            )
            # Where the gradient is zero there is no way up, and nothing to move.
            factor = torch.where(norm > 0, self.rho / norm, torch.zeros_like(norm))
            offsets = {name: factor * scales[name].square() * g for name, g in gradient.items()}
        return evaluation(offsets)
