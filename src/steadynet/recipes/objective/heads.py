"""IRS's classifiers on feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.randomness import stable_seed
from steadynet.recipes.objective.taps import Tap, run_in_evaluation


class Head(nn.Module):
    """Adaptive average pooling to p × p, linear to `hidden`, ReLU, linear to the classes.

    Args:
        channels: Channels of the feature map.
        pool: p.
        hidden: Width of the hidden layer.
        classes: Number of logits.
        generator: Source of the initial weights: normal, of variance 2/fan-in for the hidden layer and
            1/fan-in for the logits, so that they start at the feature's own scale; zero biases.
    """

    def __init__(
        self, channels: int, pool: int, hidden: int, classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(pool)
        # Made without values: a layer's own initialisation would draw from the global generator.
        self.fc1 = nn.Linear(channels * pool * pool, hidden, device="meta").to_empty(device="cpu")
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            for layer, gain in ((self.fc1, 2.0), (self.fc2, 1.0)):
                layer.weight.normal_(0.0, math.sqrt(gain / layer.in_features), generator=generator)
                layer.bias.zero_()

    def forward(self, feature: Tensor) -> Tensor:
        """Return logits [B, classes] of a feature map [B, C, H, W]."""
        hidden: Tensor = self.relu(self.fc1(self.pool(feature).flatten(1)))
        logits: Tensor = self.fc2(hidden)
        return logits


class Heads(nn.Module):
    """The classifiers of all taps, shallow to deep, and where they tap."""

    taps: tuple[Tap, ...]
    names: tuple[str, ...]

    def __init__(self, taps: Sequence[Tap], heads: Sequence[Head]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.names = tuple(f"head{index + 1}" for index in range(len(heads)))
        for name, head in zip(self.names, heads, strict=True):
            self.add_module(name, head)

    @classmethod
    def for_taps(
        cls, backbone: nn.Module, example: Any, taps: Sequence[Tap], *, hidden: int, seed: int
    ) -> Heads:
        """Return heads of about the same size at every tap.

        The first tap is pooled to 6 × 6 and tap n to round(6 sqrt(C_1 / C_n)), at most the map's own size,
        so that C_n p_n² stays level: 6, 4, 3 on VGG-8 and 6, 6, 4, 3 on ResNet-18, the authors' sizes.

        Raises:
            SteadyNetError: If the backbone's output is not one row of logits an image.
        """
        logits = run_in_evaluation(backbone, example)
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise SteadyNetError(f"IRS needs logits [B, classes] from {type(backbone).__name__}")
        heads: list[Head] = []
        for index, tap in enumerate(taps):
            pool = round(6 * math.sqrt(taps[0].channels / tap.channels))
            pool = max(1, min(pool, *tap.size))
            generator = torch.Generator().manual_seed(stable_seed(seed, "irs head", index))
            heads.append(Head(tap.channels, pool, hidden, logits.shape[1], generator))
        # The weights are drawn in float32 on the CPU: the same on every machine, whatever the backbone's dtype.
        return cls(taps, heads).to(device=logits.device, dtype=logits.dtype)
