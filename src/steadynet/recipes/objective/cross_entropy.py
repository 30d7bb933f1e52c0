"""Cross entropy at a softmax temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadynet.errors import check_number

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.recipes.base import Forwards


@dataclass(frozen=True)
class CrossEntropy:
    """loss = cross-entropy(O / T, y), in training only: the deployed network's logits are O.

    Args:
        temperature: T > 0. At T > 1 the softmax is flatter and the network learns larger logits, whose
            margins survive more noise.

    Raises:
        SteadyNetError: If `temperature` is not a positive number.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, above=0)

    def setup(self, backbone: nn.Module, example: Any, seed: int, layout: Layout | None = None) -> nn.Module:
        """Return an empty module: nothing is trained beside the backbone."""
        from torch import nn

        return nn.Module()

    def check(self, sigma_d: float) -> None:
        """Accept every σ_d."""

    def loss(self, forwards: Forwards) -> Tensor:
        """Return the cross entropy of one forward, its logits divided by T."""
        return forwards.task_loss(forwards.backbone().output / self.temperature)
