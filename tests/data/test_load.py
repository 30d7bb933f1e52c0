"""A data set by name: the digits' own split, validation from the training images, sizes, channels, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from steadynet.data import SOURCES, DataSplits, ImageSet, load
from steadynet.errors import SteadyNetError


def rows(images: ImageSet) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.images}


@pytest.fixture(scope="module")
def digits() -> DataSplits:
    return load("digits")


def test_digits_have_these_sizes(digits: DataSplits) -> None:
    # 1797 images, 360 of them for testing; a tenth of the rest for validation.
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [1293, 144, 360]
    assert digits.classes == 10
    assert digits.shape == (1, 8, 8)
    assert digits.name == "digits"


def test_the_parts_of_the_digits_are_disjoint_and_together_all_of_them(digits: DataSplits) -> None:
    raw: Any = load_digits()
    together = torch.cat([digits.train.images, digits.validation.images, digits.test.images])
    assert len(together) == len(raw.images)
    original = {tuple((image / 16).ravel().tolist()) for image in raw.images}
    assert len(original) == len(raw.images)  # no image twice, so that disjoint images mean disjoint parts
    assert {tuple(image.ravel().tolist()) for image in together} == original


def test_the_parts_of_the_digits_keep_their_labels(digits: DataSplits) -> None:
    raw: Any = load_digits()
    truth = {
        tuple((image / 16).ravel().tolist()): int(label)
        for image, label in zip(raw.images, raw.target, strict=True)
    }
    for part in (digits.train, digits.validation, digits.test):
        assert [truth[tuple(image.ravel().tolist())] for image in part.images] == part.labels.tolist()


def test_the_parts_of_the_digits_are_balanced(digits: DataSplits) -> None:
    raw: Any = load_digits()
    shares = torch.bincount(torch.from_numpy(raw.target)).double() / 1797
    for part in (digits.train, digits.validation, digits.test):
        counts = torch.bincount(part.labels, minlength=10)
        assert float((counts - shares * len(part)).abs().max()) <= 1.5


def test_the_same_call_gives_the_same_images(digits: DataSplits) -> None:
    again = load("digits")
    for part in ("train", "validation", "test"):
        assert getattr(again, part).checksum == getattr(digits, part).checksum


def test_the_test_images_do_not_depend_on_the_seed_but_the_validation_images_do(digits: DataSplits) -> None:
    other = load("digits", seed=1)
    assert other.test.checksum == digits.test.checksum
    assert rows(other.validation) != rows(digits.validation)
    assert rows(other.validation).isdisjoint(rows(other.test))


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"validation": 0.5}, (719, 718, 360)),
        ({"validation": 0.0001}, (1436, 1, 360)),
        ({"train_images": 200}, (180, 20, 360)),
        ({"train_images": 1437, "test_images": 360}, (1293, 144, 360)),
        ({"test_images": 50}, (1293, 144, 50)),
    ],
)
def test_fewer_images_are_chosen_evenly(
    options: dict[str, Any], sizes: tuple[int, ...], digits: DataSplits
) -> None:
    some = load("digits", **options)
    assert (len(some.train), len(some.validation), len(some.test)) == sizes
    assert rows(some.test) <= rows(digits.test)
    assert rows(some.train) | rows(some.validation) <= rows(digits.train) | rows(digits.validation)
    assert rows(some.train).isdisjoint(rows(some.validation))
    for part in (some.train, some.test):
        counts = torch.bincount(part.labels, minlength=10).double()
        assert float((counts / len(part) - 0.1).abs().max()) < 0.021


def test_size_and_channels_are_changed_in_all_parts() -> None:
    some = load("digits", size=12, channels=3, train_images=40, test_images=10)
    for part in (some.train, some.validation, some.test):
        assert part.shape == (3, 12, 12)
        assert torch.equal(part.images[:, 0], part.images[:, 2])
        assert part.mean == part.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit", {}, "unknown data set 'digit': did you mean 'digits'.*known: cifar10, .*folder:PATH"),
        ("folder", {}, "unknown data set 'folder'"),
        ("digits", {"validation": 0.0}, "validation must be a finite number > 0"),
        ("digits", {"validation": 0.6}, "validation must be a finite number .*≤ 0.5"),
        ("digits", {"validation": float("nan")}, "validation must be a finite number"),
        ("digits", {"train_images": 1438}, "digits training images: cannot take 1438, there are 1437"),
        ("digits", {"test_images": 361}, "digits test images: cannot take 361, there are 360"),
        ("digits", {"train_images": 0}, "train_images must be an integer ≥ 1"),
        ("digits", {"test_images": -1}, "test_images must be an integer ≥ 1"),
        ("digits", {"train_images": 1}, "validation split: cannot take 1 of 1"),
        ("digits", {"size": 0}, "size must be an integer ≥ 1"),
        ("digits", {"channels": 2}, "channels must be 1 or 3, got 2"),
    ],
)
def test_what_cannot_be_loaded_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        load(name, **options)


def test_each_source_stands_under_its_name_and_says_what_it_is() -> None:
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.summary
    # The digits need no folder.
    train, test = SOURCES["digits"].read(Path("/nonexistent"), False, 8)
    assert (len(train), len(test)) == (1437, 360)
