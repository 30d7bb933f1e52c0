"""Several chips a batch against a computation by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recipes.reference import chip, forward, leaves, make_batch, make_net, mean_cross_entropy
from recipes.test_gradients import DEVICE, DRAW, SEED, SIGMA, of_product
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.recipes import IRS, OVF, Chips, CrossEntropy, DeviceVariation, Recipe
from steadynet.training import fit
from steadynet.training.evaluation import StepEvaluation
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings
from steadynet.training.shares import check_chips, parts_of


@given(st.integers(1, 12), st.integers(0, 50), st.integers(0, 50))
def test_no_two_steps_share_a_draw_and_mirrored_chips_share_one_in_pairs(
    count: int, one: int, other: int
) -> None:
    chips = Chips(count)
    draws = [chips.errors(one, i) for i in range(count)]
    assert len({draw for draw, _ in draws}) == count
    assert not any(mirrored for _, mirrored in draws)
    if one != other:
        assert not set(draws) & {chips.errors(other, i) for i in range(count)}
    pairs = Chips(2 * count, mirrored=True)
    found = [pairs.errors(one, i) for i in range(2 * count)]
    assert found[::2] == [(draw, False) for draw, _ in draws]
    assert found[1::2] == [(draw, True) for draw, _ in draws]
    assert Chips().errors(one, 0) == (one, False), "one chip a batch has the batch's own draw"


def mirrored(weights: dict[str, Tensor], clean: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the chip with its errors negated: what is quantised, less the error."""
    quantised = chip(clean, 0.0, seed=0, draw=0, pass_=0)
    return {
        name: 2 * quantised[name] - weights[name] if name in quantised else weights[name] for name in weights
    }


@pytest.mark.parametrize("mirror", [False, True])
def test_each_part_of_the_batch_is_on_a_chip_of_its_own(mirror: bool) -> None:
    recipe = Recipe(DeviceVariation(chips=Chips(2, mirrored=mirror)), CrossEntropy(4.0))
    module, loss = of_product(recipe)
    clean = leaves(make_net())
    images, labels = make_batch()
    first = chip(clean, SIGMA, seed=SEED, draw=DRAW if mirror else 2 * DRAW, pass_=0)
    second = mirrored(first, clean) if mirror else chip(clean, SIGMA, seed=SEED, draw=2 * DRAW + 1, pass_=0)
    logits = torch.cat([forward(first)(images[:6])[1], forward(second)(images[6:])[1]])
    expected = mean_cross_entropy(logits / 4, labels)
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-9)
    for name, parameter in module.backbone.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, clean[name].grad, rtol=1e-6, atol=1e-9)


def test_mirrored_errors_cancel_to_first_order() -> None:
    # Of a network that is linear in its weights on one image, the mean output of a pair is that without error.
    images, labels = make_batch(4)
    images = images[:1].expand(4, -1, -1, -1).clone()
    data = as_dataset((images, labels))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3)).double()
    outputs: list[Tensor] = []

    def keep(output: Tensor, _targets: Tensor) -> Tensor:
        outputs.append(output.detach())
        return output.sum()

    recipe = Recipe(DeviceVariation(chips=Chips(2, mirrored=True)))
    module = TrainingModule(net, recipe, DEVICE, data, data, images[:1], Settings(), keep)
    StepEvaluation(recipe, module.setting, images, labels, 0)()
    (pair,) = outputs
    assert not torch.allclose(pair[0], pair[3])
    clean = TrainingModule(net, Recipe(), DEVICE.at(0.0), data, data, images[:1], Settings(), keep)
    StepEvaluation(Recipe(), clean.setting, images, labels, 0)()
    torch.testing.assert_close(pair.mean(0), outputs[1][0])


@pytest.mark.parametrize("objective", [OVF(), IRS(), OVF(memory="lean")])
@pytest.mark.parametrize("chips", [Chips(3), Chips(4, mirrored=True)])
def test_other_objectives_train_on_several_chips(objective: Any, chips: Chips) -> None:
    images, labels = make_batch(23)
    data = (images, labels)
    result = fit(
        make_net(),
        Recipe(DeviceVariation(chips=chips), objective),
        DEVICE,
        data,
        data,
        epochs=2,
        batch_size=10,
    )
    assert len(result.history) == 2
    assert all(row["loss"] > 0 for row in result.history)


def test_more_chips_than_a_batch_can_bear_are_refused() -> None:
    data = make_batch(30)
    recipe = Recipe(DeviceVariation(chips=Chips(4)))
    with pytest.raises(
        SteadyNetError, match="4 chips cannot share a batch of 7 images, two each at least: lower chips"
    ):
        fit(make_net(), recipe, DEVICE, data, data, epochs=1, batch_size=7)


@pytest.mark.parametrize(
    ("images", "parts"), [(8, [2, 2, 2, 2]), (9, [3, 2, 2, 2]), (7, [3, 2, 2]), (3, [3]), (1, [1])]
)
def test_a_small_last_batch_is_shared_by_fewer_chips(images: int, parts: list[int]) -> None:
    x = torch.arange(images)
    assert [len(part) for part in parts_of(x, Chips(4))] == parts
    assert torch.equal(torch.cat(parts_of(x, Chips(4))), x)
    assert [len(part[1]) for part in parts_of((x, x), Chips(4))] == parts
    named = parts_of({"x": x, "y": x[:, None]}, Chips(4))
    assert [len(part["y"]) for part in named] == parts
    assert torch.equal(torch.cat([part["x"] for part in named]), x)
    with pytest.raises(
        SteadyNetError, match=r"cannot be shared between chips .*got shapes .*: train with chips 1"
    ):
        parts_of((x, torch.zeros(images + 1)), Chips(4))
    with pytest.raises(
        SteadyNetError, match=r"cannot be shared between chips .*got str: .*train with chips 1"
    ):
        parts_of((x, "words"), Chips(4))


@pytest.mark.parametrize(("images", "parts"), [(8, [2, 2, 2, 2]), (7, [4, 3]), (5, [3, 2]), (3, [3])])
def test_mirrored_chips_of_a_small_last_batch_stay_in_pairs(images: int, parts: list[int]) -> None:
    assert [len(part) for part in parts_of(torch.arange(images), Chips(4, mirrored=True))] == parts


def test_each_processs_share_of_a_batch_must_bear_the_chips() -> None:
    check_chips(Chips(4), 16, 2)
    with pytest.raises(
        SteadyNetError,
        match="8 chips cannot share the share that each of 2 processes has of a batch of 16 images, two each at least",
    ):
        check_chips(Chips(8), 16, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chips(0), "chips must be an integer ≥ 1"),
        (lambda: Chips(3, mirrored=True), "mirrored chips come in pairs, got 3 chips: take 4"),
        (lambda: Chips(2, mirrored=2), "mirrored must be True or False"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_numbers_of_chips_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()
