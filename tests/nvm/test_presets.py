"""The named devices err as their sources say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from steadynet.errors import SteadyNetError
from steadynet.nvm.composed import Composed
from steadynet.nvm.conductance_law import ConductanceLaw
from steadynet.nvm.device import Device
from steadynet.nvm.effects.read import Read
from steadynet.nvm.presets import PRESETS, Preset, preset
from steadynet.nvm.variation import RULES, Gaussian, Rule, StateDependent

# The source's four devices, and the factor of their middle levels.
FACTORS = {"rram1": 1.0, "fefet2": 2.0, "rram4": 4.0, "fefet6": 6.0}

# Published stds in the unit of the conductance g, written out from the sources: aihwkit's in x = g/g_max, CrossSim's in g.
PUBLISHED: dict[str, tuple[float, float, str, Callable[[float], float]]] = {
    "pcm": (0, 25, "µS", lambda g: 0.26348 + 1.9650 * (g / 25) - 1.1731 * (g / 25) ** 2),
    "pcm-joshi": (0.25, 25, "µS", lambda g: -0.00178767 * g**2 + 0.07585724 * g + 0.28638599),
    "hermes1": (
        0, 10.35, "µS",
        lambda g: 0.15781817 + 2.32443916 * (g / 10.35) - 2.16310839 * (g / 10.35) ** 2 + 0.68841818 * (g / 10.35) ** 3,
    ),
    "hermes2": (
        0, 20.7, "µS",
        lambda g: 0.16603222 + 4.71806468 * (g / 20.7) - 8.48101252 * (g / 20.7) ** 2 + 4.68961419 * (g / 20.7) ** 3,
    ),
    "reram-wan": (
        0, 40, "µS",
        lambda g: -16.815 * (g / 40) ** 4 + 45.393 * (g / 40) ** 3 - 43.853 * (g / 40) ** 2 + 16.030 * (g / 40) + 0.348,
    ),
    "reram-wan-1d": (
        0, 40, "µS",
        lambda g: -16.458 * (g / 40) ** 4 + 47.095 * (g / 40) ** 3 - 50.773 * (g / 40) ** 2 + 22.086 * (g / 40) + 0.701,
    ),
    "reram-wan-2d": (
        0, 40, "µS",
        lambda g: -11.934 * (g / 40) ** 4 + 37.062 * (g / 40) ** 3 - 43.507 * (g / 40) ** 2 + 20.274 * (g / 40) + 0.782,
    ),
    "rram-milo": (50, 225, "µS", lambda g: -0.009107 * g + 4.782321),
    "sonos": (0, 1600, "nA", lambda g: 19.88665 - 19.88665 * math.exp(-g / 176.3115)),
}  # fmt: skip


def test_every_preset_has_its_name_and_a_source() -> None:
    assert set(PRESETS) == {"gaussian", "log-normal", *FACTORS, *PUBLISHED}
    for name, entry in PRESETS.items():
        assert entry.name == name
        assert entry.technology
        assert entry.source
    for name in FACTORS:
        assert "Negative Feedback Training" in PRESETS[name].source


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_device_has_its_published_std(name: str) -> None:
    low, high, unit, std = PUBLISHED[name]
    law = PRESETS[name].law
    assert isinstance(law, ConductanceLaw)
    assert (law.g_min, law.g_max, law.unit) == (low, high, unit)
    grid = np.linspace(low, high, 2001)
    expected = np.array([std(g) for g in grid])
    assert (expected >= 0).all()
    np.testing.assert_allclose(law.std_at(grid), expected, rtol=1e-12)
    np.testing.assert_array_equal(law.mean_at(grid), grid)
    own = math.sqrt(np.trapezoid(np.square(expected / high), grid) / (high - low))
    assert law.own_sigma_d == law.sigma_d == PRESETS[name].own_sigma_d == pytest.approx(own, rel=2e-3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_levels_err_by_the_std_of_their_conductances(name: str) -> None:
    low, high, _, std = PUBLISHED[name]
    ratio = PRESETS[name].on_off_ratio
    assert ratio == (high / low if low else None)
    device = Device(4, 2, preset(name), on_off_ratio=ratio)
    levels = torch.arange(4)[None]
    found = device.law.level_std(levels, levels[0], device)[0]
    step = (high - low) / 3  # conductance between two levels
    assert found.tolist() == pytest.approx([std(low + level * step) / step for level in range(4)], rel=1e-9)
    half = device.at(device.sigma_d / 2)
    assert half.law.level_std(levels, levels[0], half)[0].tolist() == pytest.approx(
        (found / 2).tolist(), rel=1e-9
    )


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("rule", RULES)
def test_a_state_dependent_preset_is_its_law_at_a_sigma(name: str, rule: Rule) -> None:
    assert preset(name, 0.3, rule) == StateDependent(
        sigma_d=0.3, factor=FACTORS[name], rule=rule, low=0.25, high=0.75, middle_share=0.4
    )


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["rram1"] = PRESETS["rram4"]  # type: ignore[index]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SteadyNetError, match=r"unknown device preset 'fefet3': did you mean 'fefet\d' or"):
        preset("fefet3", 0.1)
    with pytest.raises(SteadyNetError, match="sigma_d must be"):
        preset("rram1", -0.1)
    with pytest.raises(SteadyNetError, match="rram4 has no error of its own size: give sigma_d"):
        preset("rram4")
    with pytest.raises(
        SteadyNetError, match=r"level 0 stands for 0 µS, which Polynomial does not know .*4\.5 at most"
    ):
        Device(variation=preset("rram-milo"))
    with pytest.raises(SteadyNetError, match=r"on_off_ratio of 4\.5 at most"):
        Device(variation=preset("rram-milo"), on_off_ratio=5)


def test_a_law_keeps_its_own_rule_unless_another_is_given() -> None:
    own = Preset("own", "", StateDependent(0.1, 4.0, "weight"), "")
    effects = Preset("own", "", StateDependent(0.1, 4.0, "weight") + Read(0.1), "")
    for made in (own, effects):
        for found, rule in (
            (made.at(), "weight"),
            (made.at(0.2, "device"), "device"),
            (made.device().variation, "weight"),
        ):
            law = found.law if isinstance(found, Composed) else found
            assert isinstance(law, StateDependent)
            assert law.rule == rule
    with pytest.raises(SteadyNetError, match="own errs by Gaussian, which has no rule: leave out rule"):
        Preset("own", "", Gaussian(0.1), "").at(0.1, "weight")
