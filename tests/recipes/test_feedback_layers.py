"""OVF's feedback layers: which weights err more in the feedback forwards, and that the default is what it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recipes.reference import ON_DEVICES, Net, make_batch, make_net
from steadynet.chip import call_with, program
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.mapping import layout, matching
from steadynet.models import build
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import OVF, NoVariation, Recipe
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

SIGMA, SEED, DRAW = 0.2, 3, 4
DEVICE = Device(variation=Gaussian(SIGMA))


def step_of(
    net: nn.Module, recipe: Recipe, device: Device = DEVICE, dtype: torch.dtype = torch.float64
) -> StepForwards:
    images, labels = make_batch()
    images = images.to(dtype)
    data = as_dataset((images, labels))
    module = TrainingModule(net, recipe, device, data, data, images[:2], Settings(seed=SEED))
    return StepForwards(module.setting, images, labels, DRAW)


def seen_weights(recipe: Recipe, device: Device = DEVICE) -> tuple[Net, list[dict[str, Tensor]]]:
    """Return the net, and the weights on devices that each forward of one step sees."""
    net = make_net()
    seen: list[dict[str, Tensor]] = []

    def look(*_: Any) -> None:
        weights = {name: net.get_submodule(name.partition(".")[0]).weight for name in ON_DEVICES}
        seen.append({name: weight.detach().clone() for name, weight in weights.items()})  # type: ignore[union-attr]

    net.fc.register_forward_pre_hook(look)
    recipe.objective.loss(step_of(net, recipe, device))
    return net, seen


def expected_weights(net: Net, device: Device, pass_: int) -> dict[str, Tensor]:
    chip = program(net, device, seed=SEED, draw=DRAW, stream="train", pass_=pass_, noise_device=None)
    return {name: tensor.detach() for name, tensor in chip.items()}


@pytest.mark.parametrize("memory", ["fast", "lean"])
@pytest.mark.parametrize(
    ("patterns", "raised"),
    [
        (("conv1.weight", "fc.weight"), {"conv1.weight", "fc.weight"}),
        (("conv*",), {"conv1.weight", "conv2.weight"}),
        (("fc.weight", "fc*"), {"fc.weight"}),
        (("*",), set(ON_DEVICES)),
        ((), set(ON_DEVICES)),
    ],
)
def test_only_the_named_layers_are_raised_and_each_forward_has_its_draw(
    patterns: tuple[str, ...], raised: set[str], memory: Any
) -> None:
    net, seen = seen_weights(Recipe(objective=OVF(feedback_layers=patterns, memory=memory)))
    assert len(seen) == 4
    for n, weights in enumerate(seen):
        low = expected_weights(net, DEVICE, n)
        high = expected_weights(net, DEVICE.at(SIGMA + 0.05 * n), n)
        for name, weight in weights.items():
            wanted = high if name in raised else low
            assert torch.equal(weight, wanted[name]), (n, name)
    for name in ON_DEVICES:
        assert len({float(weights[name].sum()) for weights in seen}) == 4, name


@pytest.mark.parametrize("variation", [NoVariation(), None])
def test_layers_that_are_not_raised_are_as_the_step_has_them(variation: Any) -> None:
    # Training without variation has clean, unquantised weights: they stay so where nothing is raised.
    parts = {} if variation is None else {"variation": variation}
    net, seen = seen_weights(Recipe(objective=OVF(n=1, feedback_layers=("fc.weight",)), **parts))
    first, fed_back = seen
    clean = variation is not None
    assert torch.equal(first["conv1.weight"], net.conv1.weight) == clean
    assert torch.equal(fed_back["conv1.weight"], net.conv1.weight) == clean
    sigma = 0.05 if clean else SIGMA + 0.05
    assert torch.equal(fed_back["fc.weight"], expected_weights(net, DEVICE.at(sigma), 1)["fc.weight"])


@pytest.mark.parametrize("batchnorm", ["all", "backbone"])
def test_by_default_every_forward_is_a_chip_programmed_as_a_whole(batchnorm: Any) -> None:
    """Bit by bit: loss, gradients and statistics of the default are those of whole chips, in single precision."""
    objective = OVF(beta=0.5, batchnorm=batchnorm)
    net, plain = make_net().float(), make_net().float()
    step = step_of(net, Recipe(objective=objective), dtype=torch.float32)
    loss = objective.loss(step)
    loss.backward()

    images, labels = make_batch()
    images = images.float()
    outputs: list[Tensor] = []
    for n in range(4):
        tensors: dict[str, Tensor] = {}
        if n and batchnorm == "backbone":
            tensors = {name: buffer.clone() for name, buffer in plain.named_buffers()}
        device = DEVICE.at(SIGMA + n * 0.05) if n else DEVICE
        tensors.update(
            program(plain, device, seed=SEED, draw=DRAW, stream="train", pass_=n, noise_device=None)
        )
        outputs.append(call_with(plain, tensors, (images,)))
    total = 1 / 4 * outputs[0]
    for gamma, output in zip((10.0**-2, 10.0**-1, 10.0**0), outputs[1:], strict=True):
        total = total - 1 / 4 * 0.5 * gamma * output
    expected = nn.functional.cross_entropy(total, labels)
    expected.backward()

    assert torch.equal(loss, expected)
    for (name, one), other in zip(net.named_parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad), name
    for (name, one), other in zip(net.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other), name


def test_lean_and_fast_agree_where_some_layers_are_raised() -> None:
    found: list[list[Tensor]] = []
    for memory in ("fast", "lean"):
        net = make_net()
        objective = OVF(beta=0.5, feedback_layers=("conv2.weight",), memory=memory)  # type: ignore[arg-type]
        loss = objective.loss(step_of(net, Recipe(objective=objective)))
        loss.backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        assert len(gradients) == len(list(net.parameters()))
        found.append([loss.detach(), *gradients, *net.buffers()])
    for fast, lean in zip(*found, strict=True):
        torch.testing.assert_close(lean, fast, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("device", "pattern", "message"),
    [
        (DEVICE, "conv1.wieght", r"unknown feedback layer 'conv1.wieght': did you mean 'conv1.weight'"),
        (DEVICE, "bn1.weight", r"unknown feedback layer 'bn1.weight'.*known: conv1.weight, conv2.weight, fc.weight"),
        (DEVICE, "layer4.*", r"unknown feedback layer 'layer4.\*'.*known: conv1.weight, conv2.weight, fc.weight"),
        (
            dataclasses.replace(DEVICE, exclude=("fc.weight",)),
            "fc.weight",
            "unknown feedback layer 'fc.weight'.*known: conv1.weight, conv2.weight",
        ),
    ],
)  # fmt: skip
def test_a_pattern_that_raises_nothing_is_refused_before_training(
    device: Device, pattern: str, message: str
) -> None:
    recipe = Recipe(objective=OVF(feedback_layers=("conv1.weight", pattern)))
    with pytest.raises(SteadyNetError, match=message):
        step_of(make_net(), recipe, device)


def test_setup_by_itself_asks_the_rule_and_what_a_device_includes_can_be_raised() -> None:
    objective, (images, _) = OVF(feedback_layers=("bn1.weight",)), make_batch()
    with pytest.raises(SteadyNetError, match=r"unknown feedback layer 'bn1.weight'"):
        objective.setup(make_net(), images, 0)
    OVF(feedback_layers=("fc.weight",)).setup(make_net(), images, 0)
    step_of(make_net(), Recipe(objective=objective), dataclasses.replace(DEVICE, include=("bn1.weight",)))


def test_a_forward_refuses_to_raise_what_is_not_there_or_to_nowhere() -> None:
    step = step_of(make_net(), Recipe())
    with pytest.raises(SteadyNetError, match="raised layers need a sigma_d"):
        step.backbone(raised=("fc.weight",))
    with pytest.raises(SteadyNetError, match=r"unknown raised layer 'fd.weight': did you mean 'fc.weight'"):
        step.backbone(sigma_d=0.3, raised=("fd.weight",))


def test_the_authors_resnet_18_is_the_stem_and_the_last_layer() -> None:
    net = build("resnet18", classes=3, shape=(3, 16, 16), options={"width": 0.0625})
    names = ("conv.weight", "fc.weight")
    OVF(feedback_layers=names).setup(net, torch.zeros(2, 3, 16, 16), 0)
    found = layout(net)
    assert matching(found, names, "layer") == {found.names[0], found.names[-1]}


def test_a_tied_weight_is_found_by_any_of_its_names() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert matching(layout(net), ["1.weight"], "layer") == {"0.weight"}
    assert matching(layout(net), [], "layer") == set()
