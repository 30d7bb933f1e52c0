"""The steps of a training are those of a loop by hand: gradients, constraint, and batches whose gradients are put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recipes.reference import ON_DEVICES, chip, forward, leaves, make_batch, make_net, mean_cross_entropy
from steadynet.loader import Loader
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import FreeWeights, Recipe, recipe
from steadynet.training import Settings, fit
from training.small import CPU, DEVICE, images, small_net


class Recorder(FreeWeights):
    """A constraint that changes nothing and keeps each step's gradients."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, Tensor]] = []

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        self.gradients.append({n: w.grad.clone() for n, w in weights.items() if w.grad is not None})


def test_steps_of_a_training_are_those_of_a_loop_by_hand() -> None:
    # Three epochs of momentum SGD in float64 from the reference's gradients: draw k is batch k since the start.
    count, batch_size, sigma = 20, 8, 0.1
    data = make_batch(count)
    device = Device(weight_bits=6, device_bits=3, variation=Gaussian(sigma))
    settings = Settings(epochs=3, batch_size=batch_size, lr=0.05, optimizer="sgd", seed=2)
    recorder = Recorder()
    fit(
        make_net(),
        Recipe(constraint=recorder),
        device,
        data,
        data,
        settings=settings,
        hardware=CPU,
    )
    clean = {name: weight.detach() for name, weight in leaves(make_net()).items()}
    velocity = {name: torch.zeros_like(weight) for name, weight in clean.items()}
    loader = Loader(data, batch_size=batch_size, seed=2)
    batches = [batch for _ in range(3) for batch in loader]
    assert len(recorder.gradients) == len(batches) == 9
    for number, (inputs, labels) in enumerate(batches):
        weights = {name: weight.clone().requires_grad_() for name, weight in clean.items()}
        noisy = chip(weights, sigma, seed=2, draw=number, pass_=0)
        mean_cross_entropy(forward(noisy)(inputs)[1], labels).backward()
        rate = 0.05 * 0.5 * (1 + np.cos(np.pi * number / 9))
        for name, weight in weights.items():
            assert weight.grad is not None
            if name in ON_DEVICES:
                torch.testing.assert_close(
                    recorder.gradients[number][name], weight.grad, rtol=1e-6, atol=1e-10
                )
            velocity[name] = 0.9 * velocity[name] + weight.grad
            clean[name] = clean[name] - rate * velocity[name]


def test_the_constraint_acts_after_each_step() -> None:
    net = small_net()
    made = recipe("noise", clip=1.2)
    fit(net, made, DEVICE, images(24), images(8), hardware=CPU, epochs=2, batch_size=8, lr=3e-2)
    for weight in (net.conv1.weight, net.conv2.weight, net.fc.weight):
        # Clipping lowers the std a little itself, so the ratio lies between 1.2 and, unclipped, about 2 and more.
        ratio = float(weight.detach().abs().max() / weight.detach().std(correction=0))
        assert ratio < 1.45
    before = [
        float(w.abs().max() / w.std()) for w in (p.detach() for p in small_net().parameters()) if w.dim() > 1
    ]
    assert max(before) > 1.45


def test_a_step_takes_the_mean_over_its_batches_however_many_an_epochs_last_has() -> None:
    # Five batches of 8 in steps of three and two: as steps of 24 and of 16 images are.
    x, y = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
    data, device = (x, y), Device(variation=Gaussian(0.0), quantize=False)
    net, other = nn.Linear(6, 3), nn.Linear(6, 3)
    other.load_state_dict(net.state_dict())
    options: dict[str, Any] = {"epochs": 1, "lr": 0.5, "optimizer": "sgd", "hardware": CPU, "seed": 3}
    fit(net, "vanilla", device, data, data, batch_size=8, accumulate=3, **options)
    order = torch.cat([labels for _, labels in Loader(data, batch_size=8, seed=3, shuffle=True)])
    images = torch.cat([inputs for inputs, _ in Loader(data, batch_size=8, seed=3, shuffle=True)])
    optimizer = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    for step, part in enumerate((slice(0, 24), slice(24, 40))):
        optimizer.param_groups[0]["lr"] = 0.5 * (1 + math.cos(math.pi * step / 2)) / 2
        optimizer.zero_grad()
        nn.functional.cross_entropy(other(images[part]), order[part]).backward()
        optimizer.step()
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)
