"""Initial weights from an explicit generator, so that a network is a function of its seed."""

from __future__ import annotations

import math

import torch
from torch import nn

from steadynet.randomness import stable_seed


def initialize(model: nn.Module, seed: int) -> None:
    """Draw all weights of `model` anew from `seed`, in the order of its modules.

    Convolutions are Kaiming-normal by fan-out, std sqrt(2 / (kernel area · output channels / groups)), as
    in "Negative Feedback Training"; linear layers normal of std sqrt(1 / inputs), so that the first logits are
    small; biases 0; BatchNorm 1 and 0.
    """
    generator = torch.Generator().manual_seed(stable_seed(seed, "initial weights"))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                module.weight.normal_(0.0, math.sqrt(2 / fan_out), generator=generator)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0.0, math.sqrt(1 / module.in_features), generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(1.0)
            else:
                continue
            if module.bias is not None:
                module.bias.zero_()


def scaled(channels: int, width: float) -> int:
    """Return `channels` times the width multiplier, rounded, at least 1."""
    return max(1, round(channels * width))
