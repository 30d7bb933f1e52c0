"""A `Programmer` gives the chips of `program` bit for bit, in memory that is used again from chip to chip."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

import steadynet as sn
import zoo
from steadynet.chip import program
from steadynet.mapping import layout
from steadynet.programmer import Programmer
from steadynet.randomness import STREAMS

GAUSSIAN = sn.Device(variation=sn.Gaussian(sigma_d=0.2))
MIDDLE = sn.Device(variation=sn.StateDependent(sigma_d=0.2, factor=3.0))
DEVICES = {
    "gaussian": GAUSSIAN,
    "state-dependent": MIDDLE,
    "state-dependent by weight": dataclasses.replace(
        GAUSSIAN, variation=sn.StateDependent(sigma_d=0.1, factor=2.0, rule="weight")
    ),
    "device by device": dataclasses.replace(GAUSSIAN, path="device"),
    "device by device, state-dependent": dataclasses.replace(MIDDLE, path="device", crossbars="both"),
    "not quantised": dataclasses.replace(GAUSSIAN, quantize=False),
    "not quantised, state-dependent": dataclasses.replace(MIDDLE, quantize=False),
    "by channel": dataclasses.replace(GAUSSIAN, scale="channel", weight_bits=4),
    "by channel, state-dependent": dataclasses.replace(MIDDLE, scale="channel"),
    "without error": GAUSSIAN.at(0.0),
    "not quantised, without error": dataclasses.replace(GAUSSIAN.at(0.0), quantize=False),
}
MODELS = ("conv2d", "linear", "lstm", "attention", "norms", "tied", "shared")


def of(model: nn.Module, device: sn.Device, seed: int = 0, dtype: torch.dtype | None = None) -> Programmer:
    return Programmer(model, device, layout(model, device), seed=seed, dtype=dtype)


def assert_same(found: dict[str, Tensor], expected: sn.Chip) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_each_chip_is_that_of_program(device: sn.Device, name: str) -> None:
    model = zoo.make(name)
    programmer = of(model, device, seed=4)
    for draw in (0, 3, 0):
        assert_same(programmer.program(draw, "test"), program(model, device, seed=4, draw=draw))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device", [GAUSSIAN, MIDDLE, DEVICES["device by device"]])
def test_models_of_other_precisions_too(device: sn.Device, dtype: torch.dtype) -> None:
    model = zoo.make("norms").to(dtype)
    assert_same(of(model, device).program(2, "test"), program(model, device, draw=2))


@pytest.mark.parametrize("weights", [2**18 - 1, 2**18, 2**18 + 5, 2**19 + 16])
@pytest.mark.parametrize("device", [GAUSSIAN, MIDDLE])
def test_large_weights_are_programmed_in_the_same_blocks(device: sn.Device, weights: int) -> None:
    model = nn.Linear(weights, 1)
    assert_same(of(model, device).program(1, "test"), program(model, device, draw=1))


def test_streams_and_seeds_have_chips_of_their_own() -> None:
    model = zoo.make("linear")
    chips = []
    for seed in (0, 1):
        programmer = of(model, GAUSSIAN, seed)
        for stream in STREAMS:
            found = programmer.program(0, stream)
            assert_same(found, program(model, GAUSSIAN, seed=seed, draw=0, stream=stream))
            chips.append(found["weight"].clone())
    assert len({tuple(chip.flatten().tolist()) for chip in chips}) == 8


def test_what_is_excluded_by_name_stays_off_the_devices() -> None:
    model = zoo.make("transformer layer")
    device = dataclasses.replace(GAUSSIAN, exclude=("linear1.*",))
    found = of(model, device).program(0, "test")
    assert "linear1.weight" not in found
    assert "linear2.weight" in found
    assert_same(found, program(model, device))


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_several_chips_are_stacked_in_the_order_asked_for(device: sn.Device) -> None:
    model = zoo.make("norms")
    draws = [5, 0, 7]
    found = of(model, device, seed=1).program_many(draws, "pilot")
    for place, draw in enumerate(draws):
        expected = program(model, device, seed=1, draw=draw, stream="pilot")
        assert_same({name: stacked[place] for name, stacked in found.items()}, expected)
    assert all(len(stacked) == 3 for stacked in found.values())


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_a_chip_in_bfloat16_is_the_chip_cast_once(device: sn.Device) -> None:
    model = zoo.make("norms")
    programmer = of(model, device, dtype=torch.bfloat16)
    expected = program(model, device, draw=3)
    for found in (
        programmer.program(3, "test"),
        {n: t[1] for n, t in programmer.program_many([0, 3], "test").items()},
    ):
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor.bfloat16()), name


def test_memory_is_used_again_for_as_many_chips_or_fewer_and_grows_for_more() -> None:
    model = zoo.make("norms")
    programmer = of(model, GAUSSIAN)

    def place(draws: list[int]) -> int:
        found = programmer.program_many(draws, "test")
        for at, draw in enumerate(draws):
            assert_same({name: t[at] for name, t in found.items()}, program(model, GAUSSIAN, draw=draw))
        return found["0.weight"].data_ptr()

    three = place([0, 1, 2])
    assert place([3, 4, 5]) == three
    assert place([6]) == three
    assert programmer.program(7, "test")["0.weight"].data_ptr() == three
    place([0, 1, 2, 3, 4])
    larger = programmer.program(1, "test")["0.weight"].data_ptr()
    assert place([5, 6, 7, 8, 9]) == larger


def test_the_next_chip_overwrites_the_last_one() -> None:
    model = zoo.make("linear")
    programmer = of(model, GAUSSIAN)
    first = programmer.program(0, "test")["weight"]
    programmer.program(1, "test")
    assert torch.equal(first, program(model, GAUSSIAN, draw=1)["weight"])


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_weights_are_read_once_and_left_alone(device: sn.Device) -> None:
    model = zoo.make("norms")
    expected = program(model, device, draw=2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    programmer = of(model, device)
    programmer.program(2, "test")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3).add_(1)
    assert_same(programmer.program(2, "test"), expected)


def test_a_chips_size_is_told_in_bytes() -> None:
    model = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2))
    assert of(model, GAUSSIAN).bytes == 4 * (15 + 6)
    assert of(model, GAUSSIAN, dtype=torch.bfloat16).bytes == 2 * (15 + 6)
    assert of(model.double(), GAUSSIAN).bytes == 8 * (15 + 6)


def test_chips_need_no_gradient_and_leave_the_global_generator_alone() -> None:
    model = zoo.make("linear")
    state = torch.random.get_rng_state()
    found = of(model, GAUSSIAN).program(0, "test")
    assert not any(tensor.requires_grad for tensor in found.values())
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(sn.SteadyNetError, match="draw must be an integer ≥ 0, got -1"):
        of(model, GAUSSIAN).program(-1, "test")
