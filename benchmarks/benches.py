"""Every bench by name, in the table's order, and where it is; free of torch, so that the table is drawn at once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from benchmarks.harness import Ratio
from benchmarks.task import Task

Bench = Callable[[Task], list[Ratio]]

BENCHES: Mapping[str, str] = MappingProxyType(
    {
        "noise-fp32": "benchmarks.steps:noise_fp32",
        "noise-bf16": "benchmarks.steps:noise_bf16",
        "irs-fp32": "benchmarks.steps:irs_fp32",
        "irs-bf16": "benchmarks.steps:irs_bf16",
        "ovf-fast": "benchmarks.steps:ovf_fast",
        "ovf-lean": "benchmarks.steps:ovf_lean",
        "recipes": "benchmarks.steps:recipes",
        "memory": "benchmarks.memory:memory",
        "best": "benchmarks.steps:best",
        "peer": "benchmarks.peer.rows:peer",
        "programming": "benchmarks.programming:programming",
        "draw-fp32": "benchmarks.montecarlo:draw_fp32",
        "draw-bf16": "benchmarks.montecarlo:draw_bf16",
        "design-small": "benchmarks.designs:small",
        "design-medium": "benchmarks.designs:medium",
        "design-large": "benchmarks.designs:large",
        "widths": "benchmarks.widths:widths",
        "agreement": "benchmarks.engine:agreement",
        "chunks": "benchmarks.engine:chunks",
    }
)


# What a training step does not run: its rows stay while these change.
_NOT_TRAINING = (
    "src/steadynet/montecarlo/",
    "src/steadynet/workers/",
    "src/steadynet/cli/",
    "src/steadynet/report/",
    "benchmarks/benches.py",
    "benchmarks/designs.py",
    "benchmarks/engine.py",
    "benchmarks/figure.py",
    "benchmarks/montecarlo.py",
    "benchmarks/trained.py",
    "benchmarks/widths.py",
)
_TRAINING = ("steps", "memory", "peer", "programming")


def apart(name: str) -> tuple[str, ...]:
    """Return the files that the rows of a bench do not depend on."""
    return _NOT_TRAINING if BENCHES[name].removeprefix("benchmarks.").startswith(_TRAINING) else ()


def find(name: str) -> Bench:
    """Return the bench of that name."""
    module, _, function = BENCHES[name].partition(":")
    bench: Bench = getattr(importlib.import_module(module), function)
    return bench
