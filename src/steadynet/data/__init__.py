"""Data sets, splits and augmentation: `load` reads one by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from steadynet.data.augment import Augment
from steadynet.data.imageset import ImageSet
from steadynet.data.shaping import converted, split
from steadynet.data.sources import SOURCES, Source, folder_source
from steadynet.errors import SteadyNetError, check_integer, check_number, check_seed, unknown

__all__ = ["SOURCES", "Augment", "DataSplits", "ImageSet", "Source", "checksums", "load", "split"]


@dataclass(frozen=True)
class DataSplits:
    """A data set ready for use.

    Attributes:
        name: What it was asked for as.
        train: Images to train on.
        validation: Images taken from the training set, to choose epochs and options by.
        test: Images for the one evaluation at the end.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.train.classes

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.train.shape


def load(
    name: str,
    *,
    root: Path | str = "data",
    size: int | None = None,
    channels: int | None = None,
    validation: float = 0.1,
    train_images: int | None = None,
    test_images: int | None = None,
    augment: bool = True,
    download: bool = True,
    seed: int = 0,
) -> DataSplits:
    """Return a data set split into training, validation and test images.

    Validation images are a share of the training images that are used, even over the classes; test images are the
    set's own.

    Args:
        name: One of `SOURCES`, or "folder:PATH" for a folder of images per class.
        root: Folder that holds the data sets, or into which they are downloaded.
        size: Height and width; 32 for MNIST, otherwise the set's own by default.
        channels: 1 or 3; the set's own by default.
        validation: Share of the training images that is set aside.
        train_images: Use only so many of them (validation included), even over the classes.
        test_images: Use only so many test images, even over the classes.
        augment: Whether the set's augmentation is kept.
        download: Whether a missing set may be downloaded.
        seed: Decides which images are chosen.

    Raises:
        SteadyNetError: If there is no such set, it cannot be had, or has fewer images than asked for.
    """
    if name.startswith("folder:"):
        source = folder_source(Path(name.removeprefix("folder:")).expanduser())
    elif name in SOURCES:
        source = SOURCES[name]
    else:
        raise unknown("data set", name, [*SOURCES, "folder:PATH"])
    for what, value in (("train_images", train_images), ("test_images", test_images)):
        if value is not None:
            check_integer(what, value, at_least=1)
    seed = check_seed(seed)
    if size is not None:
        check_integer("size", size, at_least=1)
    check_number("validation", validation, above=0, at_most=0.5)
    train, test = source.read(Path(root).expanduser(), download, size or source.size)
    # A folder's path must not decide which of its images are chosen.
    known = name if name in SOURCES else "folder"
    train = _some(train, train_images, seed, f"{known} training images")
    test = _some(test, test_images, seed, f"{known} test images")
    train, test = (converted(images, size or source.size, channels) for images in (train, test))
    chosen, rest = split(
        train.labels, max(1, round(validation * len(train))), seed=seed, what="validation split"
    )
    kept = dataclasses.replace(train, augment=train.augment if augment else None)
    return DataSplits(name, kept.subset(rest), kept.subset(chosen), test)


def checksums(data: DataSplits) -> dict[str, str]:
    """Return the checksums of a data set's images, by the side of the split."""
    sides = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: images.checksum[:16] for name, images in sides.items()}


def _some(images: ImageSet, count: int | None, seed: int, what: str) -> ImageSet:
    if count is None or count == len(images):
        return images
    if count > len(images):
        raise SteadyNetError(f"{what}: cannot take {count}, there are {len(images)}")
    return images.subset(split(images.labels, count, seed=seed, what=what)[0])
