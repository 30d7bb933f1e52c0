"""A model whose forward would go on with clean weights is refused in one line, whatever it does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steadynet as sn
from steadynet.deploy import layer_sensitivity
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import recipe
from steadynet.replaceable import check_replaceable
from steadynet.training import fit
from zoo import ZOO, make

DEVICE = Device(variation=Gaussian(0.1))
DATA = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3


class Bypass(nn.Module):
    """Holds a second way to its first weight, which no replacement reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)
        self.kept = [self.first.weight]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.second(nn.functional.linear(x, self.kept[0], self.first.bias).relu())
        return logits


class Checked(nn.Module):
    """Takes nothing but its own parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if type(self.layer.weight) is not nn.Parameter:
            raise TypeError("weight must be\na Parameter")
        logits: Tensor = self.layer(x)
        return logits


class Spare(nn.Module):
    """Has a layer that no forward uses."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.spare = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        return logits


def ways(model: nn.Module) -> dict[str, Any]:
    return {
        "fit": lambda: fit(model, recipe("noise"), DEVICE, DATA, DATA, epochs=1),
        "monte_carlo": lambda: sn.monte_carlo(model, DEVICE, DATA, draws=1),
        "blocks": lambda: sn.block_monte_carlo(model, DEVICE, DATA, blocks=4),
        "layers": lambda: layer_sensitivity(model, DEVICE, DATA, draws=2),
    }


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("way", ways(nn.Module()))
def test_a_weight_that_is_read_from_elsewhere_is_refused(way: str, frozen: bool) -> None:
    model = Bypass()
    if frozen and way == "fit":
        model.first.weight.requires_grad_(False)
    elif frozen:
        model.requires_grad_(False)
    told = r"Bypass reads first\.weight from elsewhere than its layer, so it would stay clean on every chip"
    with pytest.raises(SteadyNetError, match=told):
        ways(model)[way]()
    assert model.first.weight.requires_grad is not frozen
    excluded = Device(variation=Gaussian(0.1), exclude=("first.weight",))
    assert sn.monte_carlo(model, excluded, DATA, draws=2).accuracy.values.size == 2


@pytest.mark.parametrize("way", ways(nn.Module()))
def test_a_forward_that_fails_with_replaced_weights_is_told_in_one_line(way: str) -> None:
    with pytest.raises(
        SteadyNetError, match=r"Checked runs by itself, but not with its weights replaced"
    ) as told:
        ways(Checked())[way]()
    assert "TypeError: weight must be a Parameter" in str(told.value)
    assert "\n" not in str(told.value)


class Clamped(nn.Module):
    """Clamps its weight in place at each forward, as max-norm layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight.clamp_(-0.5, 0.5)
        logits: Tensor = self.layer(x)
        return logits


def test_a_forward_that_has_no_gradients_but_runs_is_evaluated() -> None:
    assert sn.monte_carlo(Clamped(), DEVICE, DATA, draws=2).accuracy.values.size == 2


class Counting(nn.Module):
    """Counts its calls, in one buffer in place and in another anew."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.calls: Tensor
        self.again: Tensor
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("again", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.again = self.again + 1
        logits: Tensor = self.layer(x)
        return logits


def test_what_a_forward_counts_is_left_as_it_was() -> None:
    model = Counting()
    check_replaceable(model, layout(model), DATA[0])
    assert (model.calls.item(), model.again.item()) == (0, 0)


def test_a_layer_that_no_forward_uses_is_no_reason_to_refuse() -> None:
    assert sn.monte_carlo(Spare(), DEVICE, DATA, draws=2).accuracy.values.size == 2


@pytest.mark.parametrize("name", ZOO)
def test_nothing_of_the_zoo_is_refused_or_changed(name: str) -> None:
    model, inputs = make(name), ZOO[name].inputs()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.requires_grad_(name != "linear")
    random = torch.get_rng_state()
    check_replaceable(model.train(), layout(model), inputs)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert {parameter.requires_grad for parameter in model.parameters()} == {name != "linear"}
    assert all(parameter.grad is None for parameter in model.parameters())
