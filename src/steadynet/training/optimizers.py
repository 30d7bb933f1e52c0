"""The optimiser of a training, its learning rates and their fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.training.settings import Settings


def check_optimizer(settings: Settings, *, has_rates: bool) -> None:
    """Raise `SteadyNetError` if weights have learning rates of their own and the optimiser is not the one they are stated for."""
    if has_rates and settings.optimizer != "adam":
        raise SteadyNetError(
            f"stride says how far a step of Adam goes, and the optimizer is {settings.optimizer!r}: take 'adam', or stride none"
        )


def optimizers(
    parameters: Sequence[nn.Parameter],
    settings: Settings,
    steps: int,
    pace: float,
    rates: Sequence[tuple[Tensor, float]] = (),
    undecayed: Sequence[nn.Parameter] = (),
) -> dict[str, Any]:
    """Return Adam, or SGD with momentum, and a cosine to 0 over all steps, as Lightning takes them.

    Args:
        parameters: What is trained.
        settings: Optimiser, learning rate and weight decay.
        steps: Of the whole training.
        pace: By how much the learning rate is more than that of the settings.
        rates: Parameters that have a learning rate of their own; `pace` leaves it alone.
        undecayed: Parameters that are no weights: what a constraint learns. Weight decay would draw them to a value of its own.

    Raises:
        SteadyNetError: If there are rates, and the optimiser is not Adam.
    """
    lr = pace * settings.lr
    check_optimizer(settings, has_rates=bool(rates))
    own = {id(parameter) for parameter, _ in rates} | {id(parameter) for parameter in undecayed}
    groups: list[dict[str, Any]] = [{"params": [p for p in parameters if id(p) not in own]}]
    groups += [{"params": [parameter], "lr": rate} for parameter, rate in rates]
    if undecayed:
        groups.append({"params": list(undecayed), "weight_decay": 0.0})
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam(groups, lr=lr, weight_decay=settings.weight_decay)
    else:
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=settings.weight_decay)

    def factor(step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
