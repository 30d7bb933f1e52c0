"""The device that training simulates, given the one that a network is deployed on."""

from __future__ import annotations

import dataclasses

import pytest

from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored, LogNormal
from steadynet.recipes import CensoredVariation, DeviceVariation, LogNormalVariation

DEPLOYED = Device(6, 3, variation=Gaussian(0.3), scale="channel", path="device")


@pytest.mark.parametrize(("sigma_d", "found"), [(None, 0.3), (0.0, 0.0), (0.2, 0.2)])
def test_sigma_d_is_the_deployed_devices_only_where_none_is_given(
    sigma_d: float | None, found: float
) -> None:
    # 0 is a size of error of its own: quantised weights without any.
    assert DeviceVariation(sigma_d).device(DEPLOYED) == DEPLOYED.at(found)
    assert CensoredVariation(0.5, sigma_d).device(DEPLOYED).law == Censored(found, 0.5)
    assert LogNormalVariation(sigma_d).device(DEPLOYED).law == LogNormal(found)


@pytest.mark.parametrize("corrected", [False, True])
def test_a_censored_law_has_its_mean_corrected_where_that_is_asked_for(corrected: bool) -> None:
    simulated = CensoredVariation(0.5, mean_corrected=corrected).device(DEPLOYED)
    assert simulated.law == Censored(0.3, 0.5, corrected)


def test_a_law_of_whole_weights_changes_nothing_else_of_the_device() -> None:
    for variation in (CensoredVariation(), LogNormalVariation()):
        simulated = variation.device(DEPLOYED)
        assert simulated.path == "weight"
        assert dataclasses.replace(simulated, variation=DEPLOYED.variation, path="device") == DEPLOYED
