"""Labelled images in memory, normalised batch by batch."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.data import Dataset

from steadynet.data.augment import Augment
from steadynet.errors import SteadyNetError, check_number


@dataclass(frozen=True, eq=False)
class ImageSet(Dataset[tuple[Tensor, int]]):
    """A data set in memory: images, labels, and how a batch is normalised and augmented.

    Args:
        images: uint8 (0 … 255) or float (0 … 1) [T, C, H, W].
        labels: int64 [T], 0 … classes − 1.
        classes: Number of classes.
        mean: Of each channel, on the scale 0 … 1; (x − mean)/std is what a network sees.
        std: Of each channel.
        augment: What training does to an image; None for nothing.
        name: What to call it.

    Raises:
        SteadyNetError: If there are no images, shapes or counts do not match, a label is outside the classes, a pixel
            is not finite, or a std is not above 0.
    """

    images: Tensor
    labels: Tensor
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment | None = None
    name: str = "images"

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dim() != 4:
            raise SteadyNetError(f"{self.name}: images must be [T, C, H, W], got {tuple(images.shape)}")
        if len(images) == 0:
            raise SteadyNetError(f"{self.name} is empty")
        if labels.shape != (len(images),):
            raise SteadyNetError(
                f"{self.name}: {len(images)} images, but labels {tuple(labels.shape)}: give one each"
            )
        if labels.dtype != torch.int64:
            raise SteadyNetError(f"{self.name}: labels must be int64, got {labels.dtype}")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.classes:
            raise SteadyNetError(
                f"{self.name}: labels run from {low} to {high}, but there are {self.classes} classes (0 to {self.classes - 1})"
            )
        if len(self.mean) != images.shape[1] or len(self.std) != images.shape[1]:
            raise SteadyNetError(
                f"{self.name}: {images.shape[1]} channels need as many means and stds, got {self.mean} and {self.std}"
            )
        for value in (*self.mean, *self.std):
            check_number(f"{self.name}: mean and std", value)
        if min(self.std) <= 0:
            raise SteadyNetError(f"{self.name}: std must be above 0, got {self.std}")
        if images.is_floating_point() and not bool(torch.isfinite(images).all()):
            raise SteadyNetError(f"{self.name} holds NaN or infinite pixels")
        if not images.is_floating_point() and images.dtype != torch.uint8:
            raise SteadyNetError(f"{self.name}: images must be uint8 or float, got {images.dtype}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        inputs, labels = self.batch(torch.tensor([index]), augment_key=None)
        return inputs[0], int(labels[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    def batch(self, indices: Tensor, *, augment_key: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
        """Return normalised float32 images [B, C, H, W] and int64 labels [B].

        Args:
            indices: int64 [B].
            augment_key: (seed, epoch) that augmentation is drawn from; None for no augmentation.
        """
        images = self.images[indices]
        if augment_key is not None and self.augment is not None:
            images = self.augment(images, indices, seed=augment_key[0], epoch=augment_key[1])
        scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
        mean = torch.tensor(self.mean).view(1, -1, 1, 1)
        std = torch.tensor(self.std).view(1, -1, 1, 1)
        # (x · scale − mean)/std as one multiplication and one addition.
        return images.float().mul_(scale / std).sub_(mean / std), self.labels[indices]

    def subset(self, indices: Tensor) -> ImageSet:
        """Return the set of the images at `indices`, in that order."""
        return dataclasses.replace(self, images=self.images[indices], labels=self.labels[indices])

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the images' and labels' bytes, in order, and of their shape."""
        digest = hashlib.sha256(str((tuple(self.images.shape), self.images.dtype)).encode())
        digest.update(self.images.contiguous().numpy().tobytes())
        digest.update(self.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()


def checksum_of(data: object) -> str | None:
    """Return the checksum of images; None for a data set of somebody else's, which has none."""
    return data.checksum if isinstance(data, ImageSet) else None
