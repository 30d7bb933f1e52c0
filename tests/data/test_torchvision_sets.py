"""MNIST and CIFAR by torchvision: where they are looked for, what a missing or altered file gets."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from data.pictures import write
from steadynet.data import load, sources
from steadynet.errors import SteadyNetError

KINDS: dict[str, Any] = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


def idx(array: np.ndarray) -> bytes:
    """The IDX format: two zeros, type 8 (bytes), number of dimensions, their sizes in big endian, the bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def fake_mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Twenty training and ten test images in MNIST's files, with their checksums in the official ones' place."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 28, 28), dtype=np.uint8), np.arange(30, dtype=np.uint8) % 10
    sums: dict[str, str] = {}
    for part, rows in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = write(root / "MNIST" / "raw" / f"{part}-{kind}-ubyte", idx(array[rows]))
            sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    assert sums.keys() == sources.MNIST_MD5.keys()
    monkeypatch.setattr(sources, "MNIST_MD5", sums)
    return images, labels


def fake_cifar(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Six batches of ten images (CIFAR-100: two) in CIFAR's pickles, with their checksums in the official ones' place."""
    kind = KINDS[name]
    classes = 10 if name == "cifar10" else 100
    rng = np.random.default_rng(1)
    base, key = root / kind.base_folder, "labels" if name == "cifar10" else "fine_labels"
    images: list[np.ndarray] = []
    labels: list[int] = []
    lists: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
    for part in lists:
        for file, _ in getattr(kind, part):
            rows = rng.integers(0, 256, (10, 3072), dtype=np.uint8)
            numbers = rng.integers(0, classes, 10).tolist()
            path = write(base / file, pickle.dumps({"data": rows, key: numbers}))
            lists[part].append([file, hashlib.md5(path.read_bytes()).hexdigest()])
            images.append(rows.reshape(10, 3, 32, 32))
            labels += numbers
        monkeypatch.setattr(kind, part, lists[part])
    names = pickle.dumps({kind.meta["key"]: [f"c{i}" for i in range(classes)]})
    path = write(base / kind.meta["filename"], names)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5})
    return np.concatenate(images), np.array(labels)


def fake(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    return fake_mnist(root, monkeypatch) if name == "mnist" else fake_cifar(name, root, monkeypatch)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Downloads fail, and are counted."""
    tried: list[str] = []
    for name, kind in KINDS.items():

        def download(self: Any, name: str = name) -> None:
            tried.append(name)
            raise urllib.error.URLError("no network here")

        monkeypatch.setattr(kind, "download", download)
    return tried


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("below", [False, True])
def test_images_and_labels_are_those_of_the_files(
    name: str, below: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]
) -> None:
    images, labels = fake(name, tmp_path / name if below else tmp_path, monkeypatch)
    train, test = sources.SOURCES[name].read(tmp_path, True, 32)
    assert no_network == []
    assert (len(train) + len(test), len(test)) == (len(images), 10)
    pixels = torch.cat([train.images, test.images])
    expected = torch.from_numpy(images)
    assert torch.equal(pixels, expected[:, None] if name == "mnist" else expected)
    assert torch.cat([train.labels, test.labels]).tolist() == labels.tolist()
    assert train.classes == test.classes == (100 if name == "cifar100" else 10)
    # A CIFAR image is cropped and flipped in training; a digit is not.
    assert (train.augment is None) is (name == "mnist")
    assert train.augment is None or (train.augment.padding, train.augment.flip) == (4, True)


@pytest.mark.parametrize("name", KINDS)
def test_all_are_shown_at_32_by_32(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(name, tmp_path, monkeypatch)
    data = load(name, root=tmp_path)
    assert data.shape == (1 if name == "mnist" else 3, 32, 32)
    assert (data.train.augment is None) is (name == "mnist")
    assert load(name, root=tmp_path, augment=False).train.augment is None


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_set_without_network_says_what_to_do(
    name: str, tmp_path: Path, no_network: list[str]
) -> None:
    root = tmp_path / "not" / "yet"
    advice = rf"torchvision\.datasets\.{KINDS[name].__name__}\(root, download=True\).*--data-root"
    with pytest.raises(SteadyNetError, match=rf"data set {name} is not under {root}.*{advice}"):
        load(name, root=root, download=False)
    assert no_network == []
    with pytest.raises(
        SteadyNetError, match=rf"{name} is not under .*cannot be downloaded \(URLError\): .*{advice}"
    ):
        load(name, root=root)
    assert no_network == [name]
    assert not list(tmp_path.iterdir()), "no empty folder is left"


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_an_altered_cifar_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(name, tmp_path, monkeypatch)
    path = tmp_path / KINDS[name].base_folder / KINDS[name].test_list[0][0]
    whole = bytearray(path.read_bytes())
    whole[500] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SteadyNetError, match=f"data set {name} is not under .*whole and unaltered"):
        load(name, root=tmp_path, download=False)
    with pytest.raises(SteadyNetError, match="cannot be downloaded"):
        load(name, root=tmp_path)


@pytest.mark.parametrize("file", sources.MNIST_MD5)
@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "longer"])
def test_an_altered_mnist_file_is_refused(
    file: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mnist(tmp_path, monkeypatch)
    assert len(load("mnist", root=tmp_path).test) == 10
    path = tmp_path / "MNIST" / "raw" / file
    whole = path.read_bytes()
    damaged = {
        "bit": whole[:-1] + bytes([whole[-1] ^ 1]),
        "cut": whole[:-3],
        "empty": b"",
        "longer": whole + b"\0",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(SteadyNetError, match=r"(data set mnist|not MNIST's, whole and unaltered)"):
        load("mnist", root=tmp_path, download=False)
    with pytest.raises(SteadyNetError, match=r"mnist|MNIST's"):
        load("mnist", root=tmp_path)


def test_the_wrong_bit_in_an_mnist_file_is_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_mnist(tmp_path, monkeypatch)
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(
        SteadyNetError, match=f"{path} is not MNIST's, .*: delete {path.parent} and fetch it again"
    ):
        load("mnist", root=tmp_path)


def test_a_set_that_is_downloaded_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = fake_cifar("cifar10", tmp_path / "remote", monkeypatch)

    def download(self: Any) -> None:
        import shutil

        shutil.copytree(tmp_path / "remote", self.root, dirs_exist_ok=True)

    monkeypatch.setattr(datasets.CIFAR10, "download", download)
    data = load("cifar10", root=tmp_path / "new" / "folder")
    assert len(data.train) + len(data.validation) + len(data.test) == len(images)
