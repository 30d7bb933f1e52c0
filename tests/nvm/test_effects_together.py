"""Several effects on one device: those of one kind err apart, and both paths have one law."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from nvm.test_effects import conductances, programmed, source
from steadynet.nvm.composed import Effect, numbered
from steadynet.nvm.device import Device
from steadynet.nvm.effects.bounded import Bounded
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.read import PCMRead, Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.variation import Gaussian


@pytest.mark.parametrize("by_device", [False, True])
@pytest.mark.parametrize(
    ("effects", "std"),
    [
        ((Read(0.03), Read(0.04)), 0.05),
        ((Read(0.03), Bounded(), Read(0.04)), 0.05),
        ((Common(chip=0.03), Common(chip=0.04)), 0.05),
    ],
    ids=["read", "read apart", "common"],
)
def test_two_effects_of_a_kind_err_apart(effects: tuple[Effect, ...], std: float, by_device: bool) -> None:
    # Errors in quadrature; together as one they would add up, to 0.07. 2,000 draws: 4 standard errors are 0.0032.
    path: Any = "device" if by_device or any(isinstance(e, Bounded) for e in effects) else "weight"
    law = Gaussian(0.0)
    for effect in effects:
        law = law + effect  # type: ignore[assignment]
    device = Device(weight_bits=4, device_bits=4, variation=law, path=path)
    weight = torch.tensor([8 / 15, 1.0])
    found = torch.stack([programmed(weight, device, draw=draw) for draw in range(2000)])[:, 0] - 8 / 15
    size = 8 / 15 if isinstance(effects[0], Common) else 1.0
    assert float(found.std()) == pytest.approx(std * size, abs=4 * std * size / math.sqrt(2 * 2000))


def test_devices_that_two_causes_hold_fast_are_drawn_apart() -> None:
    # Of 40,000 devices: 5 % in LRS, but for the 5 % of them that the second cause takes to HRS.
    x = conductances(0.5, 40_000)
    device = Device(variation=Gaussian(0.0) + Stuck(lrs=0.05) + Stuck(hrs=0.05), weight_bits=2, device_bits=2)
    for among, effect in numbered(device.effects):
        x = effect.on_devices(x, x, device, source(among=among))
    spread = 4 * math.sqrt(0.05 * 0.95 / 40_000)
    assert float((x == 1).double().mean()) == pytest.approx(0.05 * 0.95, abs=spread)
    assert float((x == 0).double().mean()) == pytest.approx(0.05, abs=spread)


def test_reading_noise_of_two_classes_is_drawn_apart() -> None:
    assert [number for number, _ in numbered((PCMRead(), Stuck(lrs=0.1), Read(0.1), PCMRead()))] == [
        0,
        0,
        1,
        2,
    ]


def test_an_offset_follows_the_sign_of_what_devices_hold() -> None:
    # Not that of the weight, which rounds to code 0: both paths have one law where weights are not quantised too.
    weight = torch.linspace(-1, 1, 2001)
    stds = {}
    for path in ("weight", "device"):
        device = Device(
            weight_bits=4,
            device_bits=4,
            variation=Gaussian(0.0) + Common(chip=0.1, kind="offset"),
            quantize=False,
            path=path,
        )  # type: ignore[arg-type]
        held = torch.stack([programmed(weight, device, draw=draw) for draw in range(20)]) - weight
        stds[path] = held
    torch.testing.assert_close(stds["weight"].sign(), stds["device"].sign())


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_pcm_read_noise_has_grown_since_programming(seconds: float) -> None:
    # The logarithm is about 20: a factor of 2 within it moves the std by 2 %, less than a sample's std tells.
    grown = math.sqrt(math.log((seconds + 20 + 250e-9) / 500e-9))
    assert float(PCMRead(seconds).std(torch.tensor([1.0]))) == pytest.approx(0.0088 * grown, rel=1e-6)
