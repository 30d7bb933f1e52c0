"""Random crop and flip of a whole batch, each image's numbers a function of (seed, epoch, index)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from steadynet.errors import check_integer
from steadynet.randomness import stable_seed

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Augment:
    """Zero padding, a random crop back to size, and a horizontal flip of every other image on average.

    Args:
        padding: Zeros (of the raw image) on each side before the crop; 0 for no crop.
        flip: Whether images are flipped, with probability 1/2.

    Raises:
        SteadyNetError: If `padding` is no integer ≥ 0.
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        check_integer("padding", self.padding, at_least=0)

    def __call__(self, images: Tensor, indices: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the augmented images, [B, C, H, W] as they came.

        Args:
            images: Raw images.
            indices: Each image's index in its data set.
            seed: The user's seed.
            epoch: The epoch.
        """
        top, left, flip = self.numbers(indices, seed=seed, epoch=epoch)
        height, width = images.shape[-2:]
        result = images
        if self.padding:
            padded = F.pad(images, [self.padding] * 4)
            rows = top[:, None] + torch.arange(height)
            columns = left[:, None] + torch.arange(width)
            batch = torch.arange(len(images))[:, None, None]
            # Advanced indices around a slice put their dimensions first: [B, H, W, C].
            result = padded[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.flip:
            result = torch.where(flip[:, None, None, None], result.flip(-1), result)
        return result.contiguous()

    def numbers(self, indices: Tensor, *, seed: int, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return each image's crop offset from the top and the left, 0 … 2·padding, and whether it is flipped."""
        counter = indices.numpy().astype(np.uint64)
        base = np.uint64(stable_seed(seed, "augment", epoch))
        choices = 2 * self.padding + 1
        top, left, flip = (
            torch.from_numpy(
                (_mix(counter * np.uint64(3) + np.uint64(part), base) % np.uint64(n)).astype(np.int64)
            )
            for part, n in ((0, choices), (1, choices), (2, 2))
        )
        return top, left, flip.bool()


def _mix(counter: NDArray[np.uint64], base: np.uint64) -> NDArray[np.uint64]:
    """Return SplitMix64's output for state base + counter · golden ratio: independent-looking 64 bits each.

    Source:
        Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    with np.errstate(over="ignore"):
        z = base + (counter + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))) >> np.uint64(1)
