"""Networks and data of the tests of how it is computed; in a module of its own, since other processes import it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import steadynet as sn
from workers import jobs

DEVICE = sn.Device(variation=sn.Gaussian(sigma_d=0.2))
NAMES = ("accuracy", "nll", "brier", "calibration_error", "ekl_sum", "ekl_count")


class Recurrent(nn.Module):
    """An LSTM, which has no rule for several weights at once."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.lstm(x.flatten(1).view(len(x), -1, 6))[0][:, -1])
        return logits


class Asks(nn.Linear):
    """Asks for a value in mid-forward, where a compiler must break off."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) if float(input.abs().max()) < 1e9 else input


class Raises(nn.Linear):
    """Fails by an error of its own."""

    def forward(self, input: Tensor) -> Tensor:
        raise ZeroDivisionError("an error of the network's own")


class Gated(nn.Module):
    """Notes each forward on a chip that errs, by its weights and where it runs, then waits for the file "go"."""

    clean: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.fc = nn.Linear(72, 4).double()
        self.register_buffer("clean", self.fc.weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        # Quantising moves no weight by more than 1/510 of the largest.
        if float((self.fc.weight - self.clean).abs().max()) > 0.05 * float(self.clean.abs().max()):
            where = os.environ.get("RAY_NODE_ID") or jobs.node()
            (self.folder / f"started-{float(self.fc.weight.sum()):.9f}-{where}-{os.getpid()}").touch()
            jobs.wait_for((self.folder / "go").exists, "go")
        logits: Tensor = self.fc(x.flatten(1))
        return logits


class Locked(nn.Linear):
    """Holds what can neither be copied nor sent to another process."""

    def __init__(self) -> None:
        super().__init__(36, 4)
        self.lock = threading.Lock()


class OnFile(Dataset[Any]):
    """Images of an open file, which no other process can read."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "rb")  # noqa: SIM115, PTH123 (it stays open, as such data sets do)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.zeros(36), index


def grouped(channels: int = 2, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """A network with a grouped convolution, BatchNorm's statistics and dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        width = 6 * channels
        norm, head = nn.BatchNorm2d(width), nn.Linear(width * 9, 4)
        norm.running_mean, norm.running_var = torch.randn(width), torch.rand(width) + 0.5
        nn.init.normal_(head.weight, std=1.0)
        net = nn.Sequential(
            nn.Conv2d(channels, width, 3, groups=channels),
            norm,
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(width, width, 2, groups=2),
            nn.Flatten(),
            head,
        )
    return net.to(dtype)


def pictures(
    channels: int = 2, count: int = 37, dtype: torch.dtype = torch.float64, net: nn.Module | None = None
) -> tuple[Tensor, Tensor]:
    """Noise, labelled by the network's own opinion for two in three, so that some predictions are right."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, channels, 6, 6, generator=generator, dtype=torch.float64).to(dtype)
    with torch.no_grad():
        y = (net or grouped(channels, dtype)).eval()(x).argmax(1)
    other = torch.randint(0, 4, (count,), generator=generator)
    return x, torch.where(torch.arange(count) % 3 == 0, other, y)


def recurrent() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """An LSTM and its data, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Recurrent().double()
    return net, pictures(2, net=net)
