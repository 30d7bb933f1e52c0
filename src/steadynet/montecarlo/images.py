"""The test images on the computing device, by their places in the order in which they are evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from steadynet.batches import each, part_of, tensors_of
from steadynet.loader import Loader

# Images are kept in memory up to this many bytes, so that they are decoded and normalised once.
KEEP_BYTES = 2 * 2**30
_FETCH = 500


class Images:
    """Inputs and labels of a data set, fetched once if they fit in memory.

    Args:
        dataset: Map-style, of (input, label).
        order: The data set's indices in the order that `part` counts [T].
        device: Where the inputs are wanted. Labels stay on the CPU.
        channels_last: Whether images [B, C, H, W] are laid channels-last.
    """

    def __init__(
        self, dataset: Dataset[Any], order: Tensor, device: torch.device, *, channels_last: bool = False
    ) -> None:
        self._loader = Loader(dataset, batch_size=1, shuffle=False)
        self._order = order
        self._device = device
        self._channels_last = channels_last
        self._kept: tuple[Any, Tensor] | None = None
        self._too_large = False

    def __len__(self) -> int:
        return len(self._order)

    def part(self, start: int, stop: int) -> tuple[Any, Tensor]:
        """Return inputs and labels of the images start … stop − 1 of the order."""
        if self._kept is None and not self._too_large:
            self._keep()
        if self._kept is not None:
            return part_of(self._kept[0], start, stop), self._kept[1][start:stop]
        return self._fetch(start, stop)

    def parts(self, batch_size: int) -> Iterator[tuple[Any, Tensor]]:
        """Yield inputs and labels of all images, batch by batch."""
        for start in range(0, len(self), batch_size):
            yield self.part(start, min(start + batch_size, len(self)))

    def _keep(self) -> None:
        """Fetch all, unless the first one shows that all would not fit."""
        first, label = self._fetch(0, 1)
        bytes_ = sum(one.numel() * one.element_size() for one in tensors_of(first))
        if bytes_ * len(self) > KEEP_BYTES:
            self._too_large = True
            return
        inputs = each(self._room, first)
        labels = torch.empty((len(self), *label.shape[1:]), dtype=label.dtype)
        self._put(inputs, 0, 1, first)
        labels[:1] = label
        for start in range(1, len(self), _FETCH):
            stop = min(start + _FETCH, len(self))
            fetched, labels[start:stop] = self._fetch(start, stop)
            self._put(inputs, start, stop, fetched)
        self._kept = inputs, labels

    def _room(self, first: Tensor) -> Tensor:
        """Return memory for as many as there are of the one given."""
        shape = (len(self), *first.shape[1:])
        memory_format = self._memory_format(first)
        return torch.empty(shape, dtype=first.dtype, device=self._device, memory_format=memory_format)

    @staticmethod
    def _put(inputs: Any, start: int, stop: int, fetched: Any) -> None:
        for room, own in zip(tensors_of(inputs), tensors_of(fetched), strict=True):
            room[start:stop] = own

    def _fetch(self, start: int, stop: int) -> tuple[Any, Tensor]:
        inputs, labels = self._loader.batch(cast("list[int]", self._order[start:stop].tolist()))
        return each(self._held, inputs), labels

    def _held(self, inputs: Tensor) -> Tensor:
        memory_format = self._memory_format(inputs)
        # Not contiguous(): images of one channel are in both formats at once, and would go on in the other.
        held = torch.empty(inputs.shape, dtype=inputs.dtype, device=self._device, memory_format=memory_format)
        return held.copy_(inputs)

    def _memory_format(self, inputs: Tensor) -> torch.memory_format:
        if self._channels_last and inputs.dim() == 4:
            return torch.channels_last
        return torch.contiguous_format
