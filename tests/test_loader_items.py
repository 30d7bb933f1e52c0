"""What an item is: a function of (seed, epoch, index), on any workers, with the global generators left alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from loader_data import Jittered, Listed, items, numbered, pictures, same
from steadynet.loader import Loader, as_dataset


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_batch_looked_up_at_once_is_the_batch_item_by_item(shuffle: bool) -> None:
    pair = TensorDataset(torch.randn(10, 2, 3), torch.arange(10))
    images = pictures(10)
    for data in (pair, images):
        fast = Loader(data, batch_size=4, shuffle=shuffle, seed=2, rank=1, world=2)
        slow = Loader(Listed(data), batch_size=4, shuffle=shuffle, seed=2, rank=1, world=2)
        for _ in range(2):
            assert same(list(fast), list(slow))


@pytest.mark.parametrize("start", [0, 2])
def test_workers_change_nothing(start: int) -> None:
    def batches(workers: int) -> list[tuple[Tensor, Tensor]]:
        loader = Loader(Jittered(13), batch_size=4, seed=2, workers=workers)
        loader.load_state_dict({"epoch": 1, "batch": start})
        return list(loader) + list(loader)

    alone = batches(0)
    assert len(alone) == 3 - start + 3
    assert same(alone, batches(2))


@pytest.mark.parametrize("workers", [0, 1])
def test_random_transforms_are_replayed_and_the_global_generators_left_alone(workers: int) -> None:
    def state() -> tuple[Any, ...]:
        name, keys, *rest = np.random.get_state()  # noqa: NPY002
        return torch.random.get_rng_state().tolist(), name, keys.tolist(), rest, random.getstate()  # type: ignore[union-attr]

    loader = Loader(Jittered(9), batch_size=4, seed=7, workers=workers)
    before = state()
    first = list(loader)
    assert state() == before
    # Whatever the generators' state, the numbers are the same.
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    loader.set_epoch(0)
    assert same(list(loader), first)
    rows = torch.cat([inputs for inputs, _ in first])
    for column in range(1, 4):  # torch, NumPy, Python: each item has a number of its own
        assert len(set(rows[:, column].tolist())) == len(rows)


def test_random_transforms_differ_by_epoch_and_seed_and_not_by_batch() -> None:
    def rows(seed: int, epoch: int, batch_size: int = 4) -> dict[int, tuple[float, ...]]:
        loader = Loader(Jittered(8), batch_size=batch_size, seed=seed)
        loader.set_epoch(epoch)
        return {int(row[0]): tuple(row[1:].tolist()) for inputs, _ in loader for row in inputs}

    base = rows(0, 0)
    assert rows(0, 0, batch_size=8) == base
    for other in (rows(0, 1), rows(1, 0)):
        assert all(other[index][k] != base[index][k] for index in range(8) for k in range(3))


def test_the_generators_are_given_back_when_an_item_fails() -> None:
    class Broken(Jittered):
        def __getitem__(self, index: int) -> Any:
            super().__getitem__(index)
            raise KeyError(index)

    before = torch.random.get_rng_state(), random.getstate()
    with pytest.raises(KeyError):
        list(Loader(Broken(4), batch_size=2))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == random.getstate()


def test_images_are_augmented_by_seed_epoch_and_index_only_where_asked() -> None:
    data = pictures(10)
    plain = Loader(data, batch_size=5, seed=3)
    moved = Loader(data, batch_size=5, seed=3, augment=True)
    for epoch in range(2):
        for still, (inputs, labels) in zip(plain, moved, strict=True):
            assert torch.equal(still[1], labels)
            assert not torch.equal(still[0], inputs)
        order = Loader(numbered(10), batch_size=10, seed=3)
        order.set_epoch(epoch)
        (indices,) = items(order)
        expected, labels = data.batch(torch.tensor(indices), augment_key=(3, epoch))
        moved.set_epoch(epoch)
        found = list(moved)
        assert torch.equal(torch.cat([inputs for inputs, _ in found]), expected)
        assert torch.equal(torch.cat([some for _, some in found]), labels)


def test_a_pair_of_tensors_is_a_data_set() -> None:
    inputs, labels = torch.randn(4, 2), torch.tensor([0, 1, 2, 1], dtype=torch.int16)
    for pair in ((inputs, labels), [inputs, labels]):
        data = as_dataset(pair)
        x, y = data[2]
        assert torch.equal(x, inputs[2])
        assert y.dtype == torch.int64
        assert int(y) == 2
    data = numbered(3)
    assert as_dataset(data) is data


def test_no_accelerators_generator_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("nothing gives an accelerator's generator back")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    monkeypatch.setattr(torch.xpu, "manual_seed_all", refuse)
    assert len(list(Loader(Jittered(4), batch_size=2))) == 2
