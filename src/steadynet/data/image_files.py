"""Sets that lie on disk as encoded images: a folder a class, and Tiny ImageNet's official layout."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from steadynet.data.augment import Augment
from steadynet.data.imageset import ImageSet
from steadynet.data.shaping import split
from steadynet.errors import SteadyNetError

TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
# What the sides of a split are called, and no class.
_SIDES = ("train", "training", "test", "testing", "val", "valid", "validation")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")


def decode(data: bytes | Path, size: int, name: str) -> Tensor:
    """Return uint8 RGB [3, size, size] of an encoded image.

    Raises:
        SteadyNetError: If `name` cannot be decoded, or has more than 8 bits a channel.
    """
    try:
        with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as image:
            mode, rgb = image.mode, image.convert("RGB")
            if rgb.size != (size, size):
                rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.array(rgb)
    except (
        Exception
    ) as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError and more of their own.
        raise SteadyNetError(f"{name} is no readable image ({error}): remove or replace it") from error
    if mode.startswith(("I", "F")):  # Pillow would cut such pixels off at 255, and give a white image.
        raise SteadyNetError(f"{name} has more than 8 bits a channel (mode {mode}): save it with 8")
    return torch.from_numpy(pixels).permute(2, 0, 1)


def read_folder(path: Path, size: int) -> tuple[ImageSet, ImageSet]:
    """Return training and test images of a folder of images, one folder a class.

    `path`/train and `path`/test (or val) are taken where they exist; otherwise a fifth of `path`'s own images, evenly over
    the classes, is the test set: those whose names have the smallest hashes, so that it is the same wherever the folder
    lies, and nearly so when images are added.

    Raises:
        SteadyNetError: If a folder is missing or empty, an image cannot be read, the classes do not match, or folders are
            called as the sides of a split are and there is no train.
    """
    if not path.is_dir():
        raise SteadyNetError(f"image folder {path} does not exist")
    if (path / "train").is_dir():
        test = next((path / name for name in ("test", "val") if (path / name).is_dir()), None)
        if test is None:
            raise SteadyNetError(f"{path} has a folder train, but neither test nor val beside it")
        classes = _classes(path / "train")
        if _classes(test) != classes:
            raise SteadyNetError(f"{test} has other class folders than {path / 'train'}: give both the same")
        return _read_classes(path / "train", classes, size)[0], _read_classes(test, classes, size)[0]
    classes = _classes(path)
    sides = [name for name in classes if name.casefold() in _SIDES]
    if sides:
        raise SteadyNetError(
            f"{path} has a folder {sides[0]}, but none called train: call the folders of a split train and test (or val), "
            "and a class otherwise"
        )
    if len(classes) == 1:
        raise SteadyNetError(
            f"{path} has one class folder, {classes[0]}: give a folder for each of two classes or more"
        )
    whole, names = _read_classes(path, classes, size)
    count = len(whole) // 5
    if count == 0:
        raise SteadyNetError(f"{path} holds {len(whole)} images: a fifth of at least 5 is the test set")
    # Neither the path nor how many images there are: a network must not be tested on what it learned from.
    by_hash = sorted(
        range(len(names)), key=lambda i: hashlib.sha256(names[i].encode(errors="surrogateescape")).digest()
    )
    test_indices, train_indices = split(
        whole.labels, count, what="test split of the folder", order=torch.tensor(by_hash)
    )
    return whole.subset(train_indices), whole.subset(test_indices)


def _classes(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read_classes(path: Path, classes: Sequence[str], size: int) -> tuple[ImageSet, list[str]]:
    """Return the images of class folders, and each one's name below `path`; hidden files and folders are none."""
    images: list[Tensor] = []
    labels: list[int] = []
    names: list[str] = []
    for label, name in enumerate(classes):
        files = [
            file
            for file in sorted((path / name).rglob("*"))
            if file.suffix.lower() in SUFFIXES
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path / name).parts)
        ]
        if not files:
            raise SteadyNetError(f"class folder {path / name} holds no image ({', '.join(SUFFIXES)})")
        images += [decode(file, size, str(file)) for file in files]
        labels += [label] * len(files)
        names += [file.relative_to(path).as_posix() for file in files]
    if not images:
        raise SteadyNetError(f"{path} holds no class folders with images")
    half = (0.5, 0.5, 0.5)
    made = ImageSet(
        torch.stack(images), torch.tensor(labels), len(classes), half, half, None, f"folder:{path}"
    )
    return made, names


def read_tiny_imagenet(root: Path, download: bool, size: int) -> tuple[ImageSet, ImageSet]:
    """Read the official layout, unpacked or zipped. The labels of `val` come from its annotation file.

    Raises:
        SteadyNetError: If it is not there and cannot be downloaded, or a part is missing or broken.
    """
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
    try:
        archive = zipfile.ZipFile(archives[0])
    except (zipfile.BadZipFile, OSError) as error:
        raise SteadyNetError(
            f"{archives[0]} is no readable archive ({error}): delete it and fetch {TINY_URL} again"
        ) from error
    with archive:
        return _tiny_from(archive.namelist(), archive.read, size)


def _no_tiny(root: Path, why: str) -> SteadyNetError:
    return SteadyNetError(
        f"Tiny ImageNet is not under {root} (tiny-imagenet-200 or tiny-imagenet-200.zip){why}: fetch {TINY_URL} "
        "where there is a network and copy it there, or name another folder with --data-root"
    )


def _tiny_from(names: Sequence[str], source: Callable[[str], bytes], size: int) -> tuple[ImageSet, ImageSet]:
    def read(name: str) -> bytes:
        try:
            return source(name)
        except Exception as error:  # no such file or entry, or one whose checksum or compression is broken
            raise SteadyNetError(
                f"Tiny ImageNet's {name} is missing or broken ({error}): unpack the official archive whole"
            ) from error

    top = "tiny-imagenet-200/"
    wnids = sorted(read(f"{top}wnids.txt").decode(errors="replace").split())
    lines = read(f"{top}val/val_annotations.txt").decode(errors="replace").splitlines()
    number = {wnid: index for index, wnid in enumerate(wnids)}

    def label(wnid: str, where: str) -> int:
        if wnid not in number:
            raise SteadyNetError(f"{where} names class {wnid!r}, which Tiny ImageNet's wnids.txt does not")
        return number[wnid]

    train = [
        (name, label(name.split("/")[2], name))
        for name in sorted(names)
        if name.startswith(f"{top}train/") and name.lower().endswith(".jpeg")
    ]
    bare = sorted(set(wnids) - {wnids[index] for _, index in train})
    if bare:
        raise SteadyNetError(
            f"Tiny ImageNet has no training image of {len(bare)} of its {len(wnids)} classes ({bare[0]}, …): "
            "unpack the official archive whole"
        )
    fields = [line.split("\t") for line in lines if line]
    test = [(f"{top}val/images/{field[0]}", label(field[1] if field[1:] else "", "val")) for field in fields]
    if not test:
        raise SteadyNetError(
            "Tiny ImageNet's val_annotations.txt is empty: unpack the official archive whole"
        )
    mean, std = (0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)
    sets: list[ImageSet] = []
    for entries in (train, test):
        images = torch.stack([decode(read(name), size, name) for name, _ in entries])
        labels = torch.tensor([index for _, index in entries], dtype=torch.int64)
        sets.append(ImageSet(images, labels, len(wnids), mean, std, Augment(padding=8), "tiny-imagenet"))
    return sets[0], sets[1]
