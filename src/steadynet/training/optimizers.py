"""The optimiser of a training, its learning rates and their fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.training.settings import Settings


def optimizers(
    parameters: Sequence[nn.Parameter],
    settings: Settings,
    steps: int,
    pace: float,
    rates: Sequence[tuple[Tensor, float]] = (),
) -> dict[str, Any]:
    """Return Adam, or SGD with momentum, and a cosine to 0 over all steps, as Lightning takes them.

    Args:
        parameters: What is trained.
        settings: Optimiser, learning rate and weight decay.
        steps: Of the whole training.
        pace: By how much the learning rate is more than that of the settings.
        rates: Parameters that have a learning rate of their own; `pace` leaves it alone.

    Raises:
        SteadyNetError: If there are such, and the optimiser is not Adam: a step of it is what they are stated for.
    """
    lr = pace * settings.lr
    if rates and settings.optimizer != "adam":
        raise SteadyNetError(
            f"stride says how far a step of Adam goes, and the optimizer is {settings.optimizer!r}: take 'adam', or leave it out"
        )
    own = {id(parameter) for parameter, _ in rates}
    groups: list[dict[str, Any]] = [{"params": [p for p in parameters if id(p) not in own]}]
    groups += [{"params": [parameter], "lr": rate} for parameter, rate in rates]
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam(groups, lr=lr, weight_decay=settings.weight_decay)
    else:
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=settings.weight_decay)

    def factor(step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
