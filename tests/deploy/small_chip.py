"""A small trained network and its images, for checks of what happens after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian

DEVICE = Device(weight_bits=6, device_bits=3, variation=Gaussian(0.2))


def images(count: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return images of three classes that differ in which third of them is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    pixels = 0.5 * torch.randn(count, 1, 6, 6, generator=generator)
    for index, label in enumerate(labels.tolist()):
        pixels[index, 0, 2 * label : 2 * label + 2] += 1.0
    return pixels, labels


class Small(nn.Module):
    """Two convolutions with BatchNorm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def trained() -> Small:
    """Return the network after a few steps of Adam, its global generator left alone, in training mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Small()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    pixels, labels = images(120, seed=1)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(pixels), labels).backward()
        optimizer.step()
    return net
