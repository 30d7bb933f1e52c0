"""Initial weights are a function of the seed alone, and have the stated laws."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

from steadynet.models import MODELS, build
from steadynet.models.init import initialize, scaled


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides_the_weights_and_nothing_else_does(name: str) -> None:
    def make(seed: int) -> nn.Module:
        return build(name, classes=3, shape=(1, 8, 8), options={"width": 0.1}, seed=seed)

    first = make(4)
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    assert same(make(4), first)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator is left alone"
    other = make(5)
    for (key, one), two in zip(first.named_parameters(), other.parameters(), strict=True):
        random = key.endswith("weight") and one.dim() > 1
        assert torch.equal(one, two) != random, key


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_have_the_stated_std(name: str) -> None:
    # A false alarm of 1e-7 per tensor, 4e-6 in all. Of the smallest tensor (216 weights) a std wrong by 50 %,
    # of one of 10,000 by 7 %, is found with power above 0.999.
    model = build(name, classes=10, shape=(3, 16, 16), options={"width": 0.5}, seed=1)
    for key, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            std = math.sqrt(2 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels))
        elif isinstance(module, nn.Linear):
            std = math.sqrt(1 / module.in_features)
            assert not module.bias.any()
        else:
            if isinstance(module, nn.BatchNorm2d):
                assert bool((module.weight == 1).all())
                assert not module.bias.any()
            continue
        n = module.weight.numel()
        total = float(module.weight.detach().double().square().sum()) / std**2
        assert stats.chi2.ppf(5e-8, n) < total < stats.chi2.isf(5e-8, n), (key, math.sqrt(total / n))
        assert abs(float(module.weight.detach().mean())) < stats.norm.isf(5e-8) * std / math.sqrt(n), key


def test_groups_divide_the_fan_out() -> None:
    # 36,864 weights: relative std of their std 0.0037; the bound of 2 % is 5.4 of them (false alarm 7e-8),
    # and an undivided fan-out (a std half as large) is found surely.
    layer = nn.Conv2d(256, 64, 3, groups=4)
    initialize(layer, 0)
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / (9 * 64 / 4)), rel=0.02)


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(64, 1, 64), (64, 0.25, 16), (64, 0.3, 19), (3, 0.01, 1)]
)
def test_channels_are_scaled_and_rounded(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected
