"""Networks that users might bring by import path, for the tests of the registry."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Takes `num_classes`, and draws its weights from torch's global generator."""

    def __init__(self, num_classes: int, in_channels: int = 1, depth: int = 1) -> None:
        super().__init__()
        self.depth = depth
        self.linear = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))


def everything(**options: Any) -> nn.Module:
    """Takes any option."""
    model = nn.Identity()
    model.options = options  # type: ignore[assignment]
    return model


def both(classes: int, num_classes: int = 77, input_size: int = 0, seed: int = -1) -> nn.Module:
    model = nn.Linear(1, 1)
    model.given = (classes, num_classes, input_size, seed)  # type: ignore[assignment]
    return model


def no_module(classes: int) -> list[int]:
    return [classes]


def needs_more(classes: int, secret: int) -> nn.Module:
    return nn.Linear(classes, secret)


NOT_CALLABLE = torch.zeros(1)
