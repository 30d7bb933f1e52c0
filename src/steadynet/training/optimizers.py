"""The optimiser of a training, its learning rates and their fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from steadynet.training.settings import Settings


def optimizers(
    parameters: Sequence[nn.Parameter], settings: Settings, steps: int, pace: float
) -> dict[str, Any]:
    """Return Adam, or SGD with momentum, and a cosine to 0 over all steps, as Lightning takes them.

    Args:
        parameters: What is trained.
        settings: Optimiser, learning rate and weight decay.
        steps: Of the whole training.
        pace: By how much the learning rate is more than that of the settings.
    """
    lr = pace * settings.lr
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, lr=lr, weight_decay=settings.weight_decay)
    else:
        optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=settings.weight_decay)

    def factor(step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
