"""Means over chips and images for a fraction of the work: every block of images is seen by chips of its own.

Chips differ far more than images do, so R chips over all images buy little that R chips over a few images each would
not. The shuffled test set is cut into B blocks, fixed from cycle to cycle; in cycle c block b is seen by the chip of draw
c B + b. A cycle costs one pass over the images and B programmings, and holds B independent chips; it may be broken off after each
quarter. What it cannot give is
any figure of a single chip over all images: percentiles, the worst chip, a yield, calibration per chip.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from steadynet.compute import Compute
from steadynet.errors import SteadyNetError
from steadynet.montecarlo.block_design import HALF_WIDTH, QUARTERS, BlockDesign
from steadynet.montecarlo.block_result import BlockResult, accuracy_of, estimates_of
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import Values
from steadynet.montecarlo.pilot import FIRST_LOOK, Pilot, from_table
from steadynet.montecarlo.session import Session
from steadynet.nvm.device import Device
from steadynet.randomness import Stream


def block_monte_carlo(
    model: nn.Module,
    device: Device,
    test: Any,
    *,
    half_width: float | None = None,
    blocks: int | None = None,
    cycles: float | None = None,
    max_draws: int = 20_000,
    seed: int = 0,
    stream: Stream = "test",
    compute: Compute | None = None,
) -> BlockResult:
    """Return the mean accuracy that `model` keeps on `device`, with an interval as narrow as asked for.

    The design "auto" leaves `blocks` to a pilot; the design "blocks" names them. The images' order is a function of their
    number alone, so two networks of a seed share chips and blocks where B is the same.

    Example:
        >>> import steadynet as sn, torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> x, y = torch.randn(300, 1, 4, 4), torch.arange(300) % 3
        >>> result = sn.block_monte_carlo(net, sn.Device(variation=sn.Gaussian(0.1)), (x, y), half_width=0.02)
        >>> result.reached, result.draws >= 100
        (True, True)

    Args:
        model: A trained network; its mode and weights are as before afterwards.
        device: Where it is programmed, with σ_d > 0.
        test: A map-style dataset of (input, label), or a pair of tensors.
        half_width: Of the interval, as a fraction: 0.005 is half a point, and the default without `cycles`.
        blocks: B; chosen by a pilot of 20 chips on 200 images if None, by the clock among others: name it to get the
            very same numbers again.
        cycles: C, a fixed number, which ends the work however wide the interval; it needs `blocks`.
        max_draws: The most block draws without `cycles`; where they do not suffice, `reached` is False.
        seed: Of the chips.
        stream: "test"; "validation" for figures that choose something.
        compute: Where and how it is computed, and by how many processes.

    Raises:
        SteadyNetError: If a number is out of range, blocks outnumber images, max_draws does not allow two cycles and the
            first look, or anything that `monte_carlo` refuses.
    """
    design = BlockDesign(half_width, blocks, cycles, max_draws)
    with Session(model, device, test, seed=seed, stream=stream, compute=compute, shuffled=True) as session:
        return means(session, device.sigma_d, design)


def means(session: Session, sigma_d: float, design: BlockDesign) -> BlockResult:
    """Return the result at one σ_d, of a shuffled session that may be asked for others."""
    return _run([session], sigma_d, design, lambda tables, sizes: accuracy_of(tables[0][:, :, 0], sizes))[0]


@dataclass(frozen=True, eq=False)
class BlockDifference:
    """Two networks on the same chips' errors and the same images.

    Attributes:
        accuracy: Accuracy of the first minus that of the second, with the interval of the difference over chips.
        first: What the first keeps.
        second: What the second keeps.
        half_width: What was asked for; None where the number of cycles was given.
        reached: Whether the difference's interval is as narrow.
    """

    accuracy: Estimate
    first: BlockResult
    second: BlockResult
    half_width: float | None
    reached: bool


def block_difference(
    first: nn.Module,
    second: nn.Module,
    device: Device,
    test: Any,
    *,
    half_width: float | None = None,
    blocks: int | None = None,
    cycles: float | None = None,
    max_draws: int = 20_000,
    seed: int = 0,
    stream: Stream = "test",
    compute: Compute | None = None,
) -> BlockDifference:
    """Return the accuracy of `first` minus that of `second`, until the interval of the *difference* is narrow enough.

    Both see the same draws and the same blocks; where their weights have the same names and shapes, the devices of both err
    alike, and the difference varies less than either.

    Example:
        >>> import steadynet as sn, torch
        >>> nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)) for _ in range(2)]
        >>> x, y = torch.randn(300, 1, 4, 4), torch.arange(300) % 3
        >>> device = sn.Device(variation=sn.Gaussian(0.1))
        >>> sn.block_difference(*nets, device, (x, y), blocks=50, cycles=2).first.draws
        100

    Args:
        first: A trained network.
        second: Another, for the same images.
        device: Where both are programmed, with σ_d > 0.
        test: As for `block_monte_carlo`, and so are the others.
        half_width: Of the difference's interval, as a fraction.
        blocks: B.
        cycles: C.
        max_draws: The most block draws, each of both networks.
        seed: Of the chips.
        stream: Of the chips.
        compute: Where and how it is computed.

    Raises:
        SteadyNetError: As `block_monte_carlo`.
    """
    design = BlockDesign(half_width, blocks, cycles, max_draws)
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(
                Session(model, device, test, seed=seed, stream=stream, compute=compute, shuffled=True)
            )
            for model in (first, second)
        ]
        return mean_difference(sessions[0], sessions[1], device.sigma_d, design)


def mean_difference(first: Session, second: Session, sigma_d: float, design: BlockDesign) -> BlockDifference:
    """Return the difference at one σ_d, of two shuffled sessions on the same images."""
    one, other = _run([first, second], sigma_d, design, _difference)
    found = _difference([one.cells, other.cells], one.sizes)
    # A width is asked of the difference, and not of either.
    one, other = (replace(part, half_width=None, reached=True) for part in (one, other))
    return BlockDifference(found, one, other, design.target, _narrow(found, design))


def _difference(tables: Sequence[Values], sizes: Values) -> Estimate:
    return accuracy_of(tables[0][:, :, 0] - tables[1][:, :, 0], sizes, low=-1.0)


def _narrow(found: Estimate, design: BlockDesign) -> bool:
    return design.target is None or found.half_width <= design.target


def _run(
    sessions: Sequence[Session],
    sigma_d: float,
    design: BlockDesign,
    judge: Callable[[Sequence[Values], Values], Estimate],
) -> list[BlockResult]:
    """Run cycles, of all sessions alike, until the interval that `judge` returns is narrow enough."""
    images = sessions[0].images
    design.check(images, alike=sessions[0].device.at(sigma_d).exact)
    if sessions[0].stream == "pilot":
        raise SteadyNetError("stream 'pilot' is what blocks are chosen by: take another for what is reported")
    started = time.perf_counter()
    pilot = _pilot(sessions, sigma_d) if design.blocks is None else None
    blocks = design.blocks or 1
    if pilot is not None:
        blocks = min(pilot.blocks(images, design.target or HALF_WIDTH), design.max_draws // 2)
    sizes = np.array([len(part) for part in np.array_split(np.arange(images), blocks)], dtype=np.int64)
    ends = [0, *itertools.accumulate(int(size) for size in sizes)]
    shares = sizes.astype(np.float64)
    tables: list[Values] = [np.full((0, blocks, 4), np.nan) for _ in sessions]
    done = 0  # quarters
    while True:
        whole = done < 2 * QUARTERS or (design.cycles or 0) * QUARTERS - done >= QUARTERS
        done += QUARTERS if whole else 1
        last, quarter = divmod(done - 1, QUARTERS)
        start, stop = 0 if whole else blocks * quarter // QUARTERS, blocks * (quarter + 1) // QUARTERS
        cells = [(last * blocks + b, ends[b], ends[b + 1]) for b in range(start, stop)]
        for at, session in enumerate(sessions):
            if len(tables[at]) == last:
                tables[at] = np.concatenate([tables[at], np.full((1, blocks, 4), np.nan)])
            if cells:
                tables[at][last, start:stop] = session.cells(sigma_d, cells)
        if done >= 2 * QUARTERS and _enough(tables, shares, done, design, judge):
            break
    seconds = time.perf_counter() - started
    return [
        _result(session, sigma_d, table, shares, done, design, seconds, pilot)
        for session, table in zip(sessions, tables, strict=True)
    ]


def _pilot(sessions: Sequence[Session], sigma_d: float) -> Pilot:
    tried = [session.trial(sigma_d) for session in sessions]
    right = tried[0].right if len(tried) == 1 else tried[0].right - tried[1].right
    return from_table(
        right, sum(one.program_seconds for one in tried), sum(one.pass_seconds for one in tried)
    )


def _enough(
    tables: Sequence[Values],
    sizes: Values,
    done: int,
    design: BlockDesign,
    judge: Callable[[Sequence[Values], Values], Estimate],
) -> bool:
    """Return whether the work ends after so many quarters of cycles."""
    if design.cycles is not None:
        return done >= design.cycles * QUARTERS
    blocks = len(sizes)
    next_draws = (done + 1) // QUARTERS * blocks + blocks * ((done + 1) % QUARTERS) // QUARTERS
    if next_draws > design.max_draws:
        return True
    draws = int((~np.isnan(tables[0][:, :, 0])).sum())
    return draws >= FIRST_LOOK and _narrow(judge(tables, sizes), design)


def _result(
    session: Session,
    sigma_d: float,
    table: Values,
    sizes: Values,
    done: int,
    design: BlockDesign,
    seconds: float,
    pilot: Pilot | None,
) -> BlockResult:
    estimates = estimates_of(table, sizes)
    return BlockResult(
        sigma_d=sigma_d,
        device=str(session.device.at(sigma_d)),
        seed=session.seed,
        stream=session.stream,
        images=session.images,
        blocks=len(sizes),
        cycles=done // QUARTERS if done % QUARTERS == 0 else done / QUARTERS,
        half_width=design.target,
        reached=_narrow(estimates["accuracy"], design),
        seconds=seconds,
        pilot=pilot,
        cells=table,
        sizes=sizes,
        **estimates,
    )
