"""The parts of a batch that chips share."""

from __future__ import annotations

from typing import Any

from steadynet.batches import size_of, split
from steadynet.errors import SteadyNetError
from steadynet.recipes.variation import Chips


def check_chips(chips: Chips, batch_size: int) -> None:
    """Raise `SteadyNetError` if a whole batch has fewer than two images for each of the chips that share it."""
    if chips.count > 1 and 2 * chips.count > batch_size:
        raise SteadyNetError(
            f"{chips.count} chips cannot share a batch of {batch_size} images, two each at least: lower chips, or raise "
            "batch_size"
        )


def parts_of(inputs: Any, count: int) -> list[Any]:
    """Return a batch, a tensor or a tuple or mapping of tensors, in `count` parts.

    The first ones are an image larger where it does not go up.

    The last batch of an epoch may be smaller than the others: it is shared by fewer chips, so that each has two images.

    Raises:
        SteadyNetError: If the batch is of another type.
    """
    if count == 1:
        return [inputs]
    try:
        return split(inputs, min(count, max(1, size_of(inputs) // 2)))
    except SteadyNetError as error:
        raise SteadyNetError(
            f"a batch cannot be shared between chips ({error}): train with chips 1"
        ) from error
