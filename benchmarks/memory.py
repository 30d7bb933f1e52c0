"""The peak of tensor memory in one training step of OVF, over plain PyTorch's."""

from __future__ import annotations

import steadynet as sn
from benchmarks.harness import Ratio, Side, Target
from benchmarks.peak import Peak
from benchmarks.steps import FP32, plain_step, recipe_step
from benchmarks.task import Task


def memory(task: Task) -> list[Ratio]:
    """Return lean and fast over plain: what a step allocates at most over the weights and the optimiser's state."""
    plain = peaks(plain_step(task.scale, FP32))
    rows: list[Ratio] = []
    for form, target in (("lean", Target(1.2, "at most")), ("fast", None)):
        ours = peaks(recipe_step(task.scale, FP32, sn.recipe("ovf", n=3, memory=form)))
        what = f"peak memory of an OVF (N = 3, {form}) step ÷ of a plain step, both {FP32}"
        rows.append(Ratio(f"memory-{form}", what, ours, plain, unit="bytes", target=target))
    return rows


def peaks(step: Side) -> tuple[float, ...]:
    """Return the peaks of two steps after a first, which makes the optimiser's state and the buffers that are kept."""
    step()
    found: list[float] = []
    for _ in range(2):
        with Peak() as peak:
            step()
        found.append(float(peak.bytes))
    return tuple(found)
