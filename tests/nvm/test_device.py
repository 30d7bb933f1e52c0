"""A device's numbers follow from M and K, and a device that cannot be is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from nvm import slow_devices as slow
from nvm.slow_devices import ALL_PAIRS
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian, StateDependent


@pytest.mark.parametrize(("weight_bits", "device_bits"), ALL_PAIRS)
def test_its_numbers_follow_from_the_bits(weight_bits: int, device_bits: int) -> None:
    device = Device(weight_bits, device_bits)
    assert device.slices == len(slow.levels(0, weight_bits, device_bits))
    full = slow.levels(device.max_code, weight_bits, device_bits)
    assert set(full) == {device.max_level}
    for both in (False, True):
        std = slow.error_std(0, weight_bits, device_bits, slow.gaussian(1.0, device_bits), both)
        found = Device(weight_bits, device_bits, crossbars="both" if both else "one").relative_std
        assert found == pytest.approx(std / (2**weight_bits - 1), rel=1e-12)


def test_the_papers_device_has_the_papers_constant() -> None:
    assert Device().relative_std == pytest.approx(0.77763, abs=5e-6)
    assert Device().relative_std == pytest.approx(math.sqrt(4369) / 85, rel=1e-12)
    assert Device(crossbars="both").relative_std == pytest.approx(math.sqrt(2 * 4369) / 85, rel=1e-12)
    # One device that holds the whole weight errs by σ_d · max|W|; eight of one bit by SWIM's 0.580.
    assert Device(8, 8).relative_std == 1
    assert Device(8, 1).relative_std == pytest.approx(0.580, abs=5e-4)


def test_the_default_is_the_papers_device() -> None:
    device = Device()
    assert (device.weight_bits, device.device_bits, device.slices) == (8, 2, 4)
    assert device.quantize
    assert device.crossbars == "one"
    assert device.variation == Gaussian(0.0)


def test_another_sigma_changes_nothing_else() -> None:
    device = Device(
        6, 3, StateDependent(0.1, 4.0, "weight"), False, "channel", "both", 10.0, (64, 64), "device"
    )
    other = device.at(0.3)
    assert other.sigma_d == 0.3
    assert device.sigma_d == 0.1
    assert dataclasses.replace(other, variation=device.variation) == device
    with pytest.raises(SteadyNetError, match="sigma_d"):
        device.at(-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 8, "device_bits": 3}, "does not divide"),
        ({"weight_bits": 17}, "from 1 to 16, got 17"),
        ({"device_bits": 0}, "from 1 to 16, got 0"),
        ({"scale": "chanel"}, "unknown scale 'chanel': did you mean 'channel'"),
        ({"path": "weights"}, "unknown path 'weights': did you mean 'weight'"),
        ({"variation": 0.2}, "variation must be a Variation such as .*, got 0.2"),
        ({"variation": None}, "variation must be a Variation"),
        # A class looks like its instances, and would have been programmed without any error.
        ({"variation": Gaussian}, "variation must be a Variation such as .*, got <class"),
        ({"quantize": "no"}, "quantize must be True or False, got 'no'"),
        ({"crossbars": "booth"}, "unknown crossbars 'booth': did you mean 'both'"),
        ({"on_off_ratio": 1}, "on_off_ratio must be a finite number > 1, got 1"),
    ],
)
def test_a_device_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        Device(**options)


def test_a_device_is_a_value() -> None:
    assert Device(variation=Gaussian(0.1)) == Device(variation=Gaussian(0.1))
    assert hash(Device()) == hash(Device())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Device().weight_bits = 4  # type: ignore[misc]
