"""The task's loss: of logits against labels unless the user brings another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
    if isinstance(loss, partial):
        return f"{name_of(loss.func)}{loss.args}{loss.keywords}"
    if isinstance(loss, nn.Module):
        return f"{type(loss).__module__}.{loss!r}"
    of = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{of.__module__}.{of.__qualname__}"
