"""OVF's lean form: the gradients, statistics and generators of the fast one, though no forward's tensors are kept."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steadynet as sn
from recipes.reference import Net, make_batch, make_net
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.recipes import OVF, NoVariation, Recipe
from steadynet.recipes.objective.taps import Tap
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

DEVICE = sn.Device(variation=sn.Gaussian(0.2))
CLASSES = 3


class Augmented(nn.Module):
    """Noise, a flip and a scale in front of a net, each from another global generator, and dropout behind it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.dropout = nn.Dropout(0.4)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.2 * torch.randn_like(x)
        x = x.flip(3) if random.random() < 0.5 else x
        logits: Tensor = self.net(x * float(np.random.uniform(0.5, 2.0)))  # noqa: NPY002
        return self.dropout(F.dropout(logits, 0.1, self.training))


class Observed(nn.Module):
    """What it computes depends on a buffer that each forward moves."""

    peak: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("peak", torch.ones((), dtype=torch.float64))
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(2 * 8 * 8, CLASSES).double()

    def forward(self, x: Tensor) -> Tensor:
        self.peak.mul_(1.5)
        logits: Tensor = self.linear(torch.tanh(self.flatten(x) * self.peak))
        return logits


def built(name: str) -> nn.Module:
    shape = (2, 32, 32) if name == "vgg8" else (2, 16, 16)
    return sn.models.build(name, classes=CLASSES, shape=shape, options={"width": 0.0625}).double()


NETS: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "vgg8": lambda: (Augmented(built("vgg8")), 32),
    "resnet18": lambda: (Augmented(built("resnet18")), 16),
    "observed": lambda: (Observed(), 8),
}


@pytest.fixture(autouse=True)
def leave_the_global_generators_alone() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002


def forwards_of(net: nn.Module, recipe: Recipe, images: Tensor, labels: Tensor) -> StepForwards:
    data = as_dataset((images, labels))
    module = TrainingModule(net, recipe, DEVICE, data, data, images[:2], Settings(seed=3))
    return StepForwards(module.setting, images, labels, 7)


def outcome(name: str, recipe: Recipe, autocast: bool = False) -> dict[str, Any]:
    """Return loss, gradients, buffers, and the next numbers of the generators after forward and after backward."""
    torch.manual_seed(0)
    net, size = NETS[name]()
    net.train()
    images, labels = torch.randn(6, 2, size, size, dtype=torch.float64), torch.arange(6) % CLASSES
    if autocast:
        net, images = net.float(), images.float()
    step = forwards_of(net, recipe, images, labels)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = recipe.objective.loss(step)
    found: dict[str, Any] = {"loss": loss.detach(), "forward": numbers()}
    loss.backward()
    found["backward"] = numbers()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        found[f"gradient of {key}"] = parameter.grad
    return found | {key: buffer.clone() for key, buffer in net.named_buffers()}


def numbers() -> Tensor:
    drawn = [float(torch.rand(())), random.random(), float(np.random.uniform())]  # noqa: NPY002
    return torch.tensor(drawn, dtype=torch.float64)


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "detached": {"detach_feedback": True},
    "rescaled": {"rescale_draws": True},
    "backbone's statistics": {"batchnorm": "backbone"},
    "own amplification": {"n": 2, "a_b": 0.7, "a_f": 0.3, "temperature": 3.0},
}


def compare(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-12) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(
            found[key], tensor, rtol=tolerance, atol=tolerance, msg=lambda m, k=key: f"{k}: {m}"
        )
    largest = max(float(tensor.abs().max()) for key, tensor in expected.items() if "gradient" in key)
    assert largest > 1e-3, "gradients that vanish would compare nothing"


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("net", NETS)
def test_lean_is_fast_to_rounding(net: str, options: str) -> None:
    fast, lean = (
        Recipe(objective=OVF(beta=0.5, memory=memory, **OPTIONS[options])) for memory in ("fast", "lean")
    )
    compare(outcome(net, lean), outcome(net, fast))


def test_lean_without_variation_of_the_backbone_is_fast_too() -> None:
    fast, lean = (Recipe(NoVariation(), OVF(beta=0.5, memory=memory)) for memory in ("fast", "lean"))
    compare(outcome("vgg8", lean), outcome("vgg8", fast))


@pytest.mark.parametrize("net", ["vgg8", "resnet18"])
def test_lean_keeps_the_state_of_autocast(net: str) -> None:
    fast, lean = (Recipe(objective=OVF(beta=0.5, memory=memory)) for memory in ("fast", "lean"))
    found, single = outcome(net, lean, autocast=True), outcome(net, fast)
    # The backward runs outside of autocast: a second forward in float32 would be off by bf16's rounding, 4e-3.
    compare(found, outcome(net, fast, autocast=True), tolerance=1e-6)
    assert abs(float(found["loss"]) - float(single["loss"])) > 1e-6, "autocast changes something here"


def watched(memory: Any) -> tuple[Net, StepForwards, Recipe, list[tuple[Tensor, Any, Any]]]:
    """Return a step, and what its second convolution sees: its weight, and weak references to weight and input."""
    net, (images, labels) = make_net(), make_batch()
    recipe = Recipe(objective=OVF(beta=0.5, memory=memory))
    seen: list[tuple[Tensor, Any, Any]] = []

    def watch(conv: nn.Conv2d, args: tuple[Tensor]) -> None:
        storages = conv.weight.untyped_storage(), args[0].untyped_storage()
        seen.append((conv.weight.detach().clone(), weakref.ref(storages[0]), weakref.ref(storages[1])))

    net.conv2.register_forward_pre_hook(watch)
    return net, forwards_of(net, recipe, images, labels), recipe, seen


@pytest.mark.parametrize(("memory", "alive"), [("fast", True), ("lean", False)])
def test_between_forward_and_backward_neither_chips_nor_activations_live_on(memory: str, alive: bool) -> None:
    _, step, recipe, seen = watched(memory)
    loss = recipe.objective.loss(step)
    assert len(seen) == 4
    assert [ref() is not None for _, *refs in seen for ref in refs] == [alive] * 8
    assert loss.requires_grad


def test_the_backward_programs_each_chip_again_the_last_one_first_and_one_at_a_time() -> None:
    net, step, recipe, seen = watched("lean")
    alive: list[int] = []
    net.conv2.register_forward_pre_hook(lambda *_: alive.append(sum(ref() is not None for _, ref, _ in seen)))
    recipe.objective.loss(step).backward()
    weights = [weight for weight, *_ in seen]
    assert len(weights) == 8
    for first, again in zip(weights[:4], weights[:3:-1], strict=True):
        assert torch.equal(first, again)
    assert len({float(weight.sum()) for weight in weights}) == 4, "each pass has a chip of its own"
    assert alive == [1] * 8


def test_a_weight_that_changes_before_the_backward_is_refused() -> None:
    net, step, recipe, _ = watched("lean")
    loss = recipe.objective.loss(step)
    with torch.no_grad():
        net.conv1.weight.add_(0.0)
    with pytest.raises(SteadyNetError, match=r"conv1.weight changed between a forward and its backward"):
        loss.backward()


def test_a_recomputed_forward_has_no_feature_maps() -> None:
    _, step, *_ = watched("lean")
    with pytest.raises(SteadyNetError, match="a recomputed forward keeps no feature maps"):
        step.backbone(taps=(Tap("pool1", "output", 4, (4, 4), 0),), recompute=True)


def test_without_gradients_nothing_is_kept_for_a_second_run() -> None:
    _, step, *_ = watched("lean")
    with torch.no_grad():
        output = step.backbone(recompute=True).output
    assert not output.requires_grad
    assert torch.equal(output, step.backbone().output)
