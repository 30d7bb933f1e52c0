"""A net and data so small that a training takes a fraction of a second, with dropout and BatchNorm in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.data.augment import Augment
from steadynet.data.imageset import ImageSet
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.training import FitResult, Hardware
from steadynet.training.callbacks import Keeper

DEVICE = Device(variation=Gaussian(0.1))
CPU = Hardware(accelerator="cpu")


class SmallNet(nn.Module):
    """conv 4, BatchNorm, pool, conv 6, dropout, linear to 3 classes, for [B, 1, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.fc = nn.Linear(6 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.bn(self.conv1(x))))
        logits: Tensor = self.fc(self.dropout(torch.relu(self.conv2(x))).flatten(1))
        return logits


def small_net(seed: int = 0) -> SmallNet:
    """Return the net, its weights from `seed`, the global generator left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmallNet()


def images(count: int = 36, seed: int = 0, augmented: bool = False) -> ImageSet:
    """Return images whose class is told by which third of the rows is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    pixels = torch.randint(0, 100, (count, 1, 8, 8), generator=generator)
    for index, label in enumerate(labels.tolist()):
        pixels[index, :, 3 * label : 3 * label + 2] += 120
    augment = Augment(padding=1, flip=True) if augmented else None
    return ImageSet(pixels.to(torch.uint8), labels, 3, (0.5,), (0.25,), augment)


def kept(result: FitResult) -> list[dict[str, float]]:
    """Return the history without the wall-clock time."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint as anyone may load it, without what the clock wrote into it."""
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    memory: dict[str, Any] = checkpoint["callbacks"][Keeper(None).state_key]
    memory.pop("seconds")
    for row in memory["history"]:
        row.pop("seconds")
    return checkpoint


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return where two nests of plain types and tensors differ, bit by bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(map(str, one)) != list(map(str, other)):
            return [f"{where}: keys {sorted(map(str, one))} and {sorted(map(str, other))}"]
        return [d for key in one for d in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return [f"{where}: {len(one)} and {len(other)} items"]
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}[{i}]")]
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return [] if torch.equal(one, other) else [f"{where}: tensors differ by {(one - other).abs().max()}"]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]
