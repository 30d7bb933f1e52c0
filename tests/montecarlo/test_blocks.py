"""Blocks of images, each on chips of its own: what is computed, when it stops, and what it cannot tell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from steadynet.chip import program, run
from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError
from steadynet.montecarlo import block_monte_carlo, monte_carlo
from steadynet.montecarlo.pilot import FIRST_LOOK, Pilot, from_table
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.randomness import stable_seed

DEVICE = Device(variation=Gaussian(0.15))


def problem(images: int = 240) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """Return a net with dropout and BatchNorm, and data that it classifies well without noise."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 12, generator=generator)
    labels = torch.randint(0, 3, (images,), generator=generator)
    inputs = centres[labels] + 0.7 * torch.randn(images, 12, generator=generator)
    last = nn.Linear(12, 3)
    with torch.no_grad():
        last.weight.copy_(centres)
        last.bias.copy_(-0.5 * centres.square().sum(1))
    net = nn.Sequential(nn.BatchNorm1d(12, affine=False), nn.Dropout(0.5), last)
    return net, (inputs, labels)


def test_each_block_is_seen_by_the_chip_of_its_own_draw() -> None:
    net, (inputs, labels) = problem()
    found = block_monte_carlo(net, DEVICE, (inputs, labels), blocks=7, cycles=15, seed=3)
    assert found.blocks == 7
    assert found.draws == 7 * 15
    order = torch.randperm(240, generator=torch.Generator().manual_seed(stable_seed("blocks", 240)))
    assert sorted(order.tolist()) == list(range(240))
    net.eval()
    accuracy, nll, kept = [], [], 0.0
    with torch.no_grad():
        for cycle in range(15):
            right = loss = 0.0
            for b, part in enumerate(torch.tensor_split(order, 7)):
                chip = program(net, DEVICE, seed=3, draw=cycle * 7 + b, stream="test")
                logits = run(net, chip, inputs[part]).double()
                each = F.cross_entropy(logits, labels[part], reduction="none")
                correct = logits.argmax(1) == labels[part]
                right += float(correct.sum())
                loss += float(each.sum())
                kept += float(each[correct].sum())
            accuracy.append(right / 240)
            nll.append(loss / 240)
    assert found.accuracy.values == pytest.approx(accuracy)
    assert found.accuracy.mean == pytest.approx(np.mean(accuracy))
    assert found.nll.mean == pytest.approx(np.mean(nll), rel=1e-5)
    assert found.ekl.mean == pytest.approx(kept / (240 * sum(accuracy)), rel=1e-5)


def test_it_agrees_with_all_images_on_all_chips() -> None:
    net, data = problem()
    full = monte_carlo(net, DEVICE, data, draws=2000, seed=1)
    found = block_monte_carlo(net, DEVICE, data, half_width=0.005, seed=2)
    assert found.reached
    # Independent estimates, each within 1.96 std with 95 %: 4 std of the difference give a false alarm of 6e-5.
    for name in ("accuracy", "nll", "brier", "ekl"):
        one, other = getattr(full, name), getattr(found, name)
        assert abs(one.mean - other.mean) <= 4 / 1.96 * math.hypot(one.half_width, other.half_width), name


def test_it_stops_at_the_width_asked_for_or_says_that_it_did_not_get_there() -> None:
    net, data = problem()
    wide, narrow = (block_monte_carlo(net, DEVICE, data, half_width=h, blocks=20) for h in (0.05, 0.005))
    assert wide.reached
    assert narrow.reached
    assert narrow.accuracy.half_width <= 0.005
    assert narrow.draws > wide.draws >= FIRST_LOOK
    assert list(narrow.accuracy.values[: int(wide.cycles)]) == pytest.approx(list(wide.accuracy.values)), (
        "the same chips, and more"
    )
    stopped = block_monte_carlo(net, DEVICE, data, half_width=0.001, blocks=20, max_draws=150)
    assert not stopped.reached
    assert stopped.draws == 150
    assert "allow more draws" in stopped.summary()
    assert "20 blocks × 7.5 cycles = 150 chips" in stopped.summary()


def test_the_kind_of_data_set_and_the_models_mode_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (60, 1, 4, 4), generator=generator).to(torch.uint8)
    images = ImageSet(pixels, torch.arange(60) % 3, 3, (0.5,), (0.5,))
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 3))
    tensors = images.batch(torch.arange(60), augment_key=None)
    results = []
    for data, training in ((images, True), (tensors, False)):
        net.train(training)
        results.append(block_monte_carlo(net, DEVICE, data, half_width=0.2, blocks=6))
        assert all(module.training == training for module in net.modules())
    assert list(results[0].accuracy.values) == list(results[1].accuracy.values)


def test_what_needs_single_chips_is_refused() -> None:
    net, data = problem()
    found = block_monte_carlo(net, DEVICE, data, half_width=0.1)
    for ask in (lambda: found.percentile(5), lambda: found.yield_at(0.9)):
        with pytest.raises(SteadyNetError, match=r"needs chips that each see all images: use monte_carlo"):
            ask()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"half_width": 0}, "half_width must be a finite number > 0"),
        ({"half_width": math.nan}, "half_width must be a finite number"),
        ({"blocks": 0}, "blocks must be an integer ≥ 1"),
        ({"blocks": 241}, "241 blocks are more than the 240 images"),
        (
            {"blocks": 60, "max_draws": 100},
            "max_draws 100 allows no two cycles over 60 blocks: raise it to 120",
        ),
        ({"max_draws": 99}, "max_draws must be an integer ≥ 100"),
        ({"device": DEVICE.at(0.0)}, "at sigma_d 0 all chips are alike"),
    ],
)
def test_bad_input_is_refused(options: dict[str, Any], message: str) -> None:
    net, data = problem()
    device = options.pop("device", DEVICE)
    with pytest.raises(SteadyNetError, match=message):
        block_monte_carlo(net, device, data, **options)


def test_the_pilots_choice_is_the_cheapest_for_the_width() -> None:
    pilot = Pilot(draw_variance=0.02**2, residual_variance=0.07, program_seconds=0.01, image_seconds=0.0003)
    images, half_width = 10_000, 0.002

    def cost(blocks: int) -> float:
        size = images / blocks
        draws = (pilot.draw_variance + pilot.residual_variance / size) * (1.96 / half_width) ** 2
        return draws * (pilot.program_seconds + size * pilot.image_seconds)

    chosen = pilot.blocks(images, half_width)
    assert cost(chosen) <= 1.001 * min(cost(blocks) for blocks in range(50, 1000))
    # A wide interval needs few draws: then the first look decides, which 50 blocks reach in two passes.
    assert pilot.blocks(images, 0.05) == 50
    assert pilot.blocks(30, half_width) == 30
    still = Pilot(draw_variance=0.0, residual_variance=0.0, program_seconds=0.01, image_seconds=0.0003)
    assert still.blocks(images, half_width) == 50


def test_the_pilot_finds_the_variance_components() -> None:
    # Chips of std 0.05 around 0.8, images all alike: what is left is p(1 − p) less the chips' variance.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        chips = rng.normal(0.8, 0.05, (20, 1))
        found.append(from_table((rng.random((20, 200)) < chips).astype(float), 1.0, 3.0))
    # 200 pilots: the mean of draw_variance has a std of about 0.0025 · sqrt(2/19) · 1.3 / sqrt(200) = 7.5e-5; 5 std give a
    # false alarm of 6e-7. A forgotten subtraction adds 0.158/200 = 7.9e-4, which is found surely.
    assert np.mean([pilot.draw_variance for pilot in found]) == pytest.approx(0.0025, abs=5 * 7.5e-5)
    # The residual has 3781 degrees of freedom a pilot: its mean is exact to a percent.
    assert np.mean([pilot.residual_variance for pilot in found]) == pytest.approx(0.16 - 0.0025, rel=0.01)
    assert (found[0].program_seconds, found[0].image_seconds) == (1.0, 3.0 / 200)


def test_the_pilot_looks_at_chips_that_no_figure_uses() -> None:
    net, data = problem()
    result = block_monte_carlo(net, DEVICE, data, half_width=0.1, seed=5)
    assert result.pilot is not None
    assert result.blocks == result.pilot.blocks(240, 0.1)
    given = block_monte_carlo(net, DEVICE, data, half_width=0.1, seed=5, blocks=result.blocks)
    assert given.pilot is None
    assert list(given.accuracy.values) == list(result.accuracy.values)
