"""The optimiser of a training, its learning rates and their fall."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.training.settings import Settings


def parameter_groups(
    trained: Sequence[nn.Parameter], on_devices: Iterable[Tensor], pace: float, lr: float
) -> list[dict[str, Any]]:
    """Return the trained parameters for an optimiser: all at `lr`, or those on devices at `pace` times it.

    The first group's learning rate is the one that is told, so it is that of the others where there are any.
    """
    if pace == 1:
        return [{"params": list(trained)}]
    fast = {id(weight) for weight in on_devices}
    others = [parameter for parameter in trained if id(parameter) not in fast]
    slow = [{"params": others, "lr": lr}] if others else []
    return [*slow, {"params": [p for p in trained if id(p) in fast], "lr": pace * lr}]


def optimizers(groups: list[dict[str, Any]], settings: Settings, steps: int) -> dict[str, Any]:
    """Return Adam, or SGD with momentum, and a cosine to 0 over all steps, as Lightning takes them."""
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam(groups, lr=settings.lr, weight_decay=settings.weight_decay)
    else:
        optimizer = torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)

    def factor(step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
