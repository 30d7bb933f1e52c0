"""The real sets, in the folder that STEADYNET_DATA names: counts, classes and statistics as published."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from data.pictures import write
from steadynet.data import load
from steadynet.data.image_files import read_tiny_imagenet
from steadynet.errors import SteadyNetError

ROOT = Path(os.environ.get("STEADYNET_DATA", "/nonexistent"))


def needs(*parts: str) -> pytest.MarkDecorator:
    """Skip without this file below STEADYNET_DATA."""
    path = ROOT.joinpath(*parts)
    return pytest.mark.skipif(not path.exists(), reason=f"STEADYNET_DATA holds no {'/'.join(parts)}")


@needs("mnist", "MNIST")
def test_mnist_has_its_published_counts() -> None:
    # Under the root itself and under the root's folder of that name.
    for root in (ROOT, ROOT / "mnist"):
        data = load("mnist", root=root, size=28, download=False)
        labels = torch.cat([data.train.labels, data.validation.labels])
        counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert torch.bincount(labels).tolist() == counts
        assert torch.bincount(data.test.labels).tolist() == [
            980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
        ]  # fmt: skip
        assert len(data.validation) == 6000
    # The well-known mean and std of the training images.
    pixels = torch.cat([data.train.images, data.validation.images]).double() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=5e-5)


@needs("mnist", "MNIST")
def test_mnist_is_shown_at_32_by_32_and_a_part_of_it_is_even_over_the_digits() -> None:
    data = load("mnist", root=ROOT, train_images=1000, test_images=500, download=False)
    assert data.shape == (1, 32, 32)
    assert (len(data.train), len(data.validation), len(data.test)) == (900, 100, 500)
    share = torch.bincount(data.test.labels).double() / 500
    full = torch.tensor([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]) / 10000
    assert float((share - full).abs().max()) <= 0.003
    inputs, _ = data.test.batch(torch.arange(500), augment_key=None)
    assert (float(inputs.min()), float(inputs.max())) == (-1.0, 1.0)


@needs("mnist", "MNIST")
def test_one_wrong_bit_in_mnist_is_found(tmp_path: Path) -> None:
    for path in (ROOT / "mnist" / "MNIST" / "raw").iterdir():
        write(tmp_path / "MNIST" / "raw" / path.name, path.read_bytes())
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    whole = bytearray(path.read_bytes())
    whole[30_000_000] ^= 4
    path.write_bytes(whole)
    with pytest.raises(SteadyNetError, match="train-images-idx3-ubyte is not MNIST's, whole and unaltered"):
        load("mnist", root=tmp_path, download=False)


@needs("cifar10", "make_pickles.py")
def test_cifar10_passes_torchvisions_checksums_and_has_its_statistics(tmp_path: Path) -> None:
    maker = ROOT / "cifar10" / "make_pickles.py"
    subprocess.run([sys.executable, str(maker), str(tmp_path)], check=True, capture_output=True)
    data = load("cifar10", root=tmp_path, download=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (45_000, 5_000, 10_000)
    assert torch.bincount(torch.cat([data.train.labels, data.validation.labels])).tolist() == [5000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    # What is fed to a network has mean 0 and std 1 in each channel, so the stated statistics are this set's.
    for channel in range(3):
        pixels = torch.cat([data.train.images[:, channel], data.validation.images[:, channel]]).double() / 255
        assert float(pixels.mean()) == pytest.approx(data.train.mean[channel], abs=5e-5)
        assert float(pixels.std()) == pytest.approx(data.train.std[channel], abs=5e-5)


@needs("tiny-imagenet")
def test_tiny_imagenet_reads_from_its_archive_with_the_annotated_labels() -> None:
    train, test = read_tiny_imagenet(ROOT, False, 64)
    assert train.shape == test.shape == (3, 64, 64)
    assert train.classes == test.classes == 200
    assert set(torch.bincount(train.labels, minlength=200).tolist()) == {50}
    assert set(torch.bincount(test.labels, minlength=200).tolist()) == {10}
    (path,) = (ROOT / "tiny-imagenet").glob("*.zip")
    with zipfile.ZipFile(path) as archive:
        wnids = sorted(archive.read("tiny-imagenet-200/wnids.txt").decode().split())
        lines = archive.read("tiny-imagenet-200/val/val_annotations.txt").decode().splitlines()
    assert [wnids[label] for label in test.labels.tolist()] == [line.split("\t")[1] for line in lines]
    # Stated mean and std are those of the full set; this part of it is near.
    pixels = train.images.double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(list(train.mean), abs=0.01)
    assert pixels.std((0, 2, 3)).tolist() == pytest.approx(list(train.std), abs=0.01)
