"""Weights that parametrisations compute lie on devices as others do, and train and are handed over."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from steadynet.batches import arguments
from steadynet.chip import program, run
from steadynet.compute import Compute
from steadynet.deploy import levels_of, simulated_chip, weight_curvature, with_weights
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.montecarlo import monte_carlo
from steadynet.montecarlo.evaluator import Draws, build
from steadynet.montecarlo.session import Session
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import recipe
from steadynet.training import fit

DEVICE = Device(variation=Gaussian(0.2), path="device")


class Symmetric(nn.Module):
    """A user's own parametrisation."""

    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).transpose(-1, -2)


def make(kind: str) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        middle: Any = nn.Linear(6, 6)
        if kind == "weight norm":
            middle = parametrizations.weight_norm(middle)
        elif kind == "spectral norm":
            middle = parametrizations.spectral_norm(middle)
        elif kind == "orthogonal":
            middle = parametrizations.orthogonal(middle)
        elif kind == "own":
            parametrize.register_parametrization(middle, "weight", Symmetric())
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), middle, nn.ReLU(), nn.Linear(6, 3))


def baked(kind: str, model: nn.Module) -> Any:
    """A plain twin: not a copy, which would share the class that `remove_parametrizations` changes."""
    twin: Any = make(kind).train(model.training)
    twin.load_state_dict(model.state_dict())
    parametrize.remove_parametrizations(twin[2], "weight")
    return twin


KINDS = ("weight norm", "spectral norm", "orthogonal", "own")
every = pytest.mark.parametrize("kind", KINDS)
INPUTS = torch.linspace(-1, 1, 20).view(5, 4)
NAMES = ("0.weight", "4.weight", "2.weight")


@every
def test_it_lies_on_devices_under_its_plain_name(kind: str) -> None:
    model = make(kind)
    before = copy.deepcopy(model.state_dict())
    found = layout(model, DEVICE)
    assert found.names == NAMES
    assert {t.reason for t in found.digital if "parametrizations" in t.name} == {
        "what a parametrised weight is made of"
    }
    assert layout(model, Device(exclude=("2.weight",))).names == ("0.weight", "4.weight")
    # Looking at it makes no step of what spectral norm learns.
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


@every
def test_the_network_computes_with_the_programmed_weight(kind: str) -> None:
    model = make(kind).eval()
    chip = program(model, DEVICE)
    twin = baked(kind, model)
    with torch.no_grad():
        for name in NAMES:
            twin.get_parameter(name).copy_(chip[name])
        torch.testing.assert_close(run(model, chip, INPUTS), twin(INPUTS))
        clean = model(INPUTS)
        only = run(model, {"2.weight": chip["2.weight"]}, INPUTS)
        assert not torch.allclose(only, clean, atol=1e-4)
        torch.testing.assert_close(model(INPUTS), clean, msg="it is itself again")
        with parametrize.cached():
            kept: Any = model[2].weight
            run(model, chip, INPUTS)
            assert model[2].weight is kept, "a user's own cache is left as it was"
    with pytest.raises(
        SteadyNetError, match=r"the chip's 2.weight has shape \(3,\), the model's has \(6, 6\)"
    ):
        run(model, {"2.weight": torch.zeros(3)}, INPUTS)


def test_it_is_replaced_within_a_failing_call_and_given_back() -> None:
    model = make("own")
    clean = model(INPUTS)
    with pytest.raises(RuntimeError):
        run(model, program(model, DEVICE), torch.zeros(5, 3))
    assert torch.equal(model(INPUTS), clean)


@every
def test_what_only_looks_makes_no_step(kind: str) -> None:
    model = make(kind).train()
    before = copy.deepcopy(model.state_dict())
    chip = program(copy.deepcopy(model), DEVICE)
    levels_of(model, DEVICE)
    simulated_chip(model, DEVICE)
    weight_curvature(model, DEVICE, (INPUTS, torch.arange(5) % 3))
    with torch.no_grad():
        run(model, {"2.weight": chip["2.weight"]}, INPUTS)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


@every
def test_other_processes_give_the_very_figures(kind: str) -> None:
    data = INPUTS, torch.arange(5) % 3
    model = make(kind).train()
    before = copy.deepcopy(model.state_dict())
    with Session(model, DEVICE, data, seed=0, stream="test") as session:
        alone = list(session.draws(0.2, range(6)))
        # What workers do: they get it pickled.
        sent = pickle.loads(pickle.dumps(session._work.detached()))  # pyright: ignore[reportPrivateUsage]
        there = build(sent)(Draws(0.2, tuple(range(6))))
    for one, other in zip(alone, there, strict=True):
        assert one.sums.nll == pytest.approx(other.sums.nll, rel=1e-6)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@every
def test_gradients_reach_what_it_is_made_of(kind: str) -> None:
    model = make(kind).eval()
    chip = program(model, DEVICE.ideal)
    run(model, chip, INPUTS).square().sum().backward()
    twin = copy.deepcopy(model)
    twin.zero_grad()
    twin(INPUTS).square().sum().backward()
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        if "parametrizations" in name:
            assert one.grad is not None
            assert other.grad is not None
            # The gradient is taken at the quantised weights, half a code step away from the clean ones.
            torch.testing.assert_close(
                one.grad, other.grad, rtol=0.1, atol=0.02 * float(other.grad.abs().max())
            )


@every
def test_many_chips_at_once_are_chips_one_by_one(kind: str) -> None:
    data = INPUTS, torch.arange(5) % 3
    one, many = (
        monte_carlo(make(kind), DEVICE, data, draws=6, compute=Compute(chunk=chunk, precision="32"))
        for chunk in (1, 3)
    )
    assert one.nll.values == pytest.approx(many.nll.values, rel=1e-5)
    assert one.nll.std > 0


@pytest.mark.parametrize(("kind", "method"), [*((kind, "noise") for kind in KINDS), ("own", "ovf")])
def test_it_trains_and_is_handed_over(kind: str, method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(90, 4, generator=generator)
    data = x, (x[:, 0] > 0).long()
    model = make(kind)
    keys = list(model.state_dict())
    fit(
        model,
        recipe(method),
        Device(variation=Gaussian(0.05)),
        data,
        data,
        epochs=20,
        batch_size=15,
        lr=2e-2,
        progress=False,
    )
    assert list(model.state_dict()) == keys
    assert monte_carlo(model, Device(variation=Gaussian(0.05)), data, draws=5).accuracy.mean > 0.7, (
        "by chance 0.5"
    )
    levels = levels_of(model, DEVICE)
    chip = program(model, DEVICE, draw=2)
    measured = simulated_chip(model, DEVICE, draw=2).weights(levels)
    for name in NAMES:
        torch.testing.assert_close(measured[name], chip[name].detach(), rtol=1e-4, atol=1e-5)
    args, _ = arguments(INPUTS)
    with torch.no_grad():
        torch.testing.assert_close(
            with_weights(model, measured).eval()(*args), run(model.eval(), measured, *args)
        )


def test_curvature_is_that_of_the_weight_on_devices() -> None:
    model = make("own").eval()
    twin = baked("own", model)
    data = INPUTS, torch.arange(5) % 3
    one, other = (weight_curvature(net, DEVICE, data) for net in (model, twin))
    torch.testing.assert_close(one["2.weight"], other["2.weight"])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("steady", "2.weight is computed by a parametrisation, which Peak cannot keep in shape"),
        (
            "sam",
            "2.weight is computed by a parametrisation, whose parts a step such as SAM or AWP would move apart",
        ),
    ],
)
def test_what_cannot_hold_it_says_so(method: str, message: str) -> None:
    data = INPUTS, torch.arange(5) % 3
    with pytest.raises(SteadyNetError, match=message):
        fit(make("own"), recipe(method), DEVICE, data, data, epochs=1, batch_size=5, progress=False)


def test_a_learning_rate_of_the_recipes_own_leaves_weights_in_shape() -> None:
    data = INPUTS, torch.arange(5) % 3
    result = fit(make("own"), recipe("noise", pace=2.0), DEVICE, data, data, epochs=1, batch_size=5)
    assert len(result.history) == 1


def test_a_parametrised_recurrent_layer_is_refused() -> None:
    layer = parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    with pytest.raises(SteadyNetError, match="is parametrised, and computes with copies"):
        layout(layer, DEVICE)
