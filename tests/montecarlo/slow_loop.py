"""Monte Carlo as a plain loop: each chip on all images at once, each figure by its definition, image by image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import steadynet as sn
from steadynet.nvm.programming import program_tensor
from steadynet.randomness import Stream, draw_generator


@dataclass
class SlowResult:
    """The figures per chip, and those over all of them."""

    accuracy: list[float]
    nll: list[float]
    brier: list[float]
    calibration_error: list[float]
    ekl: float
    mutual_information: float


def net(dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    """A small network with what evaluation could disturb: a norm's statistics and dropout."""
    torch.manual_seed(seed)
    norm, head = nn.BatchNorm2d(3), nn.Linear(3 * 16, 4)
    norm.running_mean, norm.running_var = torch.randn(3), torch.rand(3) + 0.5
    # A head steep enough that chips disagree.
    nn.init.normal_(head.weight, std=2)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), norm, nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), head)
    return model.to(dtype)


def images(count: int = 37, dtype: torch.dtype = torch.float64, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Noise, labelled by the network's own opinion for two in three, so that some predictions are right."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 6, 6, generator=generator, dtype=torch.float64).to(dtype)
    with torch.no_grad():
        y = net(dtype).eval()(x).argmax(1)
    other = torch.randint(0, 4, (count,), generator=generator)
    return x, torch.where(torch.arange(count) % 3 == 0, other, y)


def programmed(
    model: nn.Sequential, device: sn.Device, seed: int, draw: int, stream: Stream
) -> nn.Sequential:
    """A copy of the model that holds chip `draw`'s weights, put in by hand."""
    chip = net(next(model.parameters()).dtype)
    chip.load_state_dict(model.state_dict())
    with torch.no_grad():
        for name in ("0.weight", "5.weight"):
            weight = chip.get_parameter(name)
            weight.copy_(program_tensor(weight, device, draw_generator(seed, stream, draw, 0, name, "cpu")))
    return chip.eval()


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [power / sum(powers) for power in powers]


def entropy(p: list[float]) -> float:
    return -sum(value * math.log(value) for value in p if value > 0)


def figures_of(logits: Tensor, labels: Tensor) -> tuple[float, float, float, float, list[float]]:
    """Accuracy, NLL, Brier score, ECE, and −log p_y of each correct prediction."""
    rows = [softmax(row) for row in logits.double().tolist()]
    truth = labels.tolist()
    count = len(rows)
    right = [max(range(len(p)), key=p.__getitem__) == y for p, y in zip(rows, truth, strict=True)]
    losses = [-math.log(p[y]) for p, y in zip(rows, truth, strict=True)]
    brier = sum(
        (value - (c == y)) ** 2 for p, y in zip(rows, truth, strict=True) for c, value in enumerate(p)
    )
    # 15 bins of equal width, (0, 1/15], (1/15, 2/15], …
    ece = 0.0
    for b in range(15):
        inside = [i for i, p in enumerate(rows) if b / 15 < max(p) <= (b + 1) / 15]
        if inside:
            sure = sum(max(rows[i]) for i in inside) / len(inside)
            hit = sum(right[i] for i in inside) / len(inside)
            ece += len(inside) / count * abs(sure - hit)
    kl = [loss for loss, ok in zip(losses, right, strict=True) if ok]
    return sum(right) / count, sum(losses) / count, brier / count, ece, kl


def slow_monte_carlo(
    model: nn.Sequential,
    device: sn.Device,
    data: tuple[Tensor, Tensor],
    *,
    draws: range,
    seed: int = 0,
    stream: Stream = "test",
) -> SlowResult:
    """Every chip in turn; the mutual information is the entropy of the mean minus the mean entropy."""
    x, y = data
    found = SlowResult([], [], [], [], math.nan, math.nan)
    kl: list[float] = []
    outputs: list[list[list[float]]] = []
    for draw in draws:
        with torch.no_grad():
            logits = programmed(model, device, seed, draw, stream)(x)
        accuracy, nll, brier, ece, correct = figures_of(logits, y)
        found.accuracy.append(accuracy)
        found.nll.append(nll)
        found.brier.append(brier)
        found.calibration_error.append(ece)
        kl += correct
        outputs.append([softmax(row) for row in logits.double().tolist()])
    found.ekl = sum(kl) / len(kl)
    gaps: list[float] = []
    for i in range(len(y)):
        chips = [output[i] for output in outputs]
        mean = [sum(values) / len(chips) for values in zip(*chips, strict=True)]
        gaps.append(entropy(mean) - sum(entropy(p) for p in chips) / len(chips))
    found.mutual_information = sum(gaps) / len(gaps)
    return found
