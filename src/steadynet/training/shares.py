"""The parts of a batch that chips share."""

from __future__ import annotations

from typing import Any

from steadynet.batches import size_of, split
from steadynet.errors import SteadyNetError
from steadynet.recipes.variation import Chips


def check_chips(chips: Chips, batch_size: int, processes: int = 1) -> None:
    """Raise `SteadyNetError` if a process's share of a batch has fewer than two images for each of the chips that share it."""
    share = batch_size // processes
    if chips.count > 1 and 2 * chips.count > share:
        whose = (
            "a batch" if processes == 1 else f"the share that each of {processes} processes has of a batch"
        )
        raise SteadyNetError(
            f"{chips.count} chips cannot share {whose} of {batch_size} images, two each at least: lower chips, or raise "
            "batch_size"
        )


def parts_of(inputs: Any, chips: Chips) -> list[Any]:
    """Return a batch, a tensor or a tuple or mapping of tensors, in a part for each chip.

    The first ones are an image larger where it does not go up.

    The last batch of an epoch may be smaller than the others: it is shared by fewer chips, so that each has two images, and a
    mirrored one has its counterpart.

    Raises:
        SteadyNetError: If the batch is of another type.
    """
    if chips.count == 1:
        return [inputs]
    try:
        count = min(chips.count, max(1, size_of(inputs) // 2))
        return split(inputs, count - count % 2 if chips.mirrored and count > 1 else count)
    except SteadyNetError as error:
        raise SteadyNetError(
            f"a batch cannot be shared between chips ({error}): train with chips 1"
        ) from error
