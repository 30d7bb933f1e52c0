"""The straight-through estimator: one tensor's values with another's gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _PassThrough(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Any, None]:
        return grad_outputs[0], None


def pass_through(weight: Tensor, value: Tensor) -> Tensor:
    """Return a tensor that holds `value` and whose gradient goes to `weight` unchanged.

    It equals `weight + (value - weight).detach()`, without the temporaries and the rounding of the sum.

    Args:
        weight: Where the gradient goes.
        value: What is held, of the same shape; it gets no gradient.
    """
    if not (weight.requires_grad and torch.is_grad_enabled()):
        return value
    result: Tensor = _PassThrough.apply(weight, value)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] (torch leaves apply untyped)
    return result
