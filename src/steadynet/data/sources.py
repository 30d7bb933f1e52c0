"""The data sets: where each comes from, and how it is read into memory."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from steadynet.data.augment import Augment
from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError
from steadynet.randomness import stable_seed

TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
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
            return make(str(place), train=train, download=False)
        except RuntimeError:
            continue  # torchvision says so where the files are missing or fail their checksums.
        except Exception as error:
            raise SteadyNetError(
                f"data set {name} under {place} cannot be read ({type(error).__name__}: {error}): delete it and fetch it again"
            ) from error
    hint = (
        f"fetch it where there is a network (torchvision.datasets.{make.__name__}(root, download=True)) and copy its "
        "folder there, or name another one with --data-root"
    )
    if not download:
        raise SteadyNetError(
            f"data set {name} is not under {root} nor {root / name}, whole and unaltered: {hint}"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        return make(str(root), train=train, download=True)
    except Exception as error:
        raise SteadyNetError(
            f"data set {name} is not under {root} nor {root / name}, and cannot be downloaded "
            f"({type(error).__name__}): {hint}"
        ) from error


def _tiny_imagenet(root: Path, download: bool, size: int) -> tuple[ImageSet, ImageSet]:
    """Read the official layout, unpacked or zipped. The labels of `val` come from its annotation file."""
    places = [root, root / "tiny-imagenet"]
    archives = [path for place in places for path in sorted(place.glob("tiny-imagenet-200*.zip"))]
    folder = next((p / "tiny-imagenet-200" for p in places if (p / "tiny-imagenet-200").is_dir()), None)
    if folder is None and not archives and download:
        from torchvision.datasets.utils import download_url

        try:
            download_url(TINY_URL, str(root), md5="90528d7ca1a48142e341f4ef8d21d0de")
            archives = [root / "tiny-imagenet-200.zip"]
        except Exception as error:
            raise _no_tiny(root, f", and cannot be downloaded ({type(error).__name__})") from error
    if folder is None and not archives:
        raise _no_tiny(root, "")
    if folder is not None:
        base = folder
        names = [path.relative_to(base.parent).as_posix() for path in base.rglob("*") if path.is_file()]
        return _tiny_from(names, lambda name: (base.parent / name).read_bytes(), size)
    with zipfile.ZipFile(archives[0]) as archive:
        return _tiny_from(archive.namelist(), archive.read, size)


def _no_tiny(root: Path, why: str) -> SteadyNetError:
    return SteadyNetError(
        f"Tiny ImageNet is not under {root} (tiny-imagenet-200 or tiny-imagenet-200.zip){why}: fetch {TINY_URL} "
        "where there is a network and copy it there, or name another folder with --data-root"
    )


def _tiny_from(names: Sequence[str], read: Callable[[str], bytes], size: int) -> tuple[ImageSet, ImageSet]:
    top = "tiny-imagenet-200/"
    try:
        wnids = sorted(read(f"{top}wnids.txt").decode().split())
        lines = read(f"{top}val/val_annotations.txt").decode().splitlines()
    except (KeyError, OSError) as error:
        raise SteadyNetError(f"Tiny ImageNet lacks {error}: unpack the official archive whole") from error
    number = {wnid: index for index, wnid in enumerate(wnids)}
    train = [
        (name, number[name.split("/")[2]])
        for name in sorted(names)
        if name.startswith(f"{top}train/") and name.lower().endswith(".jpeg")
    ]
    fields = [line.split("\t") for line in lines if line]
    test = [(f"{top}val/images/{field[0]}", number[field[1]]) for field in fields]
    mean, std = (0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)
    sets: list[ImageSet] = []
    for entries in (train, test):
        images = (
            torch.stack([_decode(read(name), size) for name, _ in entries])
            if entries
            else torch.zeros(0, 3, 1, 1)
        )
        labels = torch.tensor([label for _, label in entries], dtype=torch.int64)
        sets.append(ImageSet(images, labels, len(wnids), mean, std, Augment(padding=8), "tiny-imagenet"))
    return sets[0], sets[1]


def _decode(data: bytes | Path, size: int) -> Tensor:
    """Return uint8 RGB [3, size, size] of an encoded image."""
    with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as image:
        rgb = image.convert("RGB")
        if rgb.size != (size, size):
            rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)


def folder_source(path: Path) -> Source:
    """Return the source of a folder of images, one folder a class.

    `path`/train and `path`/test (or val) are taken where they exist; otherwise a fifth of `path`'s own images,
    evenly over the classes and the same at every call, is the test set.
    """

    def read(root: Path, download: bool, size: int) -> tuple[ImageSet, ImageSet]:
        if not path.is_dir():
            raise SteadyNetError(f"image folder {path} does not exist")
        if (path / "train").is_dir():
            test = next((path / name for name in ("test", "val") if (path / name).is_dir()), None)
            if test is None:
                raise SteadyNetError(f"{path} has a folder train, but neither test nor val beside it")
            classes = _classes(path / "train")
            if _classes(test) != classes:
                raise SteadyNetError(
                    f"{test} has other class folders than {path / 'train'}: give both the same"
                )
            return _read_folder(path / "train", classes, size), _read_folder(test, classes, size)
        whole = _read_folder(path, _classes(path), size)
        test_indices, train_indices = split(
            whole.labels, len(whole) // 5, seed=0, what=f"test split of {path}"
        )
        return whole.subset(train_indices), whole.subset(test_indices)

    return Source(f"folder:{path}", 32, read, "one folder of images per class")


def _classes(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read_folder(path: Path, classes: Sequence[str], size: int) -> ImageSet:
    images: list[Tensor] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = [f for f in sorted((path / name).rglob("*")) if f.suffix.lower() in _IMAGES]
        if not files:
            raise SteadyNetError(f"class folder {path / name} holds no image ({', '.join(_IMAGES)})")
        for file in files:
            try:
                images.append(_decode(file, size))
            except OSError as error:
                raise SteadyNetError(
                    f"{file} is no readable image ({error}): remove or replace it"
                ) from error
            labels.append(label)
    if not images:
        raise SteadyNetError(f"{path} holds no class folders with images")
    mean = (0.5, 0.5, 0.5)
    return ImageSet(
        torch.stack(images), torch.tensor(labels), len(classes), mean, mean, None, f"folder:{path}"
    )


def split(labels: Tensor, count: int, *, seed: int, what: str) -> tuple[Tensor, Tensor]:
    """Return indices of `count` images spread evenly over the classes, and those of the rest, both sorted.

    Each class gives its share of `count`, rounded so that the sum is exact.

    Raises:
        SteadyNetError: If there are not that many images, or none would be left on either side.
    """
    total = len(labels)
    if not 0 < count < total:
        raise SteadyNetError(
            f"{what}: cannot take {count} of {total} images and leave some: ask for 1 to {total - 1}"
        )
    generator = torch.Generator().manual_seed(stable_seed(seed, what))
    order = torch.randperm(total, generator=generator)
    # Interleaving the classes in proportion: the i-th image of a class of n stands at (i + 1/2)/n of the way.
    place = torch.empty(total, dtype=torch.float64)
    for label in cast(Tensor, labels.unique()):
        members = order[labels[order] == label]
        place[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    chosen = torch.zeros(total, dtype=torch.bool)
    chosen[order[torch.argsort(place[order], stable=True)][:count]] = True
    return chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0]


def converted(images: ImageSet, size: int | None, channels: int | None) -> ImageSet:
    """Return the set resized to `size` × `size` (bilinear, antialiased) and with 1 or 3 channels."""
    pixels, mean, std = images.images, images.mean, images.std
    if channels is not None and channels != pixels.shape[1]:
        if channels == 3:
            pixels, mean, std = pixels.expand(-1, 3, -1, -1).contiguous(), mean * 3, std * 3
        else:
            weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            grey = (pixels.float() * weights).sum(1, keepdim=True)
            pixels = grey.round().to(torch.uint8) if pixels.dtype == torch.uint8 else grey
            mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    if size is not None and size != pixels.shape[2]:
        from torchvision.transforms.v2 import functional as transforms

        parts = cast("Sequence[Tensor]", pixels.split(5000))
        chunks = [transforms.resize(part, [size, size], antialias=True) for part in parts]
        pixels = torch.cat(chunks)
    return dataclasses.replace(images, images=pixels, mean=mean, std=std)


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
        Source("tiny-imagenet", 64, _tiny_imagenet, "110,000 colour images of 200 classes, 64 × 64"),
    )
}
