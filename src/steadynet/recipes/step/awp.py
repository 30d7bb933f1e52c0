"""Adversarial weight perturbation: the gradient at weights that were moved to where the loss is larger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError, check_number

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.recipes.base import Evaluation


@dataclass(frozen=True)
class AWP:
    """The gradient is taken at W + v and applied to W; each weight tensor that lies on devices has a v of its own.

        v = γ ‖W‖₂ / ‖g‖₂ · g,   g the gradient at W.

    Both gradients see the same chip, dropout and batch; BatchNorm learns from the first forward alone. A step costs two.

    Args:
        gamma: γ > 0, the move relative to the weights' own norm.

    Raises:
        SteadyNetError: If `gamma` is no positive number.

    Source:
        Wu et al., "Adversarial Weight Perturbation Helps Robust Generalization", NeurIPS 2020.
    """

    gamma: float = 0.01

    def __post_init__(self) -> None:
        check_number("awp_gamma", self.gamma, above=0)

    def loss(self, evaluation: Evaluation) -> Tensor:
        """Return the loss at W + v.

        Raises:
            SteadyNetError: If no trainable weight lies on devices, so that there is nothing to move.
        """
        import torch

        weights = evaluation.parameters
        names = [name for name in weights if name in evaluation.on_devices]
        if not names:
            raise SteadyNetError(
                "AWP moves the trainable weights that lie on devices, and there are none: take step 'plain' or 'sam'"
            )
        gradient = evaluation.gradient(names)
        offsets: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, up in gradient.items():
                norm = up.square().sum().sqrt()
                size = self.gamma * weights[name].square().sum().sqrt()
                # Where the gradient is zero there is no way up, and nothing to move.
                offsets[name] = up * torch.where(norm > 0, size / norm, torch.zeros_like(norm))
        return evaluation(offsets)
