"""Batches whose order and augmentation are functions of (seed, epoch, batch), so that any run can be replayed.

The order of epoch e is one permutation drawn from (seed, e); what a random transform does to image i is
drawn from (seed, e, i). So a loader can go on from any batch, on any number of workers and processes,
with the very batches that it would have given.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
    default_collate,  # pyright: ignore[reportUnknownVariableType] (torch leaves its list bare)
)

from steadynet.batches import each, size_of
from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError, check_integer
from steadynet.randomness import stable_seed


class Items(Dataset[Any]):
    """A pair of inputs, which are several tensors, and targets, item by item.

    Args:
        inputs: A tuple or mapping of tensors with as many items each.
        targets: A tensor with as many.
    """

    def __init__(self, inputs: Any, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        return each(lambda tensor: tensor[index], self.inputs), self.targets[index]


def as_dataset(
    data: Dataset[Any] | Sequence[Any], what: str = "data", *, classes: bool = True
) -> Dataset[Any]:
    """Return `data` as a map-style dataset of (input, label).

    Args:
        data: A map-style dataset, or a pair (inputs, labels) of equal length: inputs are a tensor, or a tuple or mapping of
            tensors.
        what: What to call it in an error.
        classes: Whether labels are class numbers; otherwise they are any targets.

    Raises:
        SteadyNetError: If it is empty, an iterable dataset, a loader, or a pair that does not match.
    """
    if isinstance(data, DataLoader):
        raise SteadyNetError(
            f"{what} must be a dataset, not a DataLoader: pass loader.dataset (batches are ordered replayably here)"
        )
    if isinstance(data, IterableDataset):
        raise SteadyNetError(
            f"{what} must be a map-style dataset: an iterable one has no order that can be replayed"
        )
    if isinstance(data, tuple | list) and len(data) == 2 and isinstance(data[1], Tensor):
        inputs, labels = data
        items = size_of(inputs)
        if items != len(labels):
            raise SteadyNetError(f"{what} has {items} inputs and {len(labels)} labels: give as many of each")
        if classes and labels.is_floating_point():
            raise SteadyNetError(
                f"the labels of {what} are {labels.dtype}: give class numbers as integers, or a loss=… of your own"
            )
        if classes and labels.dim() != 1:
            raise SteadyNetError(
                f"the labels of {what} have shape {tuple(labels.shape)}: give one class number each, or a loss=… of your own"
            )
        labels = labels.long() if classes else labels
        data = TensorDataset(inputs, labels) if isinstance(inputs, Tensor) else Items(inputs, labels)
    if type(data) is TensorDataset and len(data.tensors) != 2:
        raise SteadyNetError(
            f"{what} has items of {len(data.tensors)} tensors: give (input, label) each, several inputs as the pair "
            "((x, y), labels)"
        )
    if not isinstance(data, Dataset) or not hasattr(data, "__len__"):
        raise SteadyNetError(
            f"{what} must be a map-style dataset or a pair of tensors (inputs, labels), got {type(data).__name__}"
        )
    if len(data) == 0:  # pyright: ignore[reportArgumentType] (it has __len__)
        raise SteadyNetError(f"{what} is empty")
    return data


class Loader:
    """An iterable of (inputs, labels) batches that can be replayed and resumed.

    Each full pass is an epoch and moves on to the next one.

    Args:
        dataset: Anything that `as_dataset` takes.
        batch_size: Images of a global batch, over all ranks together.
        seed: Decides order and augmentation.
        shuffle: Whether each epoch has an order of its own; otherwise it is the dataset's.
        augment: Whether an `ImageSet` applies its augmentation. Other datasets do what they do.
        drop_last: Whether an incomplete last batch is left out. With `shuffle`, one that would leave a
            rank a single image is left out in any case: BatchNorm cannot learn from one image.
        workers: Worker processes, for datasets other than `ImageSet`.
        rank: This process's number.
        world: Processes that share each global batch. Rank r takes images r, r + world, … of it; what does not divide
            by `world` is left out of the last batch, so that all ranks have equal shares.

    Raises:
        SteadyNetError: If the dataset or a number cannot be used, or no batch would be left.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        augment: bool = False,
        drop_last: bool = False,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.dataset = as_dataset(dataset)
        check_integer("world", world, at_least=1)
        check_integer("rank", rank, at_least=0, at_most=world - 1)
        check_integer("batch_size", batch_size, at_least=world)
        if batch_size % world:
            raise SteadyNetError(
                f"batch_size {batch_size} over {world} processes loses images of every batch: give a multiple of {world}"
            )
        check_integer("seed", seed, at_least=0)
        check_integer("workers", workers, at_least=0)
        self.batch_size, self.seed, self.shuffle, self.augment = batch_size, seed, shuffle, augment
        self.workers, self.rank, self.world = workers, rank, world
        self._images = len(self.dataset)  # pyright: ignore[reportArgumentType] (as_dataset checks it)
        whole, rest = divmod(self._images, batch_size)
        rest -= rest % world
        least = 2 * world if shuffle else world
        self._length = whole + (0 if drop_last or rest < least else 1)
        if self._length == 0:
            raise SteadyNetError(
                f"{self._images} images give no batch of {batch_size} over {world} processes: lower batch_size"
            )
        self._epoch = 0
        self._batch = 0

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int) -> None:
        """Start at the first batch of `epoch` next."""
        check_integer("epoch", epoch, at_least=0)
        self._epoch, self._batch = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches have been given."""
        return {"epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            SteadyNetError: If an epoch does not have that many batches.
        """
        epoch, batch = int(state_dict["epoch"]), int(state_dict["batch"])
        check_integer("epoch", epoch, at_least=0)
        if not 0 <= batch < self._length:
            raise SteadyNetError(
                f"the state stands at batch {batch}, an epoch here has {self._length}: go on with its own data and batch_size"
            )
        self._epoch, self._batch = epoch, batch

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        epoch = self._epoch
        shares = self._shares(epoch, self._batch)
        for batch in self._fetch(shares, epoch):
            self._batch += 1
            if self._batch == self._length:
                self._epoch, self._batch = epoch + 1, 0
            yield batch

    def batch(self, indices: Sequence[int]) -> tuple[Any, Tensor]:
        """Return inputs and labels of the images at `indices`, as they are in epoch 0."""
        return next(iter(self._fetch([list(indices)], 0)))

    def _shares(self, epoch: int, start: int) -> list[list[int]]:
        if self.shuffle:
            generator = torch.Generator().manual_seed(stable_seed(self.seed, "order", epoch))
            order = torch.randperm(self._images, generator=generator)
        else:
            order = torch.arange(self._images)
        shares: list[list[int]] = []
        for index in range(start, self._length):
            batch = order[index * self.batch_size : (index + 1) * self.batch_size]
            batch = batch[: len(batch) - len(batch) % self.world]
            shares.append(cast("list[int]", batch[self.rank :: self.world].tolist()))
        return shares

    def _fetch(self, shares: Sequence[list[int]], epoch: int) -> Iterator[tuple[Any, Tensor]]:
        if isinstance(self.dataset, ImageSet):
            key = (self.seed, epoch) if self.augment else None
            for share in shares:
                yield self.dataset.batch(torch.tensor(share), augment_key=key)
            return
        if type(self.dataset) is TensorDataset:
            # Nothing random, nothing to decode: a batch is one look-up.
            for share in shares:
                inputs, labels = self.dataset[torch.tensor(share)]
                yield inputs, labels
            return
        replayed = _Replayed(self.dataset, self.seed, epoch)
        if self.workers == 0:
            for share in shares:
                with _generators_kept():
                    batch = default_collate([replayed[index] for index in share])
                yield _pair(batch)
            return
        # The loader seeds its workers from a generator; without one, the global generator would move on.
        generator = torch.Generator().manual_seed(0)
        for batch in DataLoader(
            replayed, batch_sampler=list(shares), num_workers=self.workers, generator=generator
        ):
            yield _pair(batch)


def _pair(batch: Any) -> tuple[Any, Tensor]:
    """Return a batch of (input, label).

    Raises:
        SteadyNetError: If its items are no pairs.
    """
    if not isinstance(batch, tuple | list) or len(cast("list[Any]", batch)) != 2:
        kind = type(batch).__name__  # pyright: ignore[reportUnknownArgumentType] (anything)
        told = f"{len(cast('list[Any]', batch))} parts" if isinstance(batch, tuple | list) else f"one {kind}"
        raise SteadyNetError(
            f"items of the data set must be (input, label), these are {told}: give several inputs as ((x, y), label)"
        )
    inputs, labels = cast("list[Any]", batch)
    return inputs, labels


class _Replayed(Dataset[Any]):
    """A dataset whose random transforms are functions of (seed, epoch, index).

    Transforms draw from the global generators of torch (on the CPU), NumPy and Python; those are seeded for the item.
    """

    def __init__(self, dataset: Dataset[Any], seed: int, epoch: int) -> None:
        self.dataset, self.seed, self.epoch = dataset, seed, epoch

    def __getitem__(self, index: int) -> Any:
        number = stable_seed(self.seed, "item", self.epoch, index)
        # Not torch.manual_seed: it would seed the accelerators' generators too, which nothing gives back.
        torch.default_generator.manual_seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002 (transforms use the old generator)
        random.seed(number)
        return self.dataset[index]


@contextmanager
def _generators_kept() -> Generator[None]:
    """Give the global generators of torch (on the CPU), NumPy and Python back as they were."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
