"""The data sets: where each comes from, and how it is read into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from steadynet.data.augment import Augment
from steadynet.data.image_files import read_folder, read_tiny_imagenet
from steadynet.data.imageset import ImageSet
from steadynet.data.shaping import split
from steadynet.errors import SteadyNetError

# Torchvision checks MNIST's archives when it downloads them, but never the unpacked files.
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_DIGITS_TEST = 360


@dataclass(frozen=True)
class Source:
    """A data set by name: `read(root, download, size)` returns its training and its test images."""

    name: str
    size: int
    read: Callable[[Path, bool, int], tuple[ImageSet, ImageSet]]
    summary: str


def _digits(root: Path, download: bool, size: int) -> tuple[ImageSet, ImageSet]:
    from sklearn.datasets import load_digits

    raw = cast(Any, load_digits())
    # Pixels run from 0 to 16.
    images = torch.from_numpy(raw.images.astype(np.float32) / 16)[:, None]
    labels = torch.from_numpy(raw.target.astype(np.int64))
    whole = ImageSet(images, labels, 10, (0.5,), (0.5,), name="digits")
    # The set has no official split: this one is a constant of the data set, not of the user's seed.
    test, train = split(labels, _DIGITS_TEST, seed=0, what="digits test split")
    return whole.subset(train), whole.subset(test)


def _torchvision(
    name: str, kind: str, mean: Sequence[float], std: Sequence[float], augment: Augment | None
) -> Any:
    def read(root: Path, download: bool, size: int) -> tuple[ImageSet, ImageSet]:
        from torchvision import datasets

        make: Any = getattr(datasets, kind)
        sets: list[ImageSet] = []
        for train in (True, False):
            raw = _fetch(make, name, root, train, download)
            images = torch.as_tensor(raw.data)
            images = images[:, None] if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous()
            labels = torch.as_tensor(raw.targets, dtype=torch.int64)
            classes = len(raw.classes)
            sets.append(ImageSet(images, labels, classes, tuple(mean), tuple(std), augment, name))
        return sets[0], sets[1]

    return read


def _fetch(make: Any, name: str, root: Path, train: bool, download: bool) -> Any:
    """Return torchvision's data set from `root`, else from `root`/name, else downloaded into `root`."""
    for place in (root, root / name):
        try:
            found = make(str(place), train=train, download=False)
        except RuntimeError:
            continue  # torchvision says so where the files are missing or fail their checksums.
        except Exception as error:
            raise SteadyNetError(
                f"data set {name} under {place} cannot be read ({type(error).__name__}: {error}): delete it and fetch it again"
            ) from error
        if name == "mnist":
            _check_mnist(Path(found.raw_folder))
        return found
    hint = (
        f"fetch it where there is a network (torchvision.datasets.{make.__name__}(root, download=True)) and copy its "
        "folder there, or name another one with --data-root"
    )
    if not download:
        raise SteadyNetError(
            f"data set {name} is not under {root} nor {root / name}, whole and unaltered: {hint}"
        )
    made = [place for place in (root, *root.parents) if not place.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        return make(str(root), train=train, download=True)
    except Exception as error:
        _remove_empty(made)
        raise SteadyNetError(
            f"data set {name} is not under {root} nor {root / name}, and cannot be downloaded "
            f"({type(error).__name__}): {hint}"
        ) from error


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made for a download that failed, inner ones first, as far as nothing lies in them."""
    for folder in folders:
        for below in sorted(folder.rglob("*"), reverse=True):
            if below.is_dir() and not any(below.iterdir()):
                below.rmdir()
        if not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def _check_mnist(folder: Path) -> None:
    for name, expected in MNIST_MD5.items():
        path = folder / name
        if (
            not path.is_file()
            or hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != expected
        ):
            raise SteadyNetError(
                f"{path} is not MNIST's, whole and unaltered: delete {folder} and fetch it again"
            )


def folder_source(path: Path) -> Source:
    """Return the source of a folder of images, one folder a class; see `read_folder`."""

    def read(root: Path, download: bool, size: int) -> tuple[ImageSet, ImageSet]:
        return read_folder(path, size)

    return Source(f"folder:{path}", 32, read, "one folder of images per class")


_CROP = Augment(padding=4)
SOURCES = {
    source.name: source
    for source in (
        Source("digits", 8, _digits, "1,797 scanned digits, 8 × 8, embedded in scikit-learn"),
        Source(
            "mnist",
            32,
            _torchvision("mnist", "MNIST", (0.5,), (0.5,), None),
            "70,000 digits, shown at 32 × 32",
        ),
        Source(
            "cifar10",
            32,
            _torchvision("cifar10", "CIFAR10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), _CROP),
            "60,000 colour images of 10 classes, 32 × 32",
        ),
        Source(
            "cifar100",
            32,
            _torchvision("cifar100", "CIFAR100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), _CROP),
            "60,000 colour images of 100 classes, 32 × 32",
        ),
        Source("tiny-imagenet", 64, read_tiny_imagenet, "110,000 colour images of 200 classes, 64 × 64"),
    )
}
