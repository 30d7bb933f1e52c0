"""`run` computes any model with all of a chip's weights, changes nothing of it, and refuses what does not fit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadynet.chip import call_with, program, run
from steadynet.errors import SteadyNetError
from steadynet.models import build
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from zoo import ZOO, first_tensor, make

DEVICE = Device(variation=Gaussian(0.3))


def loaded(model: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """The plain twin: a copy whose own weights are those of the chip."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in tensors.items():
            twin.get_parameter(name).copy_(tensor)
    return twin


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", ZOO)
def test_it_is_the_model_with_the_chips_weights(name: str, training: bool, grad: bool) -> None:
    # Without gradients, attention in evaluation takes torch's fused path, which reads its weights elsewhere.
    model, inputs = make(name).train(training), ZOO[name].inputs()
    with torch.set_grad_enabled(grad):
        chip = program(model, DEVICE)
        found = first_tensor(run(model, chip, *inputs))
        expected = first_tensor(loaded(model, dict(chip))(*inputs))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ZOO)
def test_no_mapped_tensor_stays_clean_unnoticed(name: str, training: bool) -> None:
    model, inputs = make(name).train(training), ZOO[name].inputs()
    with torch.no_grad():
        clean = first_tensor(copy.deepcopy(model)(*inputs))
        chip = program(model, DEVICE)
        for key in chip:
            alone = first_tensor(run(copy.deepcopy(model), {key: chip[key]}, *inputs))
            assert not torch.allclose(alone, clean, rtol=1e-4, atol=1e-5), key


def test_positional_and_named_arguments_are_passed_on() -> None:
    model = make("attention")
    query, key, value = ZOO["attention"].inputs()
    chip = program(model, DEVICE)
    twin = loaded(model, dict(chip))
    _, weights = run(model, chip, query, key=key, value=value, average_attn_weights=False)
    torch.testing.assert_close(weights, twin(query, key, value, average_attn_weights=False)[1])
    assert run(model, chip, query, key, value, need_weights=False)[1] is None


def test_the_model_is_as_it_was_after_a_run_and_after_a_failed_one() -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8)).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    identities = {name: id(weight) for name, weight in model.named_parameters()}
    chip = program(model, DEVICE)
    run(model, chip, torch.ones(2, 1, 8, 8))
    with pytest.raises(RuntimeError):
        run(model, chip, torch.ones(2, 5, 8, 8))
    assert {name: id(weight) for name, weight in model.named_parameters()} == identities
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_users_hooks_fire_as_in_any_forward() -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8))
    seen: list[str] = []
    model.register_forward_hook(lambda *_: seen.append("model"))
    model.get_submodule("fc1").register_forward_pre_hook(lambda *_: seen.append("fc1"))
    run(model, program(model, DEVICE), torch.ones(2, 1, 8, 8))
    assert seen == ["fc1", "model"]


def test_batch_norm_learns_its_statistics_in_training_alone() -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8))
    chip = program(model, DEVICE)
    buffers = {key: value.clone() for key, value in model.named_buffers()}
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    run(model.eval(), chip, images)
    assert all(torch.equal(value, buffers[key]) for key, value in model.named_buffers())
    twin = loaded(model, dict(chip)).train()
    run(model.train(), chip, images)
    twin(images)
    for (key, value), (_, expected) in zip(model.named_buffers(), twin.named_buffers(), strict=True):
        torch.testing.assert_close(value, expected)
        assert not torch.equal(value, buffers[key])


def test_a_shared_layer_is_replaced_at_both_places() -> None:
    model = make("shared")
    chip = program(model, DEVICE)
    (x,) = ZOO["shared"].inputs()
    weight, bias = chip["first.weight"], model.get_parameter("first.bias")
    by_hand = torch.tanh(x @ weight.T + bias) @ weight.T + bias
    torch.testing.assert_close(run(model, chip, x), by_hand)


def test_a_replaced_buffer_takes_what_batch_norm_learns_in_its_stead() -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8)).train()
    before = {key: value.clone() for key, value in model.named_buffers()}
    stand_ins = {key: value.clone() for key, value in model.named_buffers()}
    call_with(model, stand_ins, (torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)),))
    assert all(torch.equal(value, before[key]) for key, value in model.named_buffers())
    assert not any(torch.equal(stand_ins[key], before[key]) for key in before)


@pytest.mark.parametrize("name", ZOO)
def test_every_model_has_its_own_parameters_back(name: str) -> None:
    # A layer held under two names would be given the chip's tensor for good by functional_call alone.
    model = make(name)
    before = {key: id(weight) for key, weight in model.named_parameters(remove_duplicate=False)}
    run(model, program(model, DEVICE), *ZOO[name].inputs())
    after = {key: id(weight) for key, weight in model.named_parameters(remove_duplicate=False)}
    assert after == before


@pytest.mark.parametrize("alias", ["first.weight", "second.weight"])
def test_any_name_of_a_shared_weight_replaces_it(alias: str) -> None:
    model = make("shared")
    (x,) = ZOO["shared"].inputs()
    found = run(model, {alias: torch.zeros(4, 4)}, x)
    torch.testing.assert_close(found, model.get_parameter("first.bias").expand(2, 4))


@pytest.mark.parametrize("name", ["linear", "tied", "shared", "attention"])
def test_it_compiles_as_one_graph(name: str) -> None:
    model, inputs = make(name), ZOO[name].inputs()
    with torch.no_grad():
        chip = dict(program(model, DEVICE))
        compiled = torch.compile(lambda c, *xs: run(model, c, *xs), backend="eager", fullgraph=True)
        found = first_tensor(compiled(chip, *inputs))
        torch.testing.assert_close(found, first_tensor(run(model, chip, *inputs)))


def test_chips_can_be_vectorised() -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8)).eval()
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    chips = [program(model, DEVICE, draw=draw) for draw in range(3)]
    stacked = {name: torch.stack([chip[name] for chip in chips]) for name in chips[0]}

    def logits(chip: dict[str, Tensor]) -> Tensor:
        found: Tensor = run(model, chip, images)
        return found

    found = torch.func.vmap(logits)(stacked)
    for one, chip in zip(found, chips, strict=True):
        torch.testing.assert_close(one, run(model, chip, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc1.wieght": (128, 1024)}, "CNN has no parameter 'fc1.wieght': program the chip from this model"),
        ({"features.1.running_mean": (16,)}, "CNN has no parameter 'features.1.running_mean'"),
        ({"fc2.weight": (128, 3)}, r"the chip's fc2.weight has shape \(128, 3\), the model's has \(3, 128\)"),
        ({"fc2.weight": (1, 128)}, r"has shape \(1, 128\)"),  # would broadcast without a word
    ],
)
def test_a_chip_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8))
    tensors = {**program(model, DEVICE), **{name: torch.zeros(shape) for name, shape in change.items()}}
    with pytest.raises(SteadyNetError, match=message):
        run(model, tensors, torch.ones(2, 1, 8, 8))


def test_two_tensors_for_one_tied_weight_are_refused() -> None:
    model, (x,) = make("tied"), ZOO["tied"].inputs()
    one, other = torch.zeros(7, 4), torch.ones(7, 4)
    run(model, {"embedding.weight": one, "output.weight": one}, x)
    with pytest.raises(SteadyNetError, match=r"two tensors for output\.weight, which is tied"):
        run(model, {"embedding.weight": one, "output.weight": other}, x)


def test_a_chip_of_another_model_is_refused() -> None:
    chip = program(build("vgg8", classes=3, shape=(1, 8, 8), options={"width": 0.1}), DEVICE)
    with pytest.raises(SteadyNetError, match=r"CNN has no parameter 'conv1\.weight'"):
        run(build("cnn", classes=3, shape=(1, 8, 8)), chip, torch.ones(2, 1, 8, 8))
