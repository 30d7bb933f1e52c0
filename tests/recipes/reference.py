"""A plain float64 reference of one training step: Eq. 1 to 5 written out, without the product's code.

Only the generator of a draw is the product's: the reference replays the draws, and computes all else by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadynet.randomness import draw_generator

M, K = 6, 3


class Net(nn.Module):
    """Two convolutions with BatchNorm, two poolings, one linear layer: [B, 2, 8, 8] to 3 logits."""

    def __init__(self, batchnorm: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(4) if batchnorm else nn.Identity()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.pool2 = nn.MaxPool2d(2)
        self.fc = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        x = self.pool2(torch.tanh(self.conv2(x)))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def make_net(seed: int = 0, batchnorm: bool = True) -> Net:
    """Return the net in float64, its weights from `seed`, the global generator left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net(batchnorm).double().train()


def make_batch(count: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return float64 images and labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 2, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 3, (count,), generator=generator)


def programmed(
    weight: Tensor, name: str, sigma_d: float, *, seed: int, draw: int, pass_: int, m: int = M, k: int = K
) -> Tensor:
    """Eq. 4 and 5 with a straight-through gradient: W_p = n·max|W|/(2^M − 1) + error."""
    largest = float(weight.detach().abs().max())
    step = largest / (2**m - 1)
    code = torch.round(weight.detach() / largest * (2**m - 1))
    normal = torch.randn(weight.shape, generator=draw_generator(seed, "train", draw, pass_, name)).double()
    levels_std = sigma_d * (2**k - 1)
    error = step * levels_std * sum(4 ** (j * k) for j in range(m // k)) ** 0.5 * normal
    return weight + (step * code + error - weight).detach()


def forward(weights: Mapping[str, Tensor]) -> Any:
    """Return a function x → (feature after conv1's stage, feature after pool 1, logits, batch mean, batch variance)."""

    def compute(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        y = F.conv2d(x, weights["conv1.weight"], padding=1)
        mean = y.mean((0, 2, 3))
        spread = ((y - mean[None, :, None, None]) ** 2).mean((0, 2, 3))
        if "bn1.weight" in weights:
            y = (y - mean[None, :, None, None]) / torch.sqrt(spread + 1e-5)[None, :, None, None]
            y = y * weights["bn1.weight"][None, :, None, None] + weights["bn1.bias"][None, :, None, None]
        y = F.max_pool2d(y.clamp(min=0), 2)
        z = F.conv2d(y, weights["conv2.weight"], weights["conv2.bias"], padding=1)
        z = F.max_pool2d(torch.tanh(z), 2)
        logits = z.flatten(1) @ weights["fc.weight"].T + weights["fc.bias"]
        return y, logits, mean, spread

    return compute


ON_DEVICES = ("conv1.weight", "conv2.weight", "fc.weight")


def chip(
    clean: Mapping[str, Tensor], sigma_d: float, *, seed: int, draw: int, pass_: int
) -> dict[str, Tensor]:
    """Return all weights, those on devices programmed."""
    return {
        name: programmed(weight, name, sigma_d, seed=seed, draw=draw, pass_=pass_)
        if name in ON_DEVICES
        else weight
        for name, weight in clean.items()
    }


def head(weights: Mapping[str, Tensor], feature: Tensor, pool: int) -> Tensor:
    """A classifier of IRS: adaptive average pooling, linear, ReLU, linear."""
    pooled = F.adaptive_avg_pool2d(feature, pool).flatten(1)
    hidden = (pooled @ weights["fc1.weight"].T + weights["fc1.bias"]).clamp(min=0)
    return hidden @ weights["fc2.weight"].T + weights["fc2.bias"]


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−1/B Σ log softmax(logits)_y, by log-sum-exp."""
    top = logits.max(1, keepdim=True).values.detach()
    log_sum = torch.log(torch.exp(logits - top).sum(1)) + top[:, 0]
    return (log_sum - logits[torch.arange(len(labels)), labels]).mean()


def leaves(model: nn.Module) -> dict[str, Tensor]:
    """Return clones of the parameters that ask for gradients."""
    return {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}


def total(output: Tensor, feedback: Sequence[Tensor], gammas: Sequence[float], **options: Any) -> Tensor:
    """Eq. 1 and 2."""
    a_b = options.get("a_b", 1 / (len(feedback) + 1))
    a_f = options.get("a_f", 1 / (len(feedback) + 1))
    fed_back = sum((g * out for g, out in zip(gammas, feedback, strict=True)), torch.zeros_like(output))
    return a_b * output - a_f * options["beta"] * fed_back
