"""The half-width of the interval over time, `full` and `blocks` on the same network and images: two traces for a figure."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

import steadynet as sn
from benchmarks.designs import MEDIUM, case_sigma
from benchmarks.harness import Ratio
from benchmarks.task import Task
from benchmarks.trained import source, trained
from steadynet.montecarlo.block_result import accuracy_of
from steadynet.montecarlo.intervals import mean_interval
from steadynet.montecarlo.pilot import FIRST_LOOK, from_table
from steadynet.montecarlo.session import Session

Trace = list[tuple[float, float]]


def widths(task: Task) -> list[Ratio]:
    """Return one row: the time of `full` over that of `blocks` until the narrowest width that both reached, and both traces."""
    net, images = trained(task)
    sigma_d = case_sigma(task, MEDIUM, net, images)
    device = sn.Device(variation=sn.Gaussian(sigma_d))
    budget = task.scale.full_seconds * 2 / 3
    with Session(net, device, images, seed=0, stream="test") as session:
        full = _full(session, sigma_d, budget)
    with Session(net, device, images, seed=0, stream="test", shuffled=True) as session:
        blocks, count = _blocks(session, sigma_d, budget, full[-1][1] / 4)
    goal = max(full[-1][1], blocks[-1][1])
    above, below = (next(at for at, width in trace if width <= goal) for trace in (full, blocks))
    details: dict[str, Any] = {
        "data": source(), "images": len(images), "sigma_d": sigma_d, "blocks": count, "half_width": goal,
        "full_trace": full, "blocks_trace": blocks,
    }  # fmt: skip
    what = f"full ÷ blocks, both run until ± {100 * goal:.2g} points, {len(images):,} images of {source()}"
    return [Ratio("widths", what, (above,), (below,), details=details)]


def _full(session: Session, sigma_d: float, budget: float) -> Trace:
    """Return (seconds, half-width) after each chip, from the second on."""
    accuracies: list[float] = []
    trace: Trace = []
    started = time.perf_counter()
    for seen in session.draws(sigma_d, range(1_000_000)):
        accuracies.append(seen.sums.correct / seen.sums.images)
        interval = mean_interval(np.array(accuracies)) if len(accuracies) > 1 else None
        if interval is not None:
            trace.append((time.perf_counter() - started, (interval.high - interval.low) / 2))
        if len(trace) > 1 and time.perf_counter() - started > budget:
            return trace
    return trace


def _blocks(session: Session, sigma_d: float, budget: float, goal: float) -> tuple[Trace, int]:
    """Return (seconds, half-width) after each cycle, the pilot's time included, and B."""
    started = time.perf_counter()
    tried = session.trial(sigma_d)
    pilot = from_table(tried.right, tried.program_seconds, tried.pass_seconds)
    count = pilot.blocks(session.images, goal)
    sizes = np.array([len(part) for part in np.array_split(np.arange(session.images), count)])
    ends = [0, *itertools.accumulate(int(size) for size in sizes)]
    rows: list[Any] = []
    trace: Trace = []
    while len(trace) < 2 or time.perf_counter() - started < budget:
        first = len(rows) * count
        rows.append(session.cells(sigma_d, [(first + b, ends[b], ends[b + 1]) for b in range(count)]))
        if len(rows) > 1 and len(rows) * count >= FIRST_LOOK:
            found = accuracy_of(np.array(rows)[:, :, 0], sizes.astype(np.float64))
            trace.append((time.perf_counter() - started, found.half_width))
    return trace, count
