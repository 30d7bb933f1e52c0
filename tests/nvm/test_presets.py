"""The named devices have the factors that their source gives them."""

from __future__ import annotations

import pytest

from steadynet.errors import SteadyNetError
from steadynet.nvm.presets import PRESETS, preset
from steadynet.nvm.variation import RULES, Rule, StateDependent

# The source's four devices, and the factor of their middle levels.
FACTORS = {"rram1": 1.0, "fefet2": 2.0, "rram4": 4.0, "fefet6": 6.0}


def test_the_table_is_the_sources() -> None:
    assert {name: entry.factor for name, entry in PRESETS.items()} == FACTORS
    for name, entry in PRESETS.items():
        assert entry.name == name
        assert entry.technology.lower().startswith(name.rstrip("0123456789"))
        assert "Negative Feedback Training" in entry.source


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("rule", RULES)
def test_a_preset_is_its_law_at_a_sigma(name: str, rule: Rule) -> None:
    assert preset(name, 0.3, rule) == StateDependent(
        sigma_d=0.3, factor=FACTORS[name], rule=rule, low=0.25, high=0.75, middle_share=0.4
    )


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["rram1"] = PRESETS["rram4"]  # type: ignore[index]


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SteadyNetError, match=r"unknown device preset 'fefet3': did you mean 'fefet\d' or"):
        preset("fefet3", 0.1)
    with pytest.raises(SteadyNetError, match="sigma_d must be"):
        preset("rram1", -0.1)
