"""Images are resized and change between grey and colour as a slow formula says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steadynet.data import Augment, ImageSet
from steadynet.data.shaping import converted
from steadynet.errors import SteadyNetError


def images(channels: int, size: int, count: int = 4, *, bytes_: bool = True) -> ImageSet:
    generator = torch.Generator().manual_seed(channels * 100 + size)
    pixels = torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
    mean = (0.2, 0.3, 0.7)[:channels]
    std = (0.1, 0.3, 0.2)[:channels]
    return ImageSet(
        pixels if bytes_ else pixels / 255,
        torch.arange(count) % 2,
        2,
        mean,
        std,
        Augment(padding=1),
        "some images",
    )


def weights(source: int, target: int) -> list[list[float]]:
    """How much of each source pixel is in each target pixel: a triangle as wide as the larger pixel."""
    scale = source / target
    reach = max(scale, 1.0)
    table: list[list[float]] = []
    for i in range(target):
        centre = (i + 0.5) * scale
        row = [max(0.0, 1 - abs((j + 0.5 - centre) / reach)) for j in range(source)]
        table.append([value / sum(row) for value in row])
    return table


def slow_resize(image: Tensor, size: int) -> Tensor:
    table = weights(image.shape[-1], size)
    result = torch.zeros(*image.shape[:-2], size, size, dtype=torch.float64)
    for i in range(size):
        for j in range(size):
            for a, down in enumerate(table[i]):
                for b, across in enumerate(table[j]):
                    if down and across:
                        result[..., i, j] += down * across * image[..., a, b].double()
    return result


@pytest.mark.parametrize(("source", "target"), [(8, 12), (8, 32), (12, 6), (9, 4), (28, 32), (8, 7)])
@pytest.mark.parametrize("bytes_", [True, False])
def test_resizing_is_bilinear_and_antialiased(source: int, target: int, bytes_: bool) -> None:
    before = images(1, source, count=2, bytes_=bytes_)
    after = converted(before, target, None)
    assert after.shape == (1, target, target)
    assert after.images.dtype == before.images.dtype
    expected = slow_resize(before.images, target)
    # Bytes are rounded to the nearest along each axis: within one level.
    bound = 1.0 + 1e-6 if bytes_ else 1e-5
    assert float((after.images.double() - expected).abs().max()) <= bound


def test_resizing_looks_at_both_sides_of_an_image() -> None:
    wide = ImageSet(torch.zeros(1, 1, 8, 16, dtype=torch.uint8), torch.tensor([0]), 1, (0.5,), (0.5,))
    assert converted(wide, 8, None).shape == (1, 8, 8)


def test_a_constant_image_stays_constant_and_the_rest_of_the_set_as_it_is() -> None:
    flat = ImageSet(
        torch.full((3, 3, 9, 9), 137, dtype=torch.uint8), torch.tensor([0, 1, 1]), 2, (0.5,) * 3, (0.5,) * 3
    )
    assert torch.equal(converted(flat, 13, None).images, torch.full((3, 3, 13, 13), 137, dtype=torch.uint8))
    before = images(3, 8)
    after = converted(before, 16, None)
    assert (after.mean, after.std, after.augment, after.name, after.classes) == (
        before.mean,
        before.std,
        before.augment,
        before.name,
        before.classes,
    )
    assert torch.equal(after.labels, before.labels)


def test_what_is_right_already_is_not_touched() -> None:
    before = images(3, 8)
    for size, channels in ((None, None), (8, None), (8, 3), (None, 3)):
        assert torch.equal(converted(before, size, channels).images, before.images)


@pytest.mark.parametrize("bytes_", [True, False])
def test_grey_becomes_three_equal_channels(bytes_: bool) -> None:
    before = images(1, 5, bytes_=bytes_)
    after = converted(before, None, 3)
    assert after.shape == (3, 5, 5)
    for channel in range(3):
        assert torch.equal(after.images[:, channel], before.images[:, 0])
    assert after.mean == (0.2, 0.2, 0.2)
    assert after.std == (0.1, 0.1, 0.1)
    # A network sees in each channel what it saw in one.
    seen, _ = after.batch(torch.arange(4), augment_key=None)
    assert torch.equal(seen[:, 1:2], before.batch(torch.arange(4), augment_key=None)[0])


@pytest.mark.parametrize("bytes_", [True, False])
def test_colour_becomes_grey_by_luminance(bytes_: bool) -> None:
    before = images(3, 5, bytes_=bytes_)
    after = converted(before, None, 1)
    assert after.images.dtype == before.images.dtype
    red, green, blue = before.images.double().unbind(1)
    exact = 0.299 * red + 0.587 * green + 0.114 * blue
    # Bytes are rounded to the nearest.
    bound = 0.5 + 1e-4 if bytes_ else 1e-6
    assert float((after.images[:, 0].double() - exact).abs().max()) <= bound
    assert after.mean == pytest.approx((0.4,))
    assert after.std == pytest.approx((0.2,))


def test_white_and_black_stay_white_and_black_in_grey() -> None:
    pixels = torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 255.0)]).to(torch.uint8)
    grey = converted(ImageSet(pixels, torch.tensor([0, 1]), 2, (0.5,) * 3, (0.5,) * 3), None, 1).images
    assert grey.flatten().tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize(
    ("size", "channels"), [(0, None), (-3, None), (2.5, None), (None, 2), (None, 0), (None, 4)]
)
def test_a_size_or_channels_that_cannot_be_are_refused(size: int | None, channels: int | None) -> None:
    with pytest.raises(SteadyNetError, match="must be"):
        converted(images(3, 4), size, channels)


def test_the_slow_weights_add_up() -> None:
    for source, target in ((8, 12), (12, 5)):
        assert all(math.isclose(sum(row), 1) for row in weights(source, target))
