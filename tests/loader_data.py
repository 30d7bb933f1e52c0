"""Small data sets whose batches say what they hold."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from steadynet.data import Augment, ImageSet
from steadynet.loader import Loader


def numbered(count: int) -> TensorDataset:
    """Item i is (i, i mod 3), so that batches say which items they are of."""
    return TensorDataset(torch.arange(count), torch.arange(count) % 3)


def items(loader: Loader) -> list[list[int]]:
    return [inputs.tolist() for inputs, _ in loader]


class Jittered(Dataset[Any]):
    """Item i with noise from each of the global generators that transforms use."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = [index, float(torch.rand(())), np.random.rand(), random.random()]  # noqa: NPY002
        return torch.tensor(noise, dtype=torch.float64), index % 3


def pictures(count: int = 11) -> ImageSet:
    images = torch.randint(
        0, 256, (count, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return ImageSet(images, torch.arange(count) % 2, 2, (0.5,), (0.5,), Augment(padding=2))


class Listed(Dataset[Any]):
    """The same items as another data set, one by one: the slow twin of a look-up of a batch."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]


def same(left: list[tuple[Tensor, Tensor]], right: list[tuple[Tensor, Tensor]]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(left, right, strict=True)
    )
