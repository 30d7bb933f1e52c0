"""Crop and flip do to each image what a slow reference does, and depend on (seed, epoch, index) alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from steadynet.data import Augment
from steadynet.errors import SteadyNetError


def pictures(count: int, channels: int = 2, height: int = 5, width: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(1, 256, (count, channels, height, width), generator=generator, dtype=torch.uint8)


def slow(image: Tensor, padding: int, top: int, left: int, flip: bool) -> Tensor:
    """Pixel by pixel: what lies outside the image is 0."""
    channels, height, width = image.shape
    result = torch.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                row, column = i + top - padding, j + left - padding
                if 0 <= row < height and 0 <= column < width:
                    result[c, i, width - 1 - j if flip else j] = image[c, row, column]
    return result


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_each_image_is_cropped_and_flipped_as_by_hand(padding: int, flip: bool, dtype: torch.dtype) -> None:
    augment = Augment(padding=padding, flip=flip)
    images = pictures(30).to(dtype)
    indices = torch.arange(100, 130)
    found = augment(images, indices, seed=5, epoch=3)
    assert found.dtype == dtype
    assert found.is_contiguous()
    top, left, mirrored = augment.numbers(indices, seed=5, epoch=3)
    for i in range(30):
        expected = slow(images[i], padding, int(top[i]), int(left[i]), flip and bool(mirrored[i]))
        assert torch.equal(found[i], expected), i
    if padding or flip:
        assert not torch.equal(found, images)
    else:
        assert torch.equal(found, images)


@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=12),
    st.integers(0, 2**40),
    st.integers(0, 500),
)
@settings(max_examples=40)
def test_what_happens_to_an_image_does_not_depend_on_its_batch(
    indices: list[int], seed: int, epoch: int
) -> None:
    augment = Augment(padding=3)
    images = pictures(len(indices))
    torch.rand(3)  # the global generator has no say
    together = augment(images, torch.tensor(indices), seed=seed, epoch=epoch)
    for i, index in enumerate(indices):
        alone = augment(images[i : i + 1], torch.tensor([index]), seed=seed, epoch=epoch)
        assert torch.equal(together[i], alone[0])
    back = augment(images.flip(0), torch.tensor(indices[::-1]), seed=seed, epoch=epoch)
    assert torch.equal(together, back.flip(0))


def test_seeds_epochs_and_images_have_numbers_of_their_own() -> None:
    augment = Augment(padding=4)
    indices = torch.arange(200)

    def numbers(seed: int, epoch: int, shift: int = 0) -> Tensor:
        return torch.stack([*augment.numbers(indices + shift, seed=seed, epoch=epoch)[:2]])

    before = torch.random.get_rng_state()
    base = numbers(0, 0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(base, numbers(0, 0))
    # Of 400 offsets, 1 in 9 agrees by chance: mean 44.4, std 6.3. More than 79 have a false alarm of 5e-8 each.
    for other in (
        numbers(1, 0),
        numbers(0, 1),
        numbers(1, 1),
        numbers(0, 0, shift=200),
        numbers(0, 0, shift=1),
    ):
        assert int((base == other).sum()) < 80


def test_the_numbers_are_pinned() -> None:
    # Pinned: a change here changes every published training.
    top, left, flip = Augment(padding=4).numbers(torch.arange(6), seed=0, epoch=0)
    assert (top.tolist(), left.tolist()) == ([0, 2, 0, 8, 0, 0], [2, 7, 7, 7, 5, 4])
    assert flip.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("padding", [1, 4, 8])
def test_offsets_and_flips_are_uniform_and_independent(padding: int) -> None:
    # 300 images in each of 100 epochs: all (top, left, flip) are equally likely. Three chi-square tests at p = 1e-6 for
    # each of 3 paddings: a false alarm of 9e-6. Cells that are likelier and rarer by a tenth in turn (noncentrality
    # 30,000/100 = 300) are found with power 0.99 in the largest table (578 cells: threshold about 750, statistic
    # 878 ± 49), and an offset that never comes, in any of the three, surely.
    augment = Augment(padding=padding)
    choices = 2 * padding + 1
    large = [augment.numbers(torch.arange(300), seed=1, epoch=epoch) for epoch in range(100)]
    cells = torch.cat([(top * choices + left) * 2 + flip for top, left, flip in large])
    counts = torch.bincount(cells, minlength=2 * choices**2)
    assert len(counts) == 2 * choices**2
    assert stats.chisquare(counts.numpy()).pvalue > 1e-6
    # Neighbours in the order of the data set: the pair of their offsets is uniform too.
    tops = torch.stack([top for top, _, _ in large])
    pairs = torch.bincount((tops[:, :-1] * choices + tops[:, 1:]).flatten(), minlength=choices**2)
    assert stats.chisquare(pairs.numpy()).pvalue > 1e-6
    # The same image over epochs.
    one = torch.cat([augment.numbers(torch.tensor([7]), seed=1, epoch=epoch)[0] for epoch in range(3000)])
    assert stats.chisquare(torch.bincount(one, minlength=choices).numpy()).pvalue > 1e-6


@pytest.mark.parametrize("padding", [-1, 1.5, True, None])
def test_padding_that_is_no_number_of_pixels_is_refused(padding: int) -> None:
    with pytest.raises(SteadyNetError, match="padding must be an integer ≥ 0"):
        Augment(padding=padding)
