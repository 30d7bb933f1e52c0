"""The peer's side, run by the peer's own Python: a training step for each line on the standard input.

It knows nothing of SteadyNet. The first line is the setting as JSON; the answers are lines of JSON too: once what it is
and what noise it injects, then the seconds of each step asked for. It does nothing between the two.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_NUMBERS = 20_000  # from which the std of the noise is taken: to 0.5 %


def network(spec: dict[str, Any]) -> nn.Sequential:
    """Return VGG-8 of the given channels: 3 × 3 convolutions without bias, BatchNorm, ReLU, pooling after each pair."""
    layers: list[nn.Module] = []
    incoming, size = 3, int(spec["size"])
    for index, channels in enumerate(spec["channels"]):
        layers += [
            nn.Conv2d(incoming, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
        incoming = channels
        if index % 2:
            layers.append(nn.MaxPool2d(2))
            size //= 2
    layers += [nn.Flatten(), nn.Linear(incoming * size * size, spec["hidden"]), nn.ReLU()]
    layers.append(nn.Linear(spec["hidden"], spec["classes"]))
    return nn.Sequential(*layers)


def analog(net: nn.Module, std_dev: float) -> nn.Module:
    """Return the network with normal noise of std_dev · max|W| on every weight in training, and nothing else."""
    conversion = importlib.import_module("aihwkit_lightning.nn.conversion")
    configs = importlib.import_module("aihwkit_lightning.simulator.configs")
    config = configs.TorchInferenceRPUConfig()
    config.modifier.noise_type = configs.WeightNoiseInjectionType.ADD_NORMAL
    config.modifier.quantization_type = configs.WeightQuantizationType.NONE
    config.modifier.std_dev = std_dev
    config.clip.type = configs.WeightClipType.NONE
    config.mapping.max_input_size = -1
    config.forward.inp_res = config.forward.out_res = -1
    config.forward.out_noise = 0.0
    config.pre_post.input_range.enable = False
    return conversion.convert_to_analog(net, config)


def noise_std(layer: nn.Linear) -> float:
    """Return the std of what a training forward adds to the layer's weights, relative to max|W|."""
    unit = torch.eye(layer.in_features)
    found: list[Tensor] = []
    with torch.no_grad():
        clean = layer.weight + 0.0
        while sum(errors.numel() for errors in found) < LEAST_NUMBERS:
            found.append((layer(unit) - layer.bias).T - clean)
        return float(torch.cat(found).std() / clean.abs().max())


def main() -> None:
    """Answer every line until there are no more."""
    spec: dict[str, Any] = json.loads(sys.stdin.readline())
    torch.set_num_threads(int(spec["threads"]))
    torch.manual_seed(0)
    net = analog(network(spec), float(spec["std_dev"])).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    images = torch.randn(spec["batch"], 3, spec["size"], spec["size"])
    labels = torch.randint(0, spec["classes"], (spec["batch"],))
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    answer(
        {
            "torch": torch.__version__,
            "aihwkit_lightning": version("aihwkit-lightning"),
            # A container is converted too, but holds no weights.
            "analog_layers": sum(
                type(module).__name__.startswith("Analog") and hasattr(module, "weight")
                for module in net.modules()
            ),
            "parameters": sum(p.numel() for p in net.parameters()),
            "threads": torch.get_num_threads(),
            "noise_std": noise_std(linear[-1]),
        }
    )
    for _ in sys.stdin:
        started = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        answer({"seconds": time.perf_counter() - started, "loss": loss.item()})


def answer(value: dict[str, Any]) -> None:
    """Write one line."""
    print("answer " + json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
