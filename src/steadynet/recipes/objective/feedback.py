"""What all forms of negative feedback share: Eq. 1 to 3 and their options.

    O_feedback = Σ_n γ_n Out_n                       (1)
    O_total    = a_b O_backbone − a_f β O_feedback    (2)
    loss       = cross-entropy(O_total / T, y)        (3), T = 1 in the paper

Source: "Negative Feedback Training", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from steadynet.errors import check_choice, check_number

if TYPE_CHECKING:
    from torch import Tensor

GammaOrder = Literal["paper", "reversed"]
GAMMA_ORDERS: tuple[GammaOrder, ...] = ("paper", "reversed")


def check_feedback(beta: float, gamma: str, a_b: float | None, a_f: float | None, temperature: float) -> None:
    """Raise `SteadyNetError` unless β is finite, the order of γ is known, a_b and a_f are finite and T > 0."""
    check_number("beta", beta)
    check_choice("gamma", gamma, GAMMA_ORDERS)
    check_number("temperature", temperature, above=0)
    for what, value in (("a_b", a_b), ("a_f", a_f)):
        if value is not None:
            check_number(what, value)


def growing_gammas(n: int) -> tuple[float, ...]:
    """Return γ_1 … γ_N = 10^{n−N}, for N = `n`: the last weighs 1."""
    return tuple(10.0 ** (i - n) for i in range(1, n + 1))


def combine(
    backbone: Tensor,
    feedback: Sequence[Tensor],
    gammas: Sequence[float],
    *,
    beta: float,
    a_b: float | None,
    a_f: float | None,
) -> Tensor:
    """Return O_total = a_b O_backbone − a_f β Σ_n γ_n Out_n.

    Args:
        backbone: O_backbone, logits [B, C].
        feedback: Out_1 … Out_N, each [B, C].
        gammas: γ_1 … γ_N.
        beta: β, the strength of the feedback; below 0 the feedback is positive.
        a_b: Amplification of the backbone; 1/(N+1) if None.
        a_f: Amplification of the feedback; 1/(N+1) if None.
    """
    import torch

    # In half precision β γ_n Out_n is mostly below the rounding of the output that it is subtracted from.
    wide = torch.promote_types(backbone.dtype, torch.float32)
    backbone, feedback = backbone.to(wide), [output.to(wide) for output in feedback]
    mean = 1 / (len(feedback) + 1)
    total = (mean if a_b is None else a_b) * backbone
    strength = (mean if a_f is None else a_f) * beta
    for gamma, output in zip(gammas, feedback, strict=True):
        total = total - strength * gamma * output
    return total
