"""Several chips at once give the loop's figures, and how many is decided by the clock, the memory and the network's layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steadynet as sn
import zoo
from montecarlo.nets import DEVICE, grouped, pictures, recurrent
from montecarlo.slow_loop import images, net
from montecarlo.test_blocks import problem
from montecarlo.test_compute import assert_close
from steadynet.compute import Compute
from steadynet.mapping import layout
from steadynet.montecarlo import chunks, curve, monte_carlo
from steadynet.montecarlo.forward import Forward
from steadynet.programmer import Programmer

# Transformer layers are computed chip by chip within vmap, and torch says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*batching rule.*:UserWarning")


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many chips each forward had."""
    found: list[int] = []
    many, one = Forward.many, Forward.one

    def note_many(self: Forward, chips: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        found.append(len(next(iter(chips.values()))))
        return many(self, chips, inputs)

    def note_one(self: Forward, chips: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        found.append(1 if chips else 0)
        return one(self, chips, inputs)

    monkeypatch.setattr(Forward, "many", note_many)
    monkeypatch.setattr(Forward, "one", note_one)
    return found


@pytest.mark.parametrize("path", ["weight", "device"])
@pytest.mark.parametrize("grouped_net", [True, False])
def test_a_chunk_gives_what_the_loop_gives(grouped_net: bool, path: Any, sizes: list[int]) -> None:
    model, data = (grouped(), pictures()) if grouped_net else (net(), images())
    device = sn.Device(variation=sn.Gaussian(0.2), path=path)
    expected = monte_carlo(model, device, data, draws=7, first_draw=2, seed=3)
    sizes.clear()
    found = monte_carlo(model, device, data, draws=7, first_draw=2, seed=3, compute=Compute(chunk=3))
    assert sizes == [0, 1, 3, 3, 1], "clean, quantised, and the draws"
    assert_close(found, expected, rel=1e-9)
    np.testing.assert_array_equal(found.accuracy.values, expected.accuracy.values)
    in_batches = monte_carlo(
        model, device, data, draws=7, first_draw=2, seed=3, batch_size=10, compute=Compute(chunk=3)
    )
    assert_close(in_batches, expected, rel=1e-9)


class Head(nn.Module):
    """A layer of the zoo, and logits after it."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        self.layer = zoo.make(name)
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(zoo.first_tensor(self.layer(x)).flatten(1))
        return logits


LAYERS = ("conv1d", "conv2d", "conv3d", "transposed 2d", "embedding", "transformer layer", "tied")


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_many_kinds_are_computed_for_several_chips(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        (x,) = zoo.ZOO[name].inputs()
        width = zoo.first_tensor(zoo.make(name)(x))[0].numel()
        model = Head(name, width).double()
    x = x if not x.is_floating_point() else x.double() * 3
    data = (x, torch.arange(len(x)) % 4)
    found = monte_carlo(model, DEVICE, data, draws=4, compute=Compute(chunk=2))
    assert_close(found, monte_carlo(model, DEVICE, data, draws=4), rel=1e-9)


def test_auto_gives_what_the_loop_gives_whatever_the_clock_says() -> None:
    model, data = grouped(), pictures()
    found = monte_carlo(model, DEVICE, data, draws=20, compute=Compute(chunk="auto"))
    assert_close(found, monte_carlo(model, DEVICE, data, draws=20), rel=1e-9)


def clock(monkeypatch: pytest.MonkeyPatch, seconds: Mapping[int, float]) -> list[int]:
    """Let a chip among so many take the seconds told; return the numbers that are tried."""
    tried: list[int] = []

    def stub(_forward: Any, _programmer: Any, _inputs: Any, draws: Sequence[int], _stream: Any) -> float:
        tried.append(len(draws))
        return seconds[len(draws)]

    monkeypatch.setattr(chunks, "_seconds", stub)
    return tried


@pytest.mark.parametrize(
    ("seconds", "chosen", "tried"),
    [
        ({1: 1.0, 4: 0.5, 16: 0.4}, 16, [1, 4, 16]),
        ({1: 1.0, 4: 0.5, 16: 0.6}, 4, [1, 4, 16]),
        ({1: 1.0, 4: 1.0}, 1, [1, 4]),
        ({1: 1.0, 4: 2.0}, 1, [1, 4]),
    ],
)
def test_auto_takes_what_is_faster(
    seconds: Mapping[int, float], chosen: int, tried: list[int], sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    found = clock(monkeypatch, seconds)
    model, data = net(), images()
    expected = monte_carlo(model, DEVICE, data, draws=35)
    sizes.clear()
    result = monte_carlo(model, DEVICE, data, draws=35, compute=Compute(chunk="auto"))
    assert found == tried
    # 35 draws come in jobs of 16.
    parts = {16: [16, 16, 3], 4: [4] * 8 + [3], 1: [1] * 35}
    assert sizes == [0, 1, *parts[chosen]], "the reference without error, one chip, decides nothing"
    assert_close(result, expected, rel=1e-9)


def test_auto_is_decided_once_for_all_sigma_d(monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> None:
    tried = clock(monkeypatch, {1: 1.0, 4: 0.5})
    curve(net(), DEVICE, images(), [0.0, 0.1, 0.2], draws=5, compute=Compute(chunk="auto"))
    assert tried == [1, 4]
    assert sizes == [0, 1, 1, 4, 1, 4, 1]


def test_too_few_draws_to_try_run_by_the_loop(monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> None:
    tried = clock(monkeypatch, {})
    monte_carlo(net(), DEVICE, images(), draws=3, compute=Compute(chunk="auto"))
    assert (tried, sizes) == ([], [0, 1, 1, 1, 1])


def test_a_network_without_batching_rules_runs_by_the_loop(sizes: list[int]) -> None:
    model, data = recurrent()
    expected = monte_carlo(model, DEVICE, data, draws=5)
    sizes.clear()
    assert_close(monte_carlo(model, DEVICE, data, draws=5, compute=Compute(chunk="auto")), expected)
    # Clean, quantised, the loop twice and a failed chunk by the clock, then the draws.
    assert sizes == [0, 1, 1, 1, 4, *[1] * 5]


def test_bfloat16_for_several_chips_is_that_of_the_loop() -> None:
    model, data = problem(100)
    expected = monte_carlo(model, DEVICE, data, draws=5, compute=Compute(precision="bf16"))
    found = monte_carlo(model, DEVICE, data, draws=5, compute=Compute(precision="bf16", chunk=2))
    # Sums in another order may round a logit to its neighbour in bfloat16.
    assert_close(found, expected, rel=2e-2)
    exact = monte_carlo(model, DEVICE, data, draws=5, compute=Compute(chunk=2))
    assert not np.array_equal(found.nll.values, exact.nll.values)


def test_convolutions_in_bfloat16_on_the_cpu_run_by_the_loop_or_are_refused(sizes: list[int]) -> None:
    # Within vmap, torch's autocast of the CPU does not reach convolutions.
    model, data = grouped(dtype=torch.float32), pictures(dtype=torch.float32)
    half = functools.partial(Compute, device="cpu", precision="bf16")
    with pytest.raises(
        sn.SteadyNetError, match=r"cannot be run for several chips at once .*: set chunk to 1"
    ):
        monte_carlo(model, DEVICE, data, draws=4, compute=half(chunk=2))
    expected = monte_carlo(model, DEVICE, data, draws=4, compute=half())
    sizes.clear()
    assert_close(monte_carlo(model, DEVICE, data, draws=4, compute=half(chunk="auto")), expected)
    assert sizes[-4:] == [1] * 4


@pytest.mark.parametrize(("free", "chosen"), [(1.0, 1), (7.9, 1), (8.1, 4), (31.9, 4), (32.1, 16)])
def test_no_more_chips_than_half_the_free_memory_holds(
    free: float, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(monkeypatch, {1: 3.0, 4: 2.0, 16: 1.0})
    model, (x, _) = net(), images(10)
    forward = Forward(model, Compute())
    programmer = Programmer(model, DEVICE, layout(model, DEVICE))
    # The convolution's input and output take most: 1 · 6 · 6 and 3 · 4 · 4 numbers of 8 bytes for each image; then the
    # norm, ReLU and dropout take 2 · 48.
    assert forward.footprint(x) == 10 * 96 * 8
    assert programmer.bytes == 8 * (3 * 9 + 48 * 4)
    each = 2 * forward.footprint(x) + programmer.bytes
    monkeypatch.setattr(chunks, "free_memory", lambda device: free * each)
    assert chunks.faster_chunk(forward, programmer, x, range(16), "test") == chosen


def test_the_clock_times_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, _) = net(), images(10)
    forward = Forward(model, Compute())
    programmer = Programmer(model, DEVICE, layout(model, DEVICE))
    ticks = iter([0.0, 8.0, 10.0, 14.0])
    monkeypatch.setattr(chunks.time, "perf_counter", lambda: next(ticks))
    with torch.no_grad():
        assert chunks._seconds(forward, programmer, x, range(4), "test") == 1.0, (
            "the better of 8 s and 4 s, for 4"
        )
