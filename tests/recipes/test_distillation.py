"""Distillation: loss and gradient by hand, and teachers that are read from disk."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recipes.reference import chip, forward, leaves, make_batch, make_net, mean_cross_entropy
from recipes.test_gradients import DEVICE, DRAW, SEED, SIGMA, of_product
from steadynet.deploy import save_backbone
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.models import build
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import Distillation, Recipe, recipe
from steadynet.recipes.objective.teacher import Teacher
from steadynet.training import Settings, fit
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule


def softened(logits: Tensor, softness: float) -> Tensor:
    return torch.log(torch.softmax(logits / softness, 1))


def by_hand(
    student: Tensor, teacher: Tensor, part: Distillation, labels: Tensor, teacher_scale: float
) -> Tensor:
    own = softened(student / part.temperature, part.softness)
    aim = softened(teacher.detach() / teacher_scale, part.softness)
    distance = (aim.exp() * (aim - own)).sum(1).mean()
    task = mean_cross_entropy(student / part.temperature, labels)
    return (1 - part.weight) * task + part.weight * part.softness**2 * distance


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize(("weight", "temperature"), [(0.3, 1.0), (0.9, 4.0)])
def test_the_networks_own_clean_or_noisy_weights_teach(
    noise: bool, weight: float, temperature: float
) -> None:
    part = Distillation(weight=weight, softness=2.0, temperature=temperature, teacher_noise=noise)
    module, loss = of_product(Recipe(objective=part))
    clean = leaves(make_net())
    images, labels = make_batch()
    student = forward(chip(clean, SIGMA, seed=SEED, draw=DRAW, pass_=0))(images)[1]
    teaching = chip(clean, SIGMA if noise else 0.0, seed=SEED, draw=DRAW, pass_=1)
    teacher = forward(teaching)(images)[1]
    expected = by_hand(student, teacher, part, labels, temperature)
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-9)
    for name, parameter in module.backbone.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, clean[name].grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_a_file_of_weights_teaches_with_its_own_scale_of_logits(weight: float, tmp_path: Path) -> None:
    other = make_net(seed=7)
    save_backbone(other, tmp_path / "teacher.safetensors")
    part = Distillation(str(tmp_path / "teacher.safetensors"), weight=weight, temperature=3.0)
    module, loss = of_product(Recipe(objective=part))
    images, labels = make_batch()
    student = forward(chip(leaves(make_net()), SIGMA, seed=SEED, draw=DRAW, pass_=0))(images)[1]
    with torch.no_grad():
        teacher = other.eval()(images)
    assert float(loss) == pytest.approx(
        float(by_hand(student, teacher, part, labels, 1.0).detach()), rel=1e-5
    )
    held = module.parts.get_submodule("teacher")
    assert isinstance(held, Teacher)
    module.train()
    assert not held.network.training, "its BatchNorm is that of a finished training"
    assert not any(parameter.requires_grad for parameter in held.parameters())
    assert "teacher" not in " ".join(module.backbone.state_dict())


def test_the_folder_of_a_run_teaches_whatever_its_network(tmp_path: Path) -> None:
    wide = build("cnn", classes=3, shape=(1, 8, 8), options={"width": 0.5})
    save_backbone(wide, tmp_path / "backbone.safetensors")
    (tmp_path / "config.yaml").write_text("model: cnn\nmodel_options: {width: 0.5}\n")
    generator = torch.Generator().manual_seed(0)
    data = (torch.randn(30, 1, 8, 8, generator=generator), torch.arange(30) % 3)
    options: dict[str, Any] = {"batch_size": 10, "seed": 1, "out": tmp_path / "out"}
    recipe = Recipe(objective=Distillation(str(tmp_path)))
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    whole = fit(net, recipe, DEVICE, data, data, epochs=2, **options)
    again = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    resumed = fit(again, recipe, DEVICE, data, data, epochs=2, resume=True, **options)
    assert resumed.history == whole.history
    with pytest.raises(
        SteadyNetError, match=r"tells no 4 classes of inputs \(1, 8, 8\) apart.*take one that was trained on"
    ):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), recipe, DEVICE, data, data, epochs=1)


@pytest.mark.parametrize("name", ["missing", "missing.safetensors"])
def test_a_teacher_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    data = make_batch()
    with pytest.raises(SteadyNetError, match=r"there is no file .*missing"):
        fit(make_net(), Recipe(objective=Distillation(str(tmp_path / name))), DEVICE, data, data, epochs=1)
    with pytest.raises(SteadyNetError, match=r"holds no backbone\.safetensors"):
        fit(make_net(), Recipe(objective=Distillation(str(tmp_path))), DEVICE, data, data, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": ""}, "teacher must be 'self', the folder of a run"),
        ({"weight": 0}, "distill_weight must be a finite number > 0"),
        ({"weight": 1.5}, "distill_weight must be a finite number > 0 and ≤ 1"),
        ({"softness": 0}, "softness must be a finite number > 0"),
        ({"temperature": -1}, "temperature must be a finite number > 0"),
        ({"teacher_noise": 1}, "teacher_noise must be True or False"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        Distillation(**options)


def test_the_networks_own_weights_are_clean_on_a_device_that_has_more_than_noise() -> None:
    # Stuck devices err whatever sigma_d is; the teacher is the same network on devices without any error.
    images, labels = make_batch()
    data = as_dataset((images, labels))
    device = dataclasses.replace(DEVICE, variation=Gaussian(SIGMA) + Stuck(lrs=0.2))
    module = TrainingModule(
        make_net(), Recipe(objective=Distillation()), device, data, data, images[:2], Settings(seed=SEED)
    )
    forwards = StepForwards(module.setting, images, labels, DRAW)
    found = forwards.backbone(pass_=1, ideal=True, update_batchnorm=False).output
    expected = forward(chip(leaves(make_net()), 0.0, seed=SEED, draw=DRAW, pass_=1))(images)[1]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    taught = Distillation()._taught(forwards)
    assert torch.equal(taught, found)
    with pytest.raises(SteadyNetError, match="an ideal chip has no errors"):
        forwards.backbone(sigma_d=0.1, ideal=True)


@pytest.mark.parametrize("noise", [False, True])
def test_a_teacher_from_disk_is_as_noisy_as_is_asked_for(noise: bool) -> None:
    seen: list[tuple[str, bool]] = []

    def part(name: str, *_inputs: Tensor, noisy: bool = True) -> Tensor:
        seen.append((name, noisy))
        return torch.zeros(2, 3)

    output = SimpleNamespace(output=torch.zeros(2, 3))
    forwards: Any = SimpleNamespace(
        inputs=torch.zeros(2, 3), backbone=lambda: output, part=part, task_loss=lambda logits: logits.sum()
    )
    Distillation("a run", teacher_noise=noise).loss(forwards)
    assert seen == [("teacher", noise)]


class Pixels(nn.Module):
    """Logits [B, 2, 3] of three places each."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).reshape(-1, 2, 3)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Pixels(), r"the network must return logits \[images, classes\] to be distilled"),
        (nn.Linear(3, 1), r"a network of one output has no classes to be taught"),
    ],
)
def test_outputs_that_are_no_classes_are_refused(net: nn.Module, message: str) -> None:
    x = torch.ones(8, 3)
    with pytest.raises(SteadyNetError, match=message), warnings.catch_warnings(action="ignore"):
        fit(net, "distill", DEVICE, (x, x), (x, x), loss=lambda output, targets: output.sum(), epochs=1)


def test_a_student_that_nobody_tells_a_label_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="leaves nobody who knows a label"):
        recipe("distill", distill_weight=1.0)
    recipe("distill", distill_weight=1.0, teacher="runs/teacher")


def test_a_noisy_teacher_needs_noise() -> None:
    with pytest.raises(SteadyNetError, match="trains without any variation"):
        recipe("vanilla", teacher="self", teacher_noise=True)
