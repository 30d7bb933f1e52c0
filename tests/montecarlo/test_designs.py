"""Designs: what fixed blocks and cycles give, what is refused, and one session for all σ_d."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

import steadynet as sn
from montecarlo.slow_loop import images, net
from montecarlo.test_blocks import DEVICE, problem
from montecarlo.test_compute import assert_close
from steadynet.montecarlo import MonteCarloResult, block_difference, block_monte_carlo, curve, monte_carlo
from steadynet.montecarlo.block_design import BlockDesign
from steadynet.montecarlo.blocks import means
from steadynet.montecarlo.session import Session


@pytest.mark.parametrize("half_width", [None, 0.5, 0.001])
def test_blocks_and_cycles_give_the_same_numbers_whatever_width_is_asked_for(
    half_width: float | None,
) -> None:
    model, data = problem()
    plain = block_monte_carlo(model, DEVICE, data, blocks=7, cycles=3, seed=2)
    found = block_monte_carlo(model, DEVICE, data, blocks=7, cycles=3, seed=2, half_width=half_width)
    # Not even the first look, at 100 draws, is waited for.
    assert (found.blocks, found.cycles, found.draws, found.pilot) == (7, 3, 21, None)
    np.testing.assert_array_equal(found.cells, plain.cells)
    assert found.accuracy.interval == plain.accuracy.interval
    assert found.half_width == half_width
    assert found.reached == (half_width is None or found.accuracy.half_width <= half_width)
    assert found.reached == (half_width != 0.001), "the widths are on either side of what 21 chips give"


def test_the_cycles_that_a_width_needed_give_its_numbers_again() -> None:
    model, data = problem()
    chosen = block_monte_carlo(model, DEVICE, data, half_width=0.02, seed=2)
    again = block_monte_carlo(
        model, DEVICE, data, blocks=chosen.blocks, cycles=chosen.cycles, seed=2, half_width=0.02
    )
    np.testing.assert_array_equal(again.cells, chosen.cells)
    for name in ("accuracy", "nll", "brier", "ekl"):
        one, other = getattr(again, name), getattr(chosen, name)
        assert (one.mean, one.std, one.interval) == (other.mean, other.std, other.interval)
    assert again.reached


def test_uneven_blocks_differ_by_one_image_at_most_and_count_by_their_images() -> None:
    model, data = problem(100)
    found = block_monte_carlo(model, DEVICE, data, blocks=7, cycles=2)
    assert sorted(found.sizes.tolist()) == [14] * 5 + [15] * 2
    assert found.accuracy.mean == pytest.approx((found.cells[:, :, 0] * found.sizes).sum() / 200)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"half_width": 0}, "half_width must be a finite number > 0 and ≤ 0.5, got 0"),
    ({"half_width": -0.01}, r"half_width must be a finite number > 0 and ≤ 0\.5, got -0\.01"),
    ({"half_width": 0.6}, r"half_width must be a finite number > 0 and ≤ 0\.5, got 0\.6"),
    ({"half_width": "0.1"}, "half_width must be a finite number"),
    ({"blocks": 5, "cycles": 1}, "an interval needs at least 2 cycles over the blocks, got 1"),
    ({"blocks": 5, "cycles": 0}, "cycles must be a finite number > 0, got 0"),
    ({"blocks": 5, "cycles": 2.1}, r"cycles end at their quarters, got 2\.1: give 3 or 3\.25, say"),
    ({"cycles": 3}, "cycles need blocks: say how many blocks each goes over"),
    ({"cycles": 3, "half_width": 0.1}, "cycles need blocks"),
    ({"blocks": True}, "blocks must be an integer ≥ 1, got True"),
    ({"blocks": 241, "cycles": 2}, "241 blocks are more than the 240 images: ask for 240 or fewer"),
    ({"blocks": 10_001}, "max_draws 20000 allows no two cycles over 10001 blocks: raise it to 20002 or more"),
    ({"max_draws": 99}, "max_draws must be an integer ≥ 100, got 99"),
    ({"device": DEVICE.at(0.0)}, "at sigma_d 0 all chips are alike: monte_carlo runs the one there is"),
]


@pytest.mark.parametrize("pair", [False, True], ids=["one network", "two"])
@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[str(o)[:40] for o, _ in REFUSED])
def test_a_design_that_gives_no_interval_is_refused(
    options: dict[str, Any], message: str, pair: bool
) -> None:
    model, data = problem()
    device = options.get("device", DEVICE)
    rest = {name: value for name, value in options.items() if name != "device"}
    evaluate = functools.partial(block_difference, model) if pair else block_monte_carlo
    with pytest.raises(sn.SteadyNetError, match=message) as raised:
        evaluate(model, device, data, **rest)
    assert "\n" not in str(raised.value)
    assert model.training, "given back as it was"


def test_one_image_makes_no_blocks() -> None:
    model, (x, y) = problem()
    with pytest.raises(sn.SteadyNetError, match="blocks need at least 2 images, got 1"):
        block_monte_carlo(model, DEVICE, (x[:1], y[:1]))


def test_figures_of_single_chips_are_refused_by_name() -> None:
    model, data = problem()
    found = block_monte_carlo(model, DEVICE, data, blocks=5, cycles=2)
    for ask, what in (
        (lambda: found.percentile(5), "percentile 5"),
        (lambda: found.worst, "the worst chip"),
        (lambda: found.yield_at(0.9), r"the yield at 0\.9"),
    ):
        with pytest.raises(
            sn.SteadyNetError, match=rf"^{what} needs chips that each see all images: use monte_carlo"
        ):
            ask()


class Counted(Dataset[Any]):
    """Counts how often each image is read."""

    def __init__(self, data: tuple[Tensor, Tensor]) -> None:
        self.data = data
        self.reads = [0] * len(data[1])

    def __len__(self) -> int:
        return len(self.data[1])

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.reads[index] += 1
        return self.data[0][index], int(self.data[1][index])


def test_a_curve_reads_images_once_tells_each_result_and_gives_what_single_evaluations_give() -> None:
    model, counted = net(), Counted(images())
    told: list[MonteCarloResult] = []
    found = curve(
        model, DEVICE, counted, [0.0, 0.1, 0.3], draws=4, seed=5, first_draw=2, stream="validation",
        batch_size=10, on_result=told.append,
    )  # fmt: skip
    assert counted.reads == [1] * 37
    assert [result.sigma_d for result in told] == [0.0, 0.1, 0.3]
    assert tuple(told) == found.results, "the very results, from small to large"
    for one in found.results:
        alone = monte_carlo(
            model, DEVICE.at(one.sigma_d), images(), draws=4, seed=5, first_draw=2, stream="validation",
            batch_size=10,
        )  # fmt: skip
        assert_close(one, alone)
        assert (one.device, one.stream, one.first_draw, one.draws) == (
            alone.device, alone.stream, alone.first_draw, alone.draws,
        )  # fmt: skip


def test_a_caller_that_stops_amid_a_curve_has_what_was_told_and_the_model_as_it_was() -> None:
    model = net().train()
    told: list[float] = []

    def stop(result: MonteCarloResult) -> None:
        told.append(result.sigma_d)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curve(model, DEVICE, images(), [0.1, 0.2, 0.3], draws=2, on_result=stop)
    assert told == [0.1, 0.2]
    assert all(module.training for module in model.modules())


def test_one_shuffled_session_gives_at_each_sigma_d_what_a_session_of_its_own_gives() -> None:
    model, data = problem()
    counted = Counted(data)
    design = BlockDesign(blocks=8, cycles=2)
    with Session(model, DEVICE, counted, seed=3, stream="test", shuffled=True) as session:
        found = [means(session, sigma_d, design) for sigma_d in (0.3, 0.1, 0.3)]
    assert counted.reads == [1] * 240
    for one in found:
        alone = block_monte_carlo(model, DEVICE.at(one.sigma_d), data, blocks=8, cycles=2, seed=3)
        np.testing.assert_array_equal(one.cells, alone.cells)
    assert not np.array_equal(found[0].cells, found[1].cells)


def test_what_is_not_finite_is_told_with_its_chip() -> None:
    model, (x, y) = problem()
    broken = x.clone()
    broken[17] = torch.inf
    with pytest.raises(sn.SteadyNetError, match=r"draw \d+ at sigma_d 0\.15: .*NaN or infinite"):
        block_monte_carlo(model, DEVICE, (broken, y), blocks=5, cycles=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compute": sn.Compute(chunk=4)}, "chunk is for chips that each see all images"),
        ({"compute": sn.Compute(chunk="auto")}, "chunk is for chips that each see all images"),
        ({"stream": "pilot"}, "stream 'pilot' is what blocks are chosen by"),
    ],
)
def test_what_blocks_cannot_be_computed_by_is_refused(options: dict[str, Any], message: str) -> None:
    model, data = problem()
    with pytest.raises(sn.SteadyNetError, match=message):
        block_monte_carlo(model, DEVICE, data, blocks=5, cycles=2, **options)


def test_a_block_larger_than_a_batch_is_computed_in_batches() -> None:
    model, data = problem()
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found: list[Any] = []
    for batch_size in (500, 50):
        with Session(
            model, DEVICE, data, seed=1, stream="test", batch_size=batch_size, shuffled=True
        ) as session:
            found.append(session.cells(0.15, [(0, 0, 120), (1, 120, 240)]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    # Each session tries the weights on two images first.
    assert sizes == [2, 120, 120, 2, *[50, 50, 20] * 2]
