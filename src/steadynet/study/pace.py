"""Measure a few steps of a training, and one pass over some images, as a cell would run them."""

from __future__ import annotations

import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from steadynet.chip import program, run
from steadynet.hardware import compute_device
from steadynet.options.build import build_model, training_hardware, training_settings
from steadynet.study.estimate import Pace
from steadynet.study.memory import Peak
from steadynet.study.store import Place
from steadynet.training.evaluation import StepEvaluation
from steadynet.training.module import TrainingModule

_WARM_UP = 1
_IMAGES = 64


def measure(place: Place, steps: int) -> Pace:
    """Return what a step costs: the median of `steps` steps after one that warms up, on images of noise of the right size.

    Raises:
        SteadyNetError: If the network or the training cannot be set up.
    """
    made, images = place.cell.training, place.images
    model = build_model(made.model, images.classes, images.shape, made.seed)
    settings = training_settings(made.training, made.seed)
    where = compute_device(training_hardware(made.training).compute_device, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    batch = min(settings.batch_size, images.train_images)
    inputs = torch.randn(batch, *images.shape, generator=generator).to(where)
    targets = (torch.arange(batch) % images.classes).to(where)
    if settings.channels_last:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    data = torch.utils.data.TensorDataset(inputs.cpu(), targets.cpu())
    module = TrainingModule(model, made.recipe, made.device, data, data, inputs[:2].cpu(), settings).to(where)
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.lr)
    peak, times = Peak(), list[float]()
    for number in range(_WARM_UP + steps if made.epochs else 0):
        since = time.perf_counter()
        with _autocast(settings.precision, where):
            loss = made.recipe.step.loss(StepEvaluation(made.recipe, module.setting, inputs, targets, number))
        optimizer.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType] (torch leaves it bare)
        optimizer.step()
        made.recipe.constraint.project(module.weights, 0.0, module.shape)
        _wait(where)
        times.append(time.perf_counter() - since)
    step = statistics.median(times[_WARM_UP:]) if times else 0.0
    return Pace(step, _image_seconds(module, place, inputs[:_IMAGES], where), round(peak.mib(), 1), steps)


def _image_seconds(module: TrainingModule, place: Place, inputs: Tensor, where: torch.device) -> float:
    module.eval()
    times: list[float] = []
    with torch.no_grad():
        chip = program(module.backbone, place.cell.training.device, seed=0, draw=0, stream="pilot")
        for _ in range(3):
            since = time.perf_counter()
            run(module.backbone, chip, inputs)
            _wait(where)
            times.append(time.perf_counter() - since)
    return min(times) / len(inputs)


def _autocast(precision: str, where: torch.device) -> AbstractContextManager[Any]:
    if precision == "32":
        return nullcontext()
    return torch.autocast(where.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def _wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "mps":
        torch.mps.synchronize()
