"""Weights clipped at a multiple of their standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from steadynet.errors import SteadyNetError, check_choice, check_number
from steadynet.recipes.base import FreeWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.nvm.matrix import Matrix
    from steadynet.recipes.constraint.state import Remembered

ClipScale = Literal["tensor", "channel"]
CLIP_SCALES: tuple[ClipScale, ...] = ("tensor", "channel")


@dataclass(frozen=True)
class Clip(FreeWeights):
    """After each step every programmed weight tensor is clipped to ±α·std(W).

    The error's std is proportional to max|W|, so a small ratio of the peak to the std makes the same
    devices err less against the weights. std is about the mean, just before the clip.

    Args:
        alpha: α > 1. At 1 and below the clip shrinks the very std that defines it, step by step to zero.
        per: Whether std is that of the whole "tensor", or of each output "channel".
        start: α at the first step; it falls evenly to `alpha` until the share `until` of the steps is taken. None for
            `alpha` from the beginning.
        until: Share of the steps after which α is `alpha`, in (0, 1]. The deployed weights are of the best epoch after that.

    Raises:
        SteadyNetError: If `alpha` is not a finite number above 1, `start` not above `alpha`, `until` out of its range or
            without `start`.

    Source:
        hardware-aware training (Joshi et al. 2020; Rasch et al. 2023), α 2 … 2.5 there.
    """

    alpha: float = 2.5
    per: ClipScale = "tensor"
    start: float | None = None
    until: float = 0.5

    def __post_init__(self) -> None:
        check_number("clip (alpha)", self.alpha, above=1)
        check_choice("clip_per", self.per, CLIP_SCALES)
        if self.start is not None:
            check_number("clip_start", self.start, above=0)
            if self.start <= self.alpha:
                raise SteadyNetError(
                    f"clip_start {self.start:g} must be more than clip {self.alpha:g}, to which it falls: leave it out for "
                    "one clip all along"
                )
        elif self.until != Clip.until:
            raise SteadyNetError(
                "clip_until says when clip_start has fallen to clip, and there is no clip_start: give it too"
            )
        check_number("clip_until", self.until, above=0, at_most=1)

    def at(self, progress: float) -> float:
        """Return α when the share `progress` of the steps is taken."""
        if self.start is None:
            return self.alpha
        return self.start + (self.alpha - self.start) * min(1.0, progress / self.until)

    @property
    def settled(self) -> float:
        """Once α is `alpha`: the weights of an earlier epoch may be larger than it allows."""
        return 0.0 if self.start is None else self.until

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the module that remembers which dimension of each weight counts its outputs."""
        from steadynet.recipes.constraint.state import Remembered

        return Remembered({}, layout=layout)

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        """Clip each tensor in place; one without spread is left alone."""
        import torch

        kept = cast("Remembered", state)
        with torch.no_grad():
            for name, weight in weights.items():
                bound = self.at(progress) * spread(weight, self.per, kept.matrix(name))
                # Equal weights have no std to clip at; inf leaves them as they are.
                bound = torch.where(bound > 0, bound, torch.full_like(bound, torch.inf))
                weight.clamp_(-bound, bound)


def spread(weight: Tensor, per: ClipScale, matrix: Matrix | None = None) -> Tensor:
    """Return the std of a weight about its mean: of shape (), or one for each output channel that broadcasts to the weight.

    A tensor of fewer than two dimensions has one std all the same. Without a matrix outputs are the first dimension.
    """
    from steadynet.nvm.matrix import PLAIN
    from steadynet.recipes.constraint.state import by_output, over_outputs

    if per == "tensor" or weight.dim() < 2:
        return weight.std(correction=0)
    lies = matrix or PLAIN
    return over_outputs(by_output(weight, lies).std(dim=1, correction=0), weight, lies)
