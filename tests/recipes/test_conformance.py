"""Every part of every role passes one suite, and any four parts fit together."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recipes.reference import ON_DEVICES, Net, make_batch, make_net
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.nvm.device import Device
from steadynet.nvm.presets import preset
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import (
    AWP,
    IRS,
    OVF,
    SAM,
    CensoredVariation,
    Chips,
    Clip,
    Constraint,
    CrossEntropy,
    DeviceVariation,
    Distillation,
    Evaluation,
    Forwards,
    FreeWeights,
    LearnedRange,
    LogNormalVariation,
    NoConstraint,
    NoVariation,
    Objective,
    Orthogonal,
    OtherVariation,
    Pace,
    Peak,
    Plain,
    Recipe,
    Saturate,
    SelfFeedback,
    Several,
    Sparse,
    Step,
    TrainingVariation,
)
from steadynet.training.evaluation import StepEvaluation
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

# A new part is one entry here.
PARTS: dict[str, tuple[Any, ...]] = {
    "variation": (
        NoVariation(),
        DeviceVariation(),
        DeviceVariation(0.3),
        DeviceVariation(chips=Chips(3)),
        DeviceVariation(chips=Chips(2, mirrored=True)),
        OtherVariation(preset("rram4", 0.1)),
        CensoredVariation(),
        CensoredVariation(0.5, mean_corrected=True),
        LogNormalVariation(),
    ),
    "objective": (
        CrossEntropy(),
        CrossEntropy(4.0),
        OVF(),
        OVF(detach_feedback=True),
        OVF(memory="lean"),
        OVF(beta=-0.1),
        OVF(feedback_layers=("conv1.weight", "fc*")),
        IRS(),
        IRS(n=2),
        IRS(beta=-0.1),
        SelfFeedback(),
        Distillation(),
        Distillation(weight=0.9, teacher_noise=True),
    ),
    "constraint": (
        NoConstraint(),
        Clip(),
        Clip(1.5),
        Clip(1.5, per="channel"),
        Clip(1.5, start=3.0),
        Peak(),
        Peak(1.2, stride=0.2),
        Pace(),
        Saturate(),
        LearnedRange(),
        Orthogonal(),
        Orthogonal(lipschitz=1.0),
        Sparse(),
        Several((Clip(1.5), Orthogonal())),
    ),
    "step": (Plain(), SAM(), SAM(0.5, adaptive=True), AWP()),
}
PROTOCOLS = {
    "variation": TrainingVariation,
    "objective": Objective,
    "constraint": Constraint,
    "step": Step,
}
ALL = [(role, part) for role, parts in PARTS.items() for part in parts]
every_part = pytest.mark.parametrize(("role", "part"), ALL, ids=[f"{r}-{p}" for r, p in ALL])


def module_of(recipe: Recipe, net: Net | None = None) -> tuple[TrainingModule, Tensor, Tensor]:
    images, labels = make_batch()
    data = as_dataset((images, labels))
    device = Device(variation=Gaussian(0.2))
    net = net or make_net()
    return TrainingModule(net, recipe, device, data, data, images[:2], Settings(seed=3)), images, labels


def one_step(recipe: Recipe, draw: int = 0, net: Net | None = None) -> tuple[TrainingModule, Tensor]:
    """Return the module after one backward, and the loss, as the training step takes it."""
    module, images, labels = module_of(recipe, net)
    loss = recipe.step.loss(StepEvaluation(recipe, module.setting, images, labels, draw))
    loss.backward()
    return module, loss.detach()


def test_every_part_that_users_get_is_in_the_suite() -> None:
    import steadynet.recipes as package

    protocols = tuple(PROTOCOLS.values())
    classes = {
        value
        for name, value in vars(package).items()
        if name in package.__all__ and inspect.isclass(value) and value not in protocols
    }
    parts = {c for c in classes if any(all(hasattr(c, m) for m in methods(p)) for p in protocols)}
    parts -= {Forwards, Evaluation, FreeWeights}  # what parts are given, and what they start from
    assert parts == {type(part) for _, part in ALL}


def methods(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"]


@every_part
def test_a_part_is_a_frozen_value_with_a_plain_description(role: str, part: Any) -> None:
    assert dataclasses.is_dataclass(part)
    assert part == dataclasses.replace(part)
    assert hash(part) == hash(dataclasses.replace(part))
    for f in dataclasses.fields(part):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, f.name, getattr(part, f.name))
    described = Recipe(**{role: part}).describe()[role]
    assert described["class"] == type(part).__name__
    assert {f.name for f in dataclasses.fields(part)} == described.keys() - {"class"}
    json.dumps(described)
    assert type(part).__doc__, "it says what it is"


@every_part
def test_a_part_fits_its_role_and_no_other(role: str, part: Any) -> None:
    assert isinstance(part, PROTOCOLS[role])
    for other in PARTS.keys() - {role}:
        with pytest.raises(
            SteadyNetError, match=f"a recipe's {other} must be a {PROTOCOLS[other].__name__}, got"
        ):
            Recipe(**{other: part})


@every_part
def test_a_step_is_a_finite_scalar_with_gradients_for_all_weights(role: str, part: Any) -> None:
    net = make_net()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    module, loss = one_step(Recipe(**{role: part}), net=net)
    assert loss.shape == ()
    assert bool(torch.isfinite(loss))
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    for name in ON_DEVICES:
        gradient = net.get_parameter(name).grad
        assert gradient is not None
        assert float(gradient.abs().max()) > 0, name
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name]), "a loss changes no weight"


@every_part
def test_a_step_can_be_replayed(role: str, part: Any) -> None:
    recipe = Recipe(**{role: part})
    state = torch.random.get_rng_state()
    (first, loss), (again, same) = one_step(recipe, draw=7), one_step(recipe, draw=7)
    assert torch.equal(loss, same)
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
    assert torch.equal(state, torch.random.get_rng_state()), "nothing is drawn from the global generator"
    assert torch.equal(one_step(recipe, draw=8)[1], loss) == (part == NoVariation()), (
        "another draw, other errors"
    )


@every_part
def test_a_part_leaves_the_backbone_its_names_and_hooks(role: str, part: Any) -> None:
    net = make_net()
    names = list(net.state_dict())
    module, _ = one_step(Recipe(**{role: part}), net=net)
    assert list(net.state_dict()) == names
    assert module.backbone is net
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    inside = {id(p) for p in net.parameters()}
    assert not any(id(p) in inside for p in module.parts.parameters())


@every_part
def test_projecting_is_in_place_and_settles(role: str, part: Any) -> None:
    module, _ = one_step(Recipe(**{role: part}))
    weights = module.weights
    assert tuple(weights) == ON_DEVICES
    pointers = [w.data_ptr() for w in weights.values()]
    module.recipe.constraint.project(weights, 1.0, module.shape)
    assert [w.data_ptr() for w in weights.values()] == pointers
    assert all(bool(torch.isfinite(w).all()) for w in weights.values())


def pairwise() -> list[tuple[Any, ...]]:
    """Return recipes in which any two parts of two roles meet at least once; all products would be ten times as many."""
    roles = [list({type(part): part for part in parts}.values()) for parts in PARTS.values()]
    products = list(itertools.product(*roles))
    pairs = {
        (i, j, type(one), type(other))
        for i, j in itertools.combinations(range(len(roles)), 2)
        for one, other in itertools.product(roles[i], roles[j])
    }
    chosen: list[tuple[Any, ...]] = []

    def news(parts: tuple[Any, ...]) -> set[Any]:
        return {
            (i, j, type(parts[i]), type(parts[j])) for i, j in itertools.combinations(range(len(parts)), 2)
        } & pairs

    while pairs:
        best = max(products, key=lambda parts: len(news(parts)))
        chosen.append(best)
        pairs -= news(best)
    return chosen


@pytest.mark.parametrize(
    "parts",
    pairwise(),
    ids=lambda parts: "-".join(type(p).__name__ for p in parts),
)
def test_any_four_parts_fit_together(parts: tuple[Any, Any, Any, Any]) -> None:
    recipe = Recipe(*parts)
    module, loss = one_step(recipe)
    assert bool(torch.isfinite(loss))
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.01 * parameter.grad)
    recipe.constraint.project(module.weights, 1.0, module.shape)
    if isinstance(recipe.constraint, Clip):
        for weight in module.weights.values():
            # After the clip the std is smaller than before it, so the peak may exceed α times the new one a little.
            assert float(weight.detach().abs().max()) < 1.3 * recipe.constraint.alpha * float(
                weight.detach().std()
            )


class Range(nn.Module):
    """Trained beside the backbone, and with no weight that could lie on devices."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A user's own objective, with a learned scale of the logits."""

    def setup(self, backbone: nn.Module, example: Tensor, seed: int, layout: Any = None) -> nn.Module:
        return nn.ModuleDict({"range": Range()})

    def check(self, sigma_d: float) -> None: ...

    def loss(self, forwards: Any) -> Tensor:
        return forwards.task_loss(forwards.part("range", forwards.backbone().output))


def test_a_part_may_train_what_does_not_lie_on_devices() -> None:
    module, loss = one_step(Recipe(objective=Scaled()))
    assert torch.equal(loss, one_step(Recipe())[1])
    (scale,) = module.parts.parameters()
    assert scale.grad is not None
