"""Training steps: a recipe's, by the training module's own code, and plain PyTorch's on the same network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steadynet as sn
from benchmarks.harness import Ratio, Target
from benchmarks.profiling import measured
from benchmarks.scale import Scale
from benchmarks.task import Task
from steadynet.hardware import fast_bf16
from steadynet.recipes.recipe import DEFAULT_RECIPE, Recipe
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

SIGMA_D = 0.2
CLASSES = 10


@dataclass(frozen=True)
class Form:
    """The numbers' format and the activations' order in memory, of both sides alike.

    Attributes:
        precision: "32" or "bf16" (autocast).
        channels_last: Whether activations lie channels-last.
    """

    precision: Literal["32", "bf16"]
    channels_last: bool

    def autocast(self) -> AbstractContextManager[Any]:
        """Return what a forward runs in."""
        return torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def laid(self, images: Tensor) -> Tensor:
        """Return the images in their order in memory."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def __str__(self) -> str:
        return f"{'bf16' if self.precision == 'bf16' else 'fp32'}{', channels-last' if self.channels_last else ''}"


FP32 = Form("32", channels_last=False)
BF16 = Form("bf16", channels_last=True)


def device() -> sn.Device:
    """Return M = 8, K = 2, quantised, σ_d 0.2."""
    return sn.Device(weight_bits=8, device_bits=2, variation=sn.Gaussian(sigma_d=SIGMA_D))


def network(scale: Scale) -> nn.Module:
    """Return VGG-8 for images of 3 channels, in training mode; the same weights each time."""
    return sn.models.build(
        "vgg8", classes=CLASSES, shape=(3, scale.size, scale.size), options={"width": scale.width}
    ).train()


def batch(scale: Scale) -> tuple[Tensor, Tensor]:
    """Return a batch of normal pixels and labels: a step's time does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(scale.batch, 3, scale.size, scale.size, generator=generator)
    return images, torch.randint(0, CLASSES, (scale.batch,), generator=generator)


def plain_step(scale: Scale, form: Form) -> Callable[[], Tensor]:
    """Return plain PyTorch's step of Adam: forward, cross entropy, backward, update; gradients are then released.

    The step returns its loss.
    """
    net = network(scale)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    images, labels = batch(scale)
    images = form.laid(images)

    def step() -> Tensor:
        with form.autocast():
            loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


class _Alone(TrainingModule):
    """The training module without Lightning's trainer around it: it counts its batches itself."""

    def _position(self, batch_idx: int) -> int:
        return batch_idx

    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Log nothing: there is no logger."""


def recipe_step(scale: Scale, form: Form, recipe: Recipe) -> Callable[[], Tensor]:
    """Return a recipe's step of Adam through the training module: every call programs chips of its own.

    The step returns its loss.
    """
    images, labels = batch(scale)
    settings = Settings(
        batch_size=scale.batch, lr=1e-4, precision=form.precision, channels_last=form.channels_last
    )
    data = torch.utils.data.TensorDataset(images, labels)
    module = _Alone(network(scale), recipe, device(), data, data, images[:2], settings)
    module.train()
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=settings.lr)
    taken = 0

    def step() -> Tensor:
        nonlocal taken
        with form.autocast():
            loss = module.training_step((images, labels), taken)
        loss.backward()
        optimizer.step()
        recipe.constraint.project(module.weights, 0.0, module.shape)
        optimizer.zero_grad()
        taken += 1
        return loss.detach()

    return step


def noise_fp32(task: Task) -> list[Ratio]:
    """W/ noise over plain, both in float32."""
    return [_row(task, "noise-fp32", "W/ noise step", sn.recipe("noise"), FP32, 1.10)]


def noise_bf16(task: Task) -> list[Ratio]:
    """W/ noise over plain, both in bfloat16 and channels-last."""
    return [_row(task, "noise-bf16", "W/ noise step", sn.recipe("noise"), BF16, 1.10)]


def irs_fp32(task: Task) -> list[Ratio]:
    """IRS over plain, both in float32."""
    return [_row(task, "irs-fp32", "IRS step", sn.recipe("irs"), FP32, 1.20)]


def irs_bf16(task: Task) -> list[Ratio]:
    """IRS over plain, both in bfloat16 and channels-last."""
    return [_row(task, "irs-bf16", "IRS step", sn.recipe("irs"), BF16, 1.20)]


def ovf_fast(task: Task) -> list[Ratio]:
    """OVF with all graphs live over plain."""
    recipe = sn.recipe("ovf", n=3, memory="fast")
    return [_row(task, "ovf-fast", "OVF (N = 3, fast) step", recipe, FP32, 4.2)]


def ovf_lean(task: Task) -> list[Ratio]:
    """OVF with each pass computed again in the backward over plain."""
    recipe = sn.recipe("ovf", n=3, memory="lean")
    return [_row(task, "ovf-lean", "OVF (N = 3, lean) step", recipe, FP32, 5.6)]


def best(task: Task) -> list[Ratio]:
    """W/ noise at the best settings over plain PyTorch's defaults; its target is one of CPUs that compute in bfloat16."""
    return [
        measured(
            "best",
            f"W/ noise step ({BF16}) ÷ plain step ({FP32})",
            recipe_step(task.scale, BF16, sn.recipe("noise")),
            plain_step(task.scale, FP32),
            rounds=task.scale.rounds,
            target=Target(0.50, "at most") if fast_bf16(torch.device("cpu")) else None,
            profiled=task.scale.judged,
        )
    ]


def recipes(task: Task) -> list[Ratio]:
    """Every named recipe's step over W/'s, both in bfloat16 and channels-last; the default recipe has a target."""
    noise = sn.recipe("noise")
    return [
        measured(
            "recipes",
            f"{name} step ÷ W/ noise step, both {BF16}",
            recipe_step(task.scale, BF16, row.recipe),
            recipe_step(task.scale, BF16, noise),
            rounds=task.scale.long_rounds,
            target=Target(1.3, "at most") if name == DEFAULT_RECIPE else None,
            profiled=False,
        )
        for name, row in sn.RECIPES.items()
        if name != "noise"
    ]


def _row(task: Task, name: str, what: str, recipe: Recipe, form: Form, most: float) -> Ratio:
    return measured(
        name,
        f"{what} ÷ plain step, both {form}",
        recipe_step(task.scale, form, recipe),
        plain_step(task.scale, form),
        rounds=task.scale.rounds,
        target=Target(most, "at most"),
        profiled=task.scale.judged,
    )
