"""Weights to signed integers and back (Eq. 4 of the negative-feedback-training paper).

The integer is called the *code*: its magnitude is what the devices of a weight hold together, its
sign says in which of the two crossbars they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from steadynet.errors import SteadyNetError

if TYPE_CHECKING:
    from torch import Tensor

Scale = Literal["tensor", "channel"]
SCALES: tuple[Scale, ...] = ("tensor", "channel")


def max_abs(weight: Tensor, scale: Scale = "tensor") -> Tensor:
    """Return max|W|, the weight that a full conductance stands for.

    Args:
        weight: Any tensor with at least one element. Its first dimension counts the output channels.
        scale: "tensor" for one maximum, of shape (); "channel" for one per output channel, of shape
            [C, 1, …, 1] (a weight of fewer than two dimensions has one maximum all the same).

    Returns:
        The maximum, detached. Where all weights are zero it is 0; `from_codes` then gives zeros back.

    Raises:
        SteadyNetError: If the tensor is empty or `scale` is unknown.
    """
    import torch

    if scale not in SCALES:
        raise SteadyNetError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    if weight.numel() == 0:
        raise SteadyNetError(f"a weight tensor of shape {tuple(weight.shape)} is empty: nothing to program")
    values = weight.detach()
    if scale == "tensor" or values.dim() < 2:
        # aminmax makes no temporary of the weight's size, which abs().max() does, at 30 times the cost.
        low, high = torch.aminmax(values)
        return torch.maximum(-low, high)
    rows = values.flatten(1)
    low, high = torch.aminmax(rows, dim=1)
    return torch.maximum(-low, high).view(-1, *[1] * (values.dim() - 1))


def lsb(maximum: Tensor, weight_bits: int) -> Tensor:
    """Return the weight that one code step stands for, max|W| / (2^M − 1)."""
    return maximum / (2**weight_bits - 1)


def to_codes(weight: Tensor, maximum: Tensor, weight_bits: int) -> Tensor:
    """Return n = round(w / max|W| · (2^M − 1)), a signed integer held as a float of w's dtype.

    Args:
        weight: The clean weight.
        maximum: `max_abs` of it, broadcastable to it.
        weight_bits: M, the bits of a magnitude.

    Returns:
        A new tensor of the weight's shape in −(2^M − 1) … 2^M − 1, without gradient. Ties round to even.
        Where the maximum is 0, or so small that 1/step overflows, the code is 0. A NaN weight has code NaN.
    """
    import torch

    step = lsb(maximum, weight_bits)
    inverse = 1 / step
    # A step of 0, or one so small that its inverse overflows, would make NaN of weight 0.
    inverse = torch.where(torch.isfinite(inverse), inverse, torch.zeros_like(step))
    top = 2**weight_bits - 1
    # The clamp catches the last bit: (w · 1/step) may round past the top code in the weight's dtype.
    return weight.detach().mul(inverse).round_().clamp_(-top, top)


def from_codes(codes: Tensor, maximum: Tensor, weight_bits: int) -> Tensor:
    """Return w = n · max|W| / (2^M − 1), the weight that a code stands for."""
    return codes * lsb(maximum, weight_bits)


def fake_quantize(weight: Tensor, weight_bits: int, scale: Scale = "tensor") -> Tensor:
    """Return the quantised weight; its gradient passes straight through to `weight`.

    The straight-through estimator takes dW_q/dW = 1 for every element, max|W| being constant.
    """
    from steadynet.nvm.straight_through import pass_through

    maximum = max_abs(weight, scale)
    return pass_through(weight, from_codes(to_codes(weight, maximum, weight_bits), maximum, weight_bits))
