"""The std that a variation states for each device, and the table of each code, against slow arithmetic."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvm import slow_devices as slow
from nvm.slow_devices import ALL_PAIRS, SMALL_PAIRS
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.programming import code_std
from steadynet.nvm.slicing import slice_levels
from steadynet.nvm.variation import RULES, Gaussian, Rule, StateDependent, Variation

VARIATIONS = [Gaussian(0.2), StateDependent(0.2, 4.0), StateDependent(0.2, 4.0, rule="weight")]


def slow_std(variation: Variation, weight_bits: int, device_bits: int) -> slow.StdOf:
    if isinstance(variation, StateDependent):
        return slow.state_dependent(
            variation.sigma_d, variation.factor, variation.rule, weight_bits, device_bits
        )
    return slow.gaussian(variation.sigma_d, device_bits)


@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("weight_bits", "device_bits"), SMALL_PAIRS)
def test_every_codes_std_is_that_of_its_devices(
    variation: Variation, both: bool, weight_bits: int, device_bits: int
) -> None:
    device = Device(weight_bits, device_bits, variation, crossbars="both" if both else "one")
    std = slow_std(variation, weight_bits, device_bits)
    expected = [slow.error_std(n, weight_bits, device_bits, std, both) for n in range(2**weight_bits)]
    assert code_std(device).tolist() == pytest.approx(expected, rel=2e-7)


@given(
    st.sampled_from(ALL_PAIRS),
    st.floats(0, 2),
    st.floats(0, 10),
    st.sampled_from(RULES),
    st.data(),
)
@settings(deadline=None)
def test_a_devices_std_is_the_papers_formula(
    pair: tuple[int, int], sigma_d: float, factor: float, rule: Rule, data: st.DataObject
) -> None:
    weight_bits, device_bits = pair
    magnitudes = data.draw(st.lists(st.integers(0, 2**weight_bits - 1), min_size=1, max_size=10))
    codes = torch.tensor(magnitudes)
    targets = slice_levels(codes, weight_bits, device_bits)
    device = Device(weight_bits, device_bits)
    variation = StateDependent(sigma_d, factor, rule)
    found = variation.level_std(targets, codes, device).expand(targets.shape)
    std = slow_std(variation, weight_bits, device_bits)
    for index, magnitude in enumerate(magnitudes):
        expected = [std(level, magnitude) for level in slow.levels(magnitude, weight_bits, device_bits)]
        assert found[:, index].tolist() == pytest.approx(expected, rel=1e-6, abs=1e-30)


def test_by_hand_levels_one_and_two_of_a_two_bit_device_are_its_middle() -> None:
    # x = 0, 1/3, 2/3, 1; s = 2: σ' = 0.3/√(0.4·4 + 0.6) = 0.3/√2.2, times 3 levels.
    edge = 0.3 / math.sqrt(2.2) * 3
    levels = torch.arange(4).view(1, 4)
    found = StateDependent(0.3, 2.0).level_std(levels, torch.zeros(4), Device(2, 2))
    assert found.flatten().tolist() == pytest.approx([edge, 2 * edge, 2 * edge, edge])


def test_by_hand_the_authors_rule_looks_at_the_whole_weight() -> None:
    # |w|/max|W| = 63/255 < 0.25 < 64/255 and 191/255 < 0.75 < 192/255.
    codes = torch.tensor([0, 63, 64, 191, 192, 255])
    levels = slice_levels(codes, 8, 2)
    found = StateDependent(1.0, 6.0, rule="weight").level_std(levels, codes, Device()).expand(4, 6)
    edge = 3 / math.sqrt(0.4 * 36 + 0.6)
    for j in range(4):
        assert found[j].tolist() == pytest.approx([edge, edge, 6 * edge, 6 * edge, edge, edge])


def test_the_ends_of_the_middle_lie_outside_it() -> None:
    law = StateDependent(1.0, 3.0, low=1 / 3, high=2 / 3)
    assert len(law.level_std(torch.arange(4).view(1, 4), torch.zeros(4), Device(2, 2)).unique()) == 1
    inside = dataclasses.replace(law, low=0.3, high=0.7)
    assert len(inside.level_std(torch.arange(4).view(1, 4), torch.zeros(4), Device(2, 2)).unique()) == 2


@given(st.floats(0.01, 1), st.floats(0, 10), st.floats(0, 0.99))
@settings(deadline=None)
def test_the_mean_square_is_gaussians_where_the_share_is_as_assumed(
    sigma_d: float, factor: float, share: float
) -> None:
    law = StateDependent(sigma_d, factor, middle_share=share)
    edge, middle = law.level_std(torch.tensor([[0, 1]]), torch.zeros(2), Device(2, 2)).flatten().tolist()
    assert share * middle**2 + (1 - share) * edge**2 == pytest.approx((3 * sigma_d) ** 2, rel=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("both", [False, True])
def test_factor_one_is_gaussian(rule: Rule, both: bool) -> None:
    law = StateDependent(0.3, 1.0, rule)
    assert law.uniform
    one = code_std(Device(variation=law, crossbars="both" if both else "one"))
    other = code_std(Device(variation=Gaussian(0.3), crossbars="both" if both else "one"))
    assert one.tolist() == pytest.approx(other.tolist(), rel=1e-7)


@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_uniform_says_whether_codes_differ(variation: Variation) -> None:
    table = code_std(Device(variation=variation))
    assert variation.uniform == (len(table.unique()) == 1)


@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_another_sigma_scales_the_same_law(variation: Variation) -> None:
    other = variation.at(0.5)
    assert type(other) is type(variation)
    assert other.sigma_d == 0.5
    assert variation.sigma_d == 0.2
    assert other.at(0.2) == variation
    ratio = code_std(Device(variation=other)) / code_std(Device(variation=variation))
    assert ratio.tolist() == pytest.approx([2.5] * 256, rel=1e-6)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), "0.1", True, None])
@pytest.mark.parametrize("law", [Gaussian, StateDependent])
def test_a_bad_sigma_is_refused(law: Any, bad: Any) -> None:
    with pytest.raises(SteadyNetError, match="sigma_d must be a finite number ≥ 0, got"):
        law(bad)
    with pytest.raises(SteadyNetError, match="sigma_d must be"):
        law(0.1).at(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": -1.0}, "factor must be a finite number ≥ 0, got -1.0"),
        ({"rule": "devise"}, "unknown rule 'devise': did you mean 'device'"),
        ({"middle_share": 1.5}, "middle_share must be a finite number ≥ 0 and ≤ 1, got 1.5"),
        ({"low": 0.8}, "0 ≤ low < high ≤ 1, got 0.8 and 0.75"),
        ({"low": -0.1}, "0 ≤ low < high ≤ 1"),
        ({"high": 1.1}, "0 ≤ low < high ≤ 1"),
        ({"high": float("nan")}, "0 ≤ low < high ≤ 1"),
        ({"factor": 0.0, "middle_share": 1.0}, "leaves no error to normalise"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        StateDependent(0.1, **options)
