"""The task's loss: of logits against labels unless the user brings another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadynet.errors import SteadyNetError

# Of (output, targets).
Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of logits [B, C] against labels [B].

    Raises:
        SteadyNetError: If a label is outside the classes; an index error deep in torch otherwise.
    """
    if output.dim() != 2:
        raise SteadyNetError(
            f"the model's output must be logits [B, classes], got {tuple(output.shape)}: pass loss=… for another task"
        )
    if output.device.type == "cpu":
        low, high = torch.aminmax(targets)
        if int(low) < 0 or int(high) >= output.shape[1]:
            raise SteadyNetError(
                f"labels run from {int(low)} to {int(high)}, the model has classes 0 to {output.shape[1] - 1}"
            )
    return F.cross_entropy(output, targets)


def name_of(loss: Loss) -> str:
    """Return what tells a loss from another: where its function is defined, or how a module or partial function is written."""
    return _told(loss)


def _told(value: Any) -> str:
    """Return what a loss, or an argument of one, is in words that are the same in every process."""
    if value is None or isinstance(value, str | int | float | bool | torch.dtype):
        return repr(value)
    if isinstance(value, Tensor):
        return f"Tensor{tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_told, cast('list[Any]', value)))}]"
    if isinstance(value, partial):
        whole = cast("partial[Any]", value)
        words = [*map(_told, whole.args), *(f"{name}={_told(own)}" for name, own in whole.keywords.items())]
        return f"{_told(whole.func)}({', '.join(words)})"
    if isinstance(value, nn.Module):
        return f"{type(value).__module__}.{value!r}"
    of: Any = value if hasattr(value, "__qualname__") else cast("Any", type(value))
    return f"{of.__module__}.{of.__qualname__}"
