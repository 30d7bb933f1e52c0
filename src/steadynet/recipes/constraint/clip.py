"""Weights clipped at a multiple of their standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadynet.errors import check_number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """After each step every programmed weight tensor is clipped to ±α·std(W).

    The error's std is proportional to max|W|, so a small ratio of the peak to the std makes the same
    devices err less against the weights. std is that of the tensor, about its mean, just before the clip.

    Args:
        alpha: α > 1. At 1 and below the clip shrinks the very std that defines it, step by step to zero.

    Raises:
        SteadyNetError: If `alpha` is not a finite number above 1.

    Source: hardware-aware training (Joshi et al. 2020; Rasch et al. 2023), α 2 … 2.5 there.
    """

    alpha: float = 2.5

    def __post_init__(self) -> None:
        check_number("clip (alpha)", self.alpha, above=1)

    def penalty(self, weights: Mapping[str, Tensor]) -> None:
        """Return None: nothing is added to the loss."""
        return

    def project(self, weights: Mapping[str, Tensor]) -> None:
        """Clip each tensor in place; one without spread is left alone."""
        import torch

        with torch.no_grad():
            for weight in weights.values():
                bound = self.alpha * weight.std(correction=0)
                # A tensor of equal weights has no std to clip at; inf leaves it as it is.
                bound = torch.where(bound > 0, bound, torch.full_like(bound, torch.inf))
                weight.clamp_(-bound, bound)
