"""Programming a network's weights over drawing as many normal numbers, which no programming can do without."""

from __future__ import annotations

import torch

import steadynet as sn
from benchmarks.harness import Ratio, Target
from benchmarks.profiling import measured
from benchmarks.steps import device, network
from benchmarks.task import Task
from steadynet.programmer import Programmer

REPEAT = 3


def programming(task: Task) -> list[Ratio]:
    """Return programming over `torch.randn`: as an evaluation does it, weights quantised once, and as a step does it."""
    net, where = network(task.scale), sn.layout(network(task.scale), device())
    count = sum(mapped.weights for mapped in where.mapped)
    programmer = Programmer(net, device(), where)
    generator = torch.Generator().manual_seed(0)
    buffers: dict[str, torch.Tensor] = {}
    draw = 0

    def evaluation() -> None:
        nonlocal draw
        draw += 1
        programmer.program(draw, "test")

    def step() -> None:
        nonlocal draw
        draw += 1
        sn.program(net, device(), draw=draw, stream="train", layout=where, buffers=buffers)

    def numbers() -> None:
        torch.randn(count, generator=generator)

    return [
        measured(
            name,
            f"{what} {count:,} weights ÷ torch.randn of as many",
            side,
            numbers,
            rounds=task.scale.short_rounds,
            repeat=REPEAT,
            target=target,
            profiled=task.scale.judged,
        )
        for name, what, side, target in (
            ("programming", "programming (quantised once)", evaluation, Target(1.3, "at most")),
            ("programming-step", "quantising and programming", step, None),
        )
    ]
