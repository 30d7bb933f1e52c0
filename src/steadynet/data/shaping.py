"""Which images of a set are used, and at what size and in how many channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError, check_integer
from steadynet.randomness import stable_seed


def split(
    labels: Tensor, count: int, *, what: str, seed: int = 0, order: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return indices of `count` images spread evenly over the classes, and those of the rest, both sorted.

    Each class gives its share of `count`, rounded so that the sum is exact (by a common divisor, as
    Sainte-Laguë's rule of apportionment does).

    Args:
        labels: [T], each image's class.
        count: How many are taken.
        what: What is split, as an error calls it.
        seed: Decides which, together with `what`.
        order: [T], indices of the images, those first that are taken first; drawn by the seed if None.

    Raises:
        SteadyNetError: If there are not that many images, or none would be left on either side.
    """
    total = len(labels)
    if not 0 < count < total:
        mend = f"ask for 1 to {total - 1}" if total > 1 else "there must be two or more"
        raise SteadyNetError(f"{what}: cannot take {count} of {total} images and leave some: {mend}")
    if order is None:
        generator = torch.Generator().manual_seed(stable_seed(seed, what))
        order = torch.randperm(total, generator=generator)
    # Interleaving the classes in proportion: the i-th image of a class of n stands at (i + 1/2)/n of the way.
    place = torch.empty(total, dtype=torch.float64)
    for label in cast("Sequence[Tensor]", labels.unique()):
        members = order[labels[order] == label]
        place[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    chosen = torch.zeros(total, dtype=torch.bool)
    chosen[order[torch.argsort(place[order], stable=True)][:count]] = True
    return chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0]


def converted(images: ImageSet, size: int | None, channels: int | None) -> ImageSet:
    """Return the set resized to `size` × `size` (bilinear, antialiased) and with 1 or 3 channels.

    Raises:
        SteadyNetError: If `size` is below 1, or `channels` is neither 1 nor 3.
    """
    if size is not None:
        check_integer("size", size, at_least=1)
    if channels not in (None, 1, 3):
        raise SteadyNetError(f"channels must be 1 or 3, got {channels!r}")
    pixels, mean, std = images.images, images.mean, images.std
    if channels is not None and channels != pixels.shape[1]:
        if channels == 3:
            pixels, mean, std = pixels.expand(-1, 3, -1, -1).contiguous(), mean * 3, std * 3
        else:
            weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            grey = (pixels.float() * weights).sum(1, keepdim=True)
            pixels = grey.round().to(torch.uint8) if pixels.dtype == torch.uint8 else grey
            mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    if size is not None and (size, size) != tuple(pixels.shape[2:]):
        from torchvision.transforms.v2 import functional as transforms

        parts = cast("Sequence[Tensor]", pixels.split(5000))
        chunks = [transforms.resize(part, [size, size], antialias=True) for part in parts]
        pixels = torch.cat(chunks)
    return dataclasses.replace(images, images=pixels, mean=mean, std=std)
