"""Weights whose peak is held near their root mean square, at a size that does not change."""

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
class Peak(FreeWeights):
    """After each step every programmed weight tensor W is clipped, and then given back its size.

        W ← clip(W, ±r·rms(W)),   W ← W · s / rms(W),   s the rms of W when training started.

    The error's std is proportional to max|W|, and what a layer can tell from it grows with rms(W): their ratio, at most
    about r, decides how much a weight suffers. `Clip` shrinks the very spread that defines it, step by step, until at
    α near 1 all weights are gone; here the size is kept, so r may come as near to 1, two-valued weights, as training bears.

    A weight that is held at its size must be able to cross it, so its learning rate should go with the size: with `stride`,
    Adam moves a weight by up to stride · s a step at first, whatever `lr` is and however large a layer's weights are, and by
    less as the learning rate falls. Under `Clip` the size falls and the learning rate does not, so that in long trainings a step
    comes to flip every weight.

    Args:
        ratio: r > 1.
        stride: Learning rate of the weights over their size s; None for the learning rate of all parameters.

    Raises:
        SteadyNetError: If `ratio` is no finite number above 1, or `stride` none above 0.
    """

    ratio: float = 1.1
    stride: float | None = None

    def __post_init__(self) -> None:
        check_number("peak (ratio)", self.ratio, above=1)
        if self.stride is not None:
            check_number("stride", self.stride, above=0)

    def rates(self, state: nn.Module) -> Mapping[str, float]:
        """Return stride · s of each tensor; none without a stride."""
        if self.stride is None:
            return {}
        return {name: self.stride * float(size) for name, size in cast("Remembered", state).named()}

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the module that remembers s of each tensor.

        Raises:
            SteadyNetError: If all weights of a tensor are 0.
        """
        from steadynet.recipes.constraint.state import Remembered, sizes

        return Remembered(sizes(weights))

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        """Clip each tensor in place and give it back its size; one that has become 0 is left alone."""
        import torch

        kept = cast("Remembered", state)
        with torch.no_grad():
            for name, weight in weights.items():
                bound = self.ratio * weight.square().mean().sqrt()
                weight.clamp_(-bound, bound)
                now = weight.square().mean().sqrt()
                weight.mul_(torch.where(now > 0, kept.of(name) / now, torch.ones_like(now)))
