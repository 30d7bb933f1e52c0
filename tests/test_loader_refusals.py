"""The loader refuses data without an order or labels, and numbers that give no batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from loader_data import numbered
from steadynet.errors import SteadyNetError
from steadynet.loader import Loader, as_dataset


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(numbered(4)), "mine must be a dataset, not a DataLoader: pass loader.dataset"),
        (Endless(), "mine must be a map-style dataset: an iterable one has no order"),
        ((torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64)), "mine has 3 inputs and 4 labels"),
        ((torch.zeros(3, 2), torch.zeros(3)), "labels of mine are torch.float32: give class numbers"),
        ((torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.int64)), r"labels of mine have shape \(3, 2\)"),
        ((torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)), "mine is empty"),
        (numbered(0), "mine is empty"),
        (torch.zeros(3, 2), "must be a map-style dataset or a pair of tensors .*, got Tensor"),
        ((torch.zeros(3),), "must be a map-style dataset or a pair of tensors .*, got tuple"),
        ([1, 2], "must be a map-style dataset or a pair of tensors .*, got list"),
        ("digits", "must be a map-style dataset or a pair of tensors .*, got str"),
        (None, "must be a map-style dataset or a pair of tensors .*, got NoneType"),
    ],
)
def test_what_has_no_order_or_no_labels_is_refused(data: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        as_dataset(data, "mine")
    with pytest.raises(SteadyNetError):
        Loader(data, batch_size=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer ≥ 1"),
        ({"batch_size": 2.0}, "batch_size must be an integer"),
        ({"batch_size": 3, "world": 4}, "batch_size must be an integer ≥ 4"),
        ({"batch_size": 5, "world": 2}, "batch_size 5 over 2 processes loses images .*multiple of 2"),
        ({"seed": -1}, "seed must be an integer ≥ 0"),
        ({"workers": -1}, "workers must be an integer ≥ 0"),
        ({"world": 0}, "world must be an integer ≥ 1"),
        ({"world": 2, "rank": 2}, "rank must be an integer ≥ 0 and ≤ 1"),
        ({"rank": -1}, "rank must be an integer ≥ 0"),
        ({"batch_size": 20, "drop_last": True}, "10 images give no batch of 20 .*: lower batch_size"),
        ({"batch_size": 12, "world": 6}, "10 images give no batch of 12 over 6 processes"),
    ],
)
def test_numbers_that_give_no_batches_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        Loader(numbered(10), **{"batch_size": 2, **options})


@pytest.mark.parametrize(
    "state", [{"epoch": 0, "batch": 4}, {"epoch": 0, "batch": -1}, {"epoch": -1, "batch": 0}]
)
def test_a_state_of_other_batches_is_refused(state: dict[str, int]) -> None:
    loader = Loader(numbered(12), batch_size=3)
    with pytest.raises(SteadyNetError, match=r"the state stands at batch|epoch must be"):
        loader.load_state_dict(state)
    with pytest.raises(SteadyNetError, match="epoch must be an integer ≥ 0"):
        loader.set_epoch(-1)
    assert loader.state_dict() == {"epoch": 0, "batch": 0}
