"""A split has the exact size, is even over the classes, and is decided by its seed and its purpose alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steadynet.data import split
from steadynet.errors import SteadyNetError

labels_and_count = st.lists(st.integers(0, 6), min_size=2, max_size=80).flatmap(
    lambda labels: st.tuples(st.just(labels), st.integers(1, len(labels) - 1))
)


@given(labels_and_count, st.integers(0, 2**40))
def test_both_sides_are_sorted_disjoint_and_of_exact_size(drawn: tuple[list[int], int], seed: int) -> None:
    labels, count = drawn
    chosen, rest = (side.tolist() for side in split(torch.tensor(labels), count, seed=seed, what="x"))
    assert len(chosen) == count
    assert sorted(chosen + rest) == list(range(len(labels)))
    assert chosen == sorted(chosen)
    assert rest == sorted(rest)


@given(labels_and_count, st.integers(0, 100))
def test_each_class_gives_its_share_rounded_by_a_common_divisor(
    drawn: tuple[list[int], int], seed: int
) -> None:
    labels, count = drawn
    chosen, _ = split(torch.tensor(labels), count, seed=seed, what="x")
    taken = Counter(labels[i] for i in chosen.tolist())
    sizes = Counter(labels)
    # Sainte-Laguë, seat by seat: each goes to a class with the largest size/(2·seats + 1). Ties may fall either way,
    # so it is the multiset of the quotients that were used that must be the largest ones.
    quotients = sorted(
        (size / (2 * seat + 1) for size in sizes.values() for seat in range(size)), reverse=True
    )
    used = sorted((sizes[c] / (2 * seat + 1) for c in taken for seat in range(taken[c])), reverse=True)
    assert used == pytest.approx(quotients[:count])


@given(st.integers(1, 8), st.integers(1, 12), st.data())
def test_classes_of_equal_size_give_equally_many_up_to_one(
    classes: int, each: int, data: st.DataObject
) -> None:
    total = classes * each
    if total < 2:
        return
    count = data.draw(st.integers(1, total - 1))
    order = data.draw(st.permutations(list(range(total))))
    labels = torch.tensor([i % classes for i in order])
    chosen, _ = split(labels, count, seed=0, what="x")
    taken = torch.bincount(labels[chosen], minlength=classes)
    assert int(taken.max() - taken.min()) <= 1


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(max_examples=50)
def test_it_is_the_same_at_every_call_and_differs_by_seed_and_purpose(one: int, other: int) -> None:
    labels = torch.arange(400) % 4

    def chosen(seed: int, what: str) -> list[int]:
        return split(labels, 100, seed=seed, what=what)[0].tolist()

    before = torch.random.get_rng_state()
    assert chosen(one, "a") == chosen(one, "a")
    # Two of (100 choose 25)^4 choices are alike by chance with probability below 1e-90.
    assert (chosen(one, "a") == chosen(other, "a")) == (one == other)
    assert chosen(one, "a") != chosen(one, "b")
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_image_is_chosen_as_often_as_any_other() -> None:
    # 40 images of 4 classes, half of them chosen under 2000 seeds: each image is chosen in Binomial(2000, 1/2) of them,
    # std 22.4. A bound of 5.5 std over 40 images gives a false alarm of 2e-6; an image that is chosen 8 points too
    # often (160 times, 7.2 std) is found with power 0.95.
    labels = torch.arange(40) % 4
    counts = torch.zeros(40)
    for seed in range(2000):
        counts[split(labels, 20, seed=seed, what="x")[0]] += 1
    assert float((counts - 1000).abs().max()) < 5.5 * 22.4


@pytest.mark.parametrize("count", [0, -1, 10, 11])
def test_a_side_without_images_is_refused(count: int) -> None:
    with pytest.raises(SteadyNetError, match=f"my split: cannot take {count} of 10 images.*ask for 1 to 9"):
        split(torch.zeros(10, dtype=torch.int64), count, seed=0, what="my split")


def test_the_digits_split_is_pinned() -> None:
    # Pinned: a change here changes which images are called test images, and so every published number.
    labels = torch.arange(20) % 2
    assert split(labels, 6, seed=0, what="digits test split")[0].tolist() == [0, 5, 11, 14, 18, 19]
