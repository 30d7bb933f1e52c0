"""The device that training simulates, given the one that a network is deployed on."""

from __future__ import annotations

import dataclasses
import warnings

import pytest

from steadynet.nvm.device import Device
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.read import Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored, LogNormal
from steadynet.recipes import CensoredVariation, DeviceVariation, LogNormalVariation, OtherVariation, Recipe
from steadynet.training.checks import warn_of_effects

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


def test_a_law_of_whole_weights_keeps_the_effects_that_can_befall_these_and_the_others_are_told() -> None:
    common, read, stuck = Common(chip=0.1), Read(sigma=0.05), Stuck(hrs=0.05)
    device = dataclasses.replace(DEPLOYED, variation=Gaussian(0.3) + common + stuck + read, path="weight")
    for variation in (CensoredVariation(), LogNormalVariation()):
        assert variation.device(device).effects == (common, read)
        recipe = Recipe(variation, name="mine")
        with pytest.warns(
            UserWarning, match=r"recipe 'mine' trains on a law of its own, which cannot hold Stuck\("
        ) as told:
            warn_of_effects(recipe, device)
        assert len(told) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_effects(recipe, dataclasses.replace(device, variation=Gaussian(0.3) + common + read))
            warn_of_effects(recipe, DEPLOYED)
    # A law that is written out brings its own.
    assert OtherVariation(Gaussian(0.1)).device(device).effects == ()
    assert OtherVariation(Gaussian(0.1) + stuck).device(device).effects == (stuck,)
