"""Our W/ step against aihwkit-lightning's, each in a process of its own and never at once."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import steadynet as sn
from benchmarks.harness import Ratio, Target, alternate_timed, seconds
from benchmarks.peer.conversation import PAUSE, Worker
from benchmarks.peer.environment import peer_python
from benchmarks.scale import Scale
from benchmarks.steps import BF16, CLASSES, FP32, SIGMA_D, Form, device, network, recipe_step
from benchmarks.task import Task
from steadynet.errors import SteadyNetError
from steadynet.hardware import fast_bf16

WORKER = Path(__file__).with_name("worker.py")


def peer(task: Task) -> list[Ratio]:
    """Return the peer's step over ours, ours in float32 and at its best settings.

    Raises:
        SteadyNetError: If the peer cannot be installed, or does not do the same work.
    """
    scale = task.scale
    python = peer_python(task.peer_venv, task.peer_index)
    threads = torch.get_num_threads()
    spec = {**architecture(network(scale)), "size": scale.size, "batch": scale.batch, "classes": CLASSES}
    spec |= {"threads": threads, "std_dev": device().relative_std * SIGMA_D}
    environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with Worker([python, WORKER], environment) as worker:
        told = worker.ask(json.dumps(spec))
        check_same_work(told, spec, network(scale))
        best = Target(5.5, "at least") if fast_bf16(torch.device("cpu")) else None
        return [
            _row("peer-fp32", FP32, Target(2.4, "at least"), scale, worker, told),
            _row("peer-best", BF16, best, scale, worker, told),
        ]


def architecture(net: nn.Module) -> dict[str, Any]:
    """Return the channels and the hidden width of a VGG-8, so that the peer builds the same without SteadyNet."""
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    return {"channels": [module.out_channels for module in convolutions], "hidden": linear[0].out_features}


def check_same_work(told: dict[str, Any], spec: dict[str, Any], net: nn.Module) -> None:
    """Raise unless the peer has as many parameters and analog layers as ours, threads, and noise of the same std.

    Raises:
        SteadyNetError: Otherwise, with both numbers.
    """
    wanted = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "analog_layers": len(sn.layout(net, device()).mapped),
        "threads": spec["threads"],
    }
    for what, value in wanted.items():
        if told[what] != value:
            raise SteadyNetError(
                f"the peer has {told[what]} {what}, ours {value}: they do not do the same work"
            )
    # The std of 20,000 numbers has a std of 0.5 %: 3 % is 6 of them.
    if abs(told["noise_std"] / spec["std_dev"] - 1) > 0.03:
        raise SteadyNetError(
            f"the peer's noise has a std of {told['noise_std']:.4f} max|W|, not {spec['std_dev']:.4f}"
        )


def _row(
    name: str, form: Form, target: Target | None, scale: Scale, worker: Worker, told: dict[str, Any]
) -> Ratio:
    step = recipe_step(scale, form, sn.recipe("noise"))

    def ours() -> float:
        taken = seconds(step)
        time.sleep(PAUSE)
        return taken

    theirs, own = alternate_timed(
        lambda: float(worker.ask("step")["seconds"]), ours, rounds=max(2, scale.rounds - 2)
    )
    return Ratio(
        name,
        f"aihwkit-lightning's step (fp32) ÷ our W/ noise step ({form})",
        theirs,
        own,
        target=target,
        details={"peer": told},
    )
