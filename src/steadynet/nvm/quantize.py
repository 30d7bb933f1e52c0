"""Weights to signed integers and back (Eq. 4 of the negative-feedback-training paper).

The integer is called the *code*: its magnitude is what the devices of a weight hold together, its
sign says in which of the two crossbars they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from steadynet.errors import SteadyNetError
from steadynet.nvm.matrix import PLAIN, Matrix

if TYPE_CHECKING:
    from torch import Tensor

Scale = Literal["tensor", "channel", "tile"]
SCALES: tuple[Scale, ...] = ("tensor", "channel", "tile")


def max_abs(
    weight: Tensor, scale: Scale = "tensor", matrix: Matrix = PLAIN, tile: tuple[int, int] | None = None
) -> Tensor:
    """Return max|W|, the weight that a full conductance stands for.

    Args:
        weight: Any tensor with at least one element.
        scale: "tensor" for one maximum, of shape (); "channel" for one per output channel, of shape [C, 1, …, 1], [1, C, 1, …, 1]
            or, of grouped transposed convolutions, [I, C/g, 1, …, 1]; "tile" for one per tile, of the weight's shape. A weight of
            fewer than two dimensions has one maximum all the same.
        matrix: How the weight lies on crossbars.
        tile: Rows and columns (of weights) of a tile; needed for "tile".

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
    if scale == "tile" and values.dim() >= 2:
        return _by_tile(values, matrix, tile)
    if scale == "channel" and values.dim() >= 2 and matrix.input_major:
        return _by_second(values, matrix)
    if scale == "tensor" or values.dim() < 2:
        # aminmax makes no temporary of the weight's size, which abs().max() does, at 30 times the cost.
        low, high = torch.aminmax(values)
        return torch.maximum(-low, high)
    rows = values.flatten(1)
    low, high = torch.aminmax(rows, dim=1)
    return torch.maximum(-low, high).view(-1, *[1] * (values.dim() - 1))


def _by_second(values: Tensor, matrix: Matrix) -> Tensor:
    """Return the maxima of output channels that the second dimension counts, group by group of the first."""
    grouped = values.abs().reshape(matrix.groups, -1, *values.shape[1:])
    over = (1, *range(3, grouped.dim()))
    largest = grouped.amax(over, keepdim=True)
    if matrix.groups == 1:
        return largest[0]
    return largest.expand(-1, grouped.shape[1], *[-1] * (grouped.dim() - 2)).flatten(0, 1)


def _by_tile(values: Tensor, matrix: Matrix, tile: tuple[int, int] | None) -> Tensor:
    if tile is None:
        raise SteadyNetError("scale 'tile' needs the size of a tile")
    whole = matrix.of(values.abs())
    largest = whole.clone()
    for part in matrix.tiles(tuple(values.shape), tile):
        at = (part.group, slice(part.row, part.row_stop), slice(part.column, part.column_stop))
        largest[at] = whole[at].max()
    return matrix.back(largest, tuple(values.shape)).contiguous()


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
