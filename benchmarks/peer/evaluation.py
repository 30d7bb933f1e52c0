"""The peer's side of the agreement, run by the peer's own Python: the accuracy of one noisy network for each line.

The first line names a file with the network's name and options, its weights, and all test images. Its modules are plain PyTorch;
what makes them noisy is the peer's alone.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import nn
from worker import analog, answer

from steadynet.models import build


def network(held: dict[str, Any], std_dev: float) -> nn.Module:
    """Return the network with noise of std_dev · max|W| on every weight, new at each forward, BatchNorm as deployed."""
    net = build(held["model"], classes=held["classes"], shape=tuple(held["shape"]), options=held["options"])
    net.load_state_dict(held["state"])
    noisy = analog(net, std_dev).eval()
    for module in noisy.modules():
        # The peer injects its noise in training alone.
        if type(module).__name__.startswith("Analog"):
            module.training = True
    return noisy


def main() -> None:
    """Answer every line, the std of a draw's errors, until there are no more."""
    spec: dict[str, Any] = json.loads(sys.stdin.readline())
    torch.set_num_threads(int(spec["threads"]))
    torch.manual_seed(int(spec["seed"]))
    held: dict[str, Any] = torch.load(spec["file"], weights_only=True)
    clean = network(held, 0.0).eval()
    answer({"torch": torch.__version__, "clean": accuracy(clean, held)})
    made: dict[float, nn.Module] = {}
    for line in sys.stdin:
        std_dev = float(line)
        if std_dev not in made:
            made[std_dev] = network(held, std_dev)
        answer({"accuracy": accuracy(made[std_dev], held)})


def accuracy(net: nn.Module, held: dict[str, Any]) -> float:
    """Return the share of all images that one forward, so one draw of the weights' errors, classifies right."""
    with torch.no_grad():
        return float((net(held["images"]).argmax(1) == held["labels"]).double().mean())


if __name__ == "__main__":
    main()
