"""A chip is a frozen, replayable programming of a model's weights, whose gradients reach the clean weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadynet.chip import Chip, Draw, program, run
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.nvm.device import PATHS, Device
from steadynet.nvm.quantize import fake_quantize
from steadynet.nvm.variation import Gaussian, StateDependent
from zoo import ZOO, double, first_tensor, make

DEVICE = Device(variation=Gaussian(0.2))


def net() -> nn.Module:
    """Layers of equal shapes, so that only their names tell them apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))


def errors(model: nn.Module, **options: Any) -> dict[str, Tensor]:
    chip = program(model, DEVICE, **options)
    parameters = dict(model.named_parameters())
    return {name: (chip[name] - fake_quantize(parameters[name], 8)).detach() for name in chip}


def same(one: Chip, other: Chip) -> bool:
    assert list(one) == list(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_chip_holds_the_mapped_tensors() -> None:
    model = net()
    chip = program(model, DEVICE, seed=3, draw=5, stream="train", pass_=2)
    assert list(chip) == ["0.weight", "2.weight", "4.weight"]
    assert len(chip) == 3
    assert chip.draw == Draw(3, "train", 5, 2)
    assert chip.layout == layout(model, DEVICE)
    assert (
        repr(chip) == "Chip(3 tensors, Draw(seed=3, stream='train', draw=5, pass_=2, mirrored=False, read=0))"
    )


def test_a_chip_tells_whether_it_is_mirrored_and_which_reading_it_is() -> None:
    assert program(net(), DEVICE, draw=3, mirrored=True, read=2).draw == Draw(0, "test", 3, 0, True, 2)


def test_memory_of_another_precision_is_not_used_again() -> None:
    model, buffers = net(), dict[str, Tensor]()
    program(model, DEVICE, buffers=buffers)
    chip = program(model.double(), DEVICE, buffers=buffers)
    assert {tensor.dtype for tensor in chip.values()} == {torch.float64}
    assert same(chip, program(model, DEVICE))


@pytest.mark.parametrize("path", PATHS)
def test_a_draw_replays_whatever_was_drawn_between(path: Any) -> None:
    model = net()
    device = Device(variation=StateDependent(0.2, 4.0), path=path)
    first = program(model, device, seed=1, draw=7)
    program(model, device, seed=1, draw=8)
    torch.manual_seed(99)
    assert same(program(model, device, seed=1, draw=7), first)
    assert same(program(copy.deepcopy(model), device, seed=1, draw=7), first)


def test_every_part_of_a_draw_makes_other_errors() -> None:
    model = net()
    base = errors(model, seed=0, draw=0, stream="test", pass_=0)
    others: list[dict[str, Any]] = [{"seed": 1}, {"draw": 1}, {"pass_": 1}, {"prefix": "heads."}]
    others += [{"stream": stream} for stream in ("train", "validation", "pilot")]
    found = [base, *(errors(model, **other) for other in others)]
    for name in base:
        for i, one in enumerate(found):
            for other in found[:i]:
                assert not torch.equal(one[name], other[name])


def test_layers_of_one_shape_err_differently() -> None:
    found = errors(net())
    one, other = (e / e.std() for e in (found["0.weight"], found["2.weight"]))
    assert not torch.allclose(one, other, atol=0.1)


def test_a_tensors_errors_depend_on_no_other_tensor() -> None:
    model = net()
    whole = program(model, DEVICE)
    alone = program(model, DEVICE, layout=layout(model, exclude=["[02].*"]))
    assert list(alone) == ["4.weight"]
    assert torch.equal(alone["4.weight"], whole["4.weight"])
    longer = nn.Sequential(*model.children(), nn.Linear(3, 9))
    assert all(torch.equal(program(longer, DEVICE)[name], whole[name]) for name in whole)


def test_prefix_names_the_place_that_errors_are_drawn_for() -> None:
    inner = net()
    outer = nn.ModuleDict({"body": inner})
    chip = program(outer, DEVICE)
    moved = program(inner, DEVICE, prefix="body.")
    assert [f"body.{name}" for name in moved] == list(chip)
    assert all(torch.equal(moved[name], chip[f"body.{name}"]) for name in moved)


def test_where_the_errors_are_drawn_is_a_choice() -> None:
    model = net()
    assert same(program(model, DEVICE, noise_device=None), program(model, DEVICE, noise_device="cpu"))
    assert same(program(model, DEVICE, noise_device=torch.device("cpu")), program(model, DEVICE))


def test_a_chip_cannot_be_changed() -> None:
    model = net()
    chip: Any = program(model, DEVICE)
    with pytest.raises(TypeError):
        chip["0.weight"] = torch.zeros(6, 6)
    with pytest.raises(TypeError):
        del chip["0.weight"]
    with pytest.raises(AttributeError):
        chip.draw = Draw(1, "test", 1)
    with pytest.raises(AttributeError):
        chip.note = "mine"
    tensors = {name: chip[name] for name in chip}
    other = Chip(tensors, chip.draw, chip.layout)
    tensors.clear()
    assert len(other) == 3


def test_names_and_shapes_are_checked_when_a_chip_is_made() -> None:
    chip = program(net(), DEVICE)
    tensors = dict(chip)
    with pytest.raises(SteadyNetError, match=r"missing \['0.weight'\], foreign \['0.wieght'\]"):
        Chip({"0.wieght" if n == "0.weight" else n: t for n, t in tensors.items()}, chip.draw, chip.layout)
    with pytest.raises(
        SteadyNetError, match=r"the chip's 4.weight has shape \(6, 3\), the model's has \(3, 6\)"
    ):
        Chip({**tensors, "4.weight": tensors["4.weight"].T}, chip.draw, chip.layout)


def test_a_layout_of_another_model_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="the layout names 'weight', which Sequential does not have"):
        program(net(), DEVICE, layout=layout(nn.Linear(2, 2)))
    wider = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    with pytest.raises(SteadyNetError, match=r"0.weight has shape \(6, 6\), the model's has \(6, 8\)"):
        program(net(), DEVICE, layout=layout(wider))


@pytest.mark.parametrize("options", [{"seed": -1}, {"draw": -1}, {"pass_": 0.5}, {"stream": "tset"}])
def test_a_draw_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SteadyNetError, match=r"must be an integer ≥ 0|did you mean 'test'"):
        program(net(), DEVICE, **options)


def test_a_transform_acts_before_programming_and_is_differentiated() -> None:
    model = net()
    seen: list[str] = []

    def transform(name: str, weight: Tensor) -> Tensor:
        seen.append(name)
        return torch.tanh(weight) * 2

    chip = program(model, DEVICE, transform=transform)
    assert seen == list(chip)
    baked = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in baked.named_parameters():
            if name in chip:
                weight.copy_(torch.tanh(weight) * 2)
    assert same(chip, program(baked, DEVICE))
    chip["0.weight"].sum().backward()
    weight = model.get_parameter("0.weight")
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * (1 - torch.tanh(weight.detach()) ** 2))
    with pytest.raises(SteadyNetError, match=r"shape \(36,\), the model's has \(6, 6\)"):
        program(model, DEVICE, transform=lambda name, weight: weight.flatten())


def with_weights(model: nn.Module, chip: Chip) -> nn.Module:
    """The plain twin: a copy of the model whose own weights are the chip's."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in twin.named_parameters():
            if name in chip:
                weight.copy_(chip[name])
    return twin


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("path", PATHS)
def test_gradients_at_the_noisy_weights_reach_the_clean_ones(name: str, path: Any) -> None:
    model = make(name).double()
    model.train()
    chip = program(model, Device(variation=StateDependent(0.3, 4.0), path=path), draw=4)
    twin = with_weights(model, chip)
    inputs = double(ZOO[name].inputs())
    for output in (run(model, chip, *inputs), twin(*inputs)):
        first_tensor(output).square().sum().backward()
    expected = {key: weight.grad for key, weight in twin.named_parameters()}
    for key, weight in model.named_parameters():
        reference = expected[key]
        assert (weight.grad is None) == (reference is None)
        if weight.grad is not None and reference is not None:
            torch.testing.assert_close(weight.grad, reference, rtol=1e-12, atol=1e-12)
    for key in chip:
        assert model.get_parameter(key).grad is not None


def test_nothing_is_tracked_without_gradients() -> None:
    with torch.no_grad():
        assert not any(tensor.requires_grad for tensor in program(net(), DEVICE).values())
    frozen = net().requires_grad_(False)
    assert not any(tensor.requires_grad for tensor in program(frozen, DEVICE).values())


def test_programming_leaves_the_model_as_it_was() -> None:
    model = net()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    identities = [id(weight) for weight in model.parameters()]
    state = torch.random.get_rng_state()
    program(model, DEVICE, stream="train")
    assert type(model) is nn.Sequential
    assert [id(weight) for weight in model.parameters()] == identities
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


def test_tied_weights_share_one_programming() -> None:
    model = make("tied")
    chip = program(model, DEVICE)
    assert sorted(chip) == ["embedding.weight", "hidden.weight"]
    (x,) = ZOO["tied"].inputs()
    table, hidden = chip["embedding.weight"], chip["hidden.weight"]
    bias = model.get_parameter("hidden.bias")
    by_hand = torch.tanh(table[x] @ hidden.T + bias) @ table.T
    torch.testing.assert_close(run(model, chip, x), by_hand)
