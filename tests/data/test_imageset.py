"""An image set checks what it holds, normalises as its formula says, and has a checksum of its content."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor

from steadynet.data import Augment, ImageSet
from steadynet.errors import SteadyNetError

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def make(**changes: Any) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    fields: dict[str, Any] = {
        "images": torch.randint(0, 256, (5, 3, 4, 6), generator=generator, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 2, 1, 0]),
        "classes": 3,
        "mean": MEAN,
        "std": STD,
        "name": "toys",
    }
    return ImageSet(**{**fields, **changes})


def slow(images: Tensor, indices: list[int], scale: float) -> Tensor:
    result = torch.zeros(len(indices), *images.shape[1:], dtype=torch.float64)
    for row, index in enumerate(indices):
        for channel in range(images.shape[1]):
            pixels = images[index, channel].double() * scale
            result[row, channel] = (pixels - MEAN[channel]) / STD[channel]
    return result


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
def test_a_batch_is_normalised_channel_by_channel(dtype: torch.dtype) -> None:
    base = make()
    images = base.images if dtype == torch.uint8 else (base.images / 255).to(dtype)
    some = make(images=images)
    before = images.clone()
    indices = [4, 0, 4, 2]
    inputs, labels = some.batch(torch.tensor(indices), augment_key=None)
    assert inputs.dtype == torch.float32
    assert labels.tolist() == [0, 0, 0, 2]
    expected = slow(images, indices, 1 / 255 if dtype == torch.uint8 else 1.0)
    assert float((inputs.double() - expected).abs().max()) < 2e-6
    assert torch.equal(some.images, before)


def test_one_item_is_a_batch_of_one() -> None:
    some = make(augment=Augment(padding=1))
    for index in range(5):
        image, label = some[index]
        expected, labels = some.batch(torch.tensor([index]), augment_key=None)
        assert torch.equal(image, expected[0])
        assert label == int(labels[0])
    assert isinstance(some[0][1], int)
    with pytest.raises(IndexError):
        some[5]
    assert len(list(some)) == 5  # type: ignore[call-overload]


def test_a_batch_is_augmented_before_it_is_normalised_and_only_with_a_key() -> None:
    augment = Augment(padding=2)
    some = make(augment=augment)
    indices = torch.tensor([3, 1, 0])
    moved = augment(some.images[indices], indices, seed=7, epoch=2)
    inputs, _ = some.batch(indices, augment_key=(7, 2))
    assert torch.equal(
        inputs, make(images=moved, labels=some.labels[:3]).batch(torch.arange(3), augment_key=None)[0]
    )
    still, _ = some.batch(indices, augment_key=None)
    assert torch.equal(still, make().batch(indices, augment_key=None)[0])
    assert torch.equal(still, make().batch(indices, augment_key=(7, 2))[0])
    assert not torch.equal(inputs, still)


def test_size_shape_and_subset() -> None:
    some = make(augment=Augment())
    assert len(some) == 5
    assert some.shape == (3, 4, 6)
    part = some.subset(torch.tensor([4, 1]))
    assert torch.equal(part.images, some.images[[4, 1]])
    assert part.labels.tolist() == [0, 1]
    assert (part.classes, part.mean, part.std, part.augment, part.name) == (
        3,
        MEAN,
        STD,
        some.augment,
        "toys",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(5, 4, 6)}, r"toys: images must be \[T, C, H, W\], got \(5, 4, 6\)"),
        ({"images": torch.zeros(0, 3, 4, 4), "labels": torch.zeros(0, dtype=torch.int64)}, "toys is empty"),
        ({"labels": torch.tensor([0, 1])}, r"toys: 5 images, but labels \(2,\): give one each"),
        ({"labels": torch.zeros(5, 1, dtype=torch.int64)}, r"5 images, but labels \(5, 1\)"),
        ({"labels": torch.zeros(5)}, "labels must be int64, got torch.float32"),
        ({"labels": torch.zeros(5, dtype=torch.int32)}, "labels must be int64, got torch.int32"),
        ({"labels": torch.tensor([0, 1, 2, 3, 0])}, "labels run from 0 to 3, but there are 3 classes"),
        ({"labels": torch.tensor([0, -1, 2, 1, 0])}, "labels run from -1 to 2"),
        ({"classes": 0}, r"but there are 0 classes"),
        ({"mean": (0.5,)}, "3 channels need as many means and stds"),
        ({"std": (0.5, 0.5)}, "3 channels need as many means and stds"),
        ({"std": (0.5, 0.0, 0.5)}, "std must be above 0"),
        ({"std": (0.5, -0.1, 0.5)}, "std must be above 0"),
        ({"std": (0.5, float("nan"), 0.5)}, "mean and std must be a finite number"),
        ({"mean": (0.5, float("inf"), 0.5)}, "mean and std must be a finite number"),
        ({"images": torch.full((5, 3, 4, 4), float("nan"))}, "toys holds NaN or infinite pixels"),
        ({"images": torch.full((5, 3, 4, 4), float("inf"))}, "toys holds NaN or infinite pixels"),
        (
            {"images": torch.zeros(5, 3, 4, 4, dtype=torch.int64)},
            "images must be uint8 or float, got torch.int64",
        ),
        (
            {"images": torch.zeros(5, 3, 4, 4, dtype=torch.bool)},
            "images must be uint8 or float, got torch.bool",
        ),
    ],
)
def test_what_is_no_image_set_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make(**changes)


def test_the_checksum_is_sha256_of_shape_images_and_labels() -> None:
    some = make()
    expected = hashlib.sha256(b"((5, 3, 4, 6), torch.uint8)")
    expected.update(bytes(some.images.flatten().tolist()))
    for label in some.labels.tolist():
        expected.update(label.to_bytes(8, "little"))
    assert some.checksum == expected.hexdigest()


def test_the_checksum_is_of_the_content_and_not_of_how_it_lies_in_memory() -> None:
    some = make()
    scattered = some.images.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert not scattered.is_contiguous()
    assert make(images=scattered).checksum == some.checksum
    assert some.subset(torch.arange(5)).checksum == some.checksum


def test_the_checksum_sees_a_pixel_a_label_the_order_and_the_shape() -> None:
    some = make()
    pixel = some.images.clone()
    pixel[3, 2, 1, 5] ^= 1
    label = some.labels.clone()
    label[2] = 0
    others = [
        make(images=pixel),
        make(labels=label),
        some.subset(torch.tensor([1, 0, 2, 3, 4])),
        make(images=some.images.reshape(5, 3, 6, 4)),
        make(images=some.images.float()),
    ]
    assert len({other.checksum for other in [some, *others]}) == 6
