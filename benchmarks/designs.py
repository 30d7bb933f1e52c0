"""`blocks` against `full`: the time until the same half-width, at a small, a medium and a large spread over chips.

A full draw costs t and the accuracies of chips have the standard deviation s, so a half-width h takes

    T_full = t (1.96 s / h)².

`blocks` is run, pilot and all, until its interval is as narrow. What could be gained follows from the measured components:
with σ_D² = s² − ρ/T between chips, ρ within (of one image on one chip), c_p a programming and c an image, a block draw over n
images has the variance σ_D² + ρ/n and costs c_p + n c, so at best

    T_blocks = (1.96 / h)² min_n (σ_D² + ρ/n)(c_p + n c).
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

import steadynet as sn
from benchmarks.harness import Ratio, Target
from benchmarks.task import Task
from benchmarks.trained import remember, remembered, source, trained
from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError
from steadynet.montecarlo.block_design import BlockDesign
from steadynet.montecarlo.blocks import means
from steadynet.montecarlo.intervals import Values, mean_interval
from steadynet.montecarlo.pilot import Pilot
from steadynet.montecarlo.session import Session

Z = 1.96
GRID = tuple(round(0.02 * 1.15**k, 4) for k in range(5, 24))
SEARCH_DRAWS, SEARCH_IMAGES = 40, 1000
FULL_DRAWS = 2  # in a round, whose mean is t


@dataclass(frozen=True)
class Case:
    """One spread over chips.

    Attributes:
        name: Of the bench.
        std: What the std of accuracy over chips should be about, as a fraction.
        full_draws: The draws that the design `full` would need: decides the half-width.
        faster: How many times less time `blocks` should take.
    """

    name: str
    std: float
    full_draws: int
    faster: float | None


SMALL = Case("design-small", 0.004, 100, None)
MEDIUM = Case("design-medium", 0.035, 500, 20.0)
LARGE = Case("design-large", 0.10, 1500, 20.0)


def small(task: Task) -> list[Ratio]:
    """Return the rows where chips hardly differ."""
    return _rows(task, SMALL)


def medium(task: Task) -> list[Ratio]:
    """Return the rows where they differ by a few points."""
    return _rows(task, MEDIUM)


def large(task: Task) -> list[Ratio]:
    """Return the rows where they differ by many."""
    return _rows(task, LARGE)


def _rows(task: Task, case: Case) -> list[Ratio]:
    net, images = trained(task)
    sigma_d = case_sigma(task, case, net, images)
    device = sn.Device(variation=sn.Gaussian(sigma_d))
    accuracies, clock = _full(net, device, images, case, task)
    std = float(np.std(accuracies, ddof=1))
    if std == 0:
        raise SteadyNetError(f"all chips are alike at sigma_d {sigma_d:g}: no half-width can be asked for")
    needed = _needed(case, task)
    half_width = min(0.5, Z * std / math.sqrt(needed))
    full_times: list[float] = []
    block_times: list[float] = []
    pilots: list[Pilot] = []
    details: dict[str, Any] = {"blocks": [], "cycles": [], "reached": [], "accuracy": []}
    for number in range(task.scale.long_rounds):
        draw_seconds = _draw_seconds(net, device, images, number)
        full_times.append(draw_seconds * needed)
        started = time.perf_counter()
        with Session(net, device, images, seed=number, stream="test", shuffled=True) as session:
            result = means(session, sigma_d, BlockDesign(half_width=half_width, max_draws=1_000_000))
        block_times.append(time.perf_counter() - started)
        if result.pilot is None:
            raise SteadyNetError("the number of blocks was not chosen by a pilot")
        pilots.append(result.pilot)
        details["blocks"].append(result.blocks)
        details["cycles"].append(result.cycles)
        details["reached"].append(result.reached)
        details["accuracy"].append(result.accuracy.mean)
    predicted, size = best_seconds(pilots, std, len(images), half_width)
    details |= {
        "data": source(),
        "images": len(images),
        "sigma_d": sigma_d,
        "std": std,
        "std_draws": len(accuracies),
        "half_width": half_width,
        "full_draws_needed": needed,
        "full_accuracy": float(np.mean(accuracies)),
        "best_block_size": size,
        "draw_variance": [pilot.draw_variance for pilot in pilots],
        "residual_variance": [pilot.residual_variance for pilot in pilots],
        "program_seconds": [pilot.program_seconds for pilot in pilots],
        "image_seconds": [pilot.image_seconds for pilot in pilots],
        "predicted_blocks_seconds": predicted,
        "predicted_gain": statistics.median(full_times) / predicted,
    }
    if len(accuracies) >= needed:
        # The full design was run to its end as well.
        interval = mean_interval(accuracies[:needed])
        details["full_run"] = {
            "seconds": clock[needed - 1],
            "half_width": None if interval is None else interval.half_width,
        }
    judged = len(images) == task.scale.images and source() == "mnist"
    about = f"draw std {100 * std:.2g} points, ± {100 * half_width:.2g}, {len(images):,} images of {source()}"
    computed = f"full: t·(1.96 s/h)², t measured each round, s over {len(accuracies)} draws; blocks: run"
    faster = Target(case.faster, "at least") if case.faster and std >= 0.02 and judged else None
    gain = Ratio(
        case.name, f"full ÷ blocks: {about}", tuple(full_times), tuple(block_times), target=faster,
        computed=computed, details=details,
    )  # fmt: skip
    share = Ratio(
        f"{case.name}-share",
        "share of the predicted gain (time of blocks as predicted ÷ as run)",
        (predicted,) * len(block_times),
        tuple(block_times),
        target=Target(0.8, "at least") if judged else None,
        computed="the prediction: from s, the pilots' residual variance, and the measured costs",
    )
    return [gain, share]


def _needed(case: Case, task: Task) -> int:
    """Return the draws that `full` needs for the half-width that is asked for."""
    return max(2, round(case.full_draws * task.scale.design_share))


def best_seconds(pilots: list[Pilot], std: float, images: int, half_width: float) -> tuple[float, int]:
    """Return the least time in which blocks could reach the half-width, and the block size that it takes.

    Args:
        pilots: Of the rounds; the median of their costs and of their residual variance is taken.
        std: Of the accuracy over chips, from draws over all images.
        images: T.
        half_width: h.
    """
    residual = statistics.median(pilot.residual_variance for pilot in pilots)
    programming = statistics.median(pilot.program_seconds for pilot in pilots)
    image = statistics.median(pilot.image_seconds for pilot in pilots)
    between = max(std**2 - residual / images, 0.0)

    def needed(size: int) -> float:
        return (Z / half_width) ** 2 * (between + residual / size) * (programming + size * image)

    size = min(range(1, images + 1), key=needed)
    return needed(size), size


def _full(
    net: nn.Module, device: sn.Device, images: ImageSet, case: Case, task: Task
) -> tuple[Values, list[float]]:
    """Return accuracies of full draws, and the seconds until each: to the design's end where it takes no longer than asked."""
    needed = _needed(case, task)
    accuracies: list[float] = []
    clock: list[float] = []
    with Session(net, device, images, seed=1000, stream="test") as session:
        started = time.perf_counter()
        for seen in session.draws(device.sigma_d, range(max(needed, task.scale.std_draws))):
            accuracies.append(seen.sums.correct / seen.sums.images)
            clock.append(time.perf_counter() - started)
            expected = clock[-1] / len(clock) * needed
            if len(clock) >= task.scale.std_draws and (
                len(clock) >= needed or expected > task.scale.full_seconds
            ):
                break
    return np.array(accuracies), clock


def _draw_seconds(net: nn.Module, device: sn.Device, images: ImageSet, seed: int) -> float:
    """Return the time of one full draw, after one that pays for what is set up once."""
    with Session(net, device, images, seed=2000 + seed, stream="test") as session:
        started = 0.0
        for number, _ in enumerate(session.draws(device.sigma_d, range(1 + FULL_DRAWS))):
            if number == 0:
                started = time.perf_counter()
        return (time.perf_counter() - started) / FULL_DRAWS


def case_sigma(task: Task, case: Case, net: nn.Module, images: ImageSet) -> float:
    """Return the σ_d of a grid at which the std over chips is nearest to the case's, from draws that no figure uses.

    The grid is gone up until the std is well above: at a large σ_d all chips fail alike, and it falls again.
    """
    found: dict[str, float] = dict(remembered(task))
    half, draws = min(SEARCH_IMAGES, len(images)) // 2, min(SEARCH_DRAWS, task.scale.std_draws)
    sigma, nearest = GRID[0], math.inf
    with Session(net, sn.Device(), images, seed=0, stream="pilot", shuffled=True) as session:
        for sigma_d in GRID:
            if str(sigma_d) not in found:
                cells = [(draw, at, at + half) for draw in range(draws) for at in (0, half)]
                found[str(sigma_d)] = std_over_chips(session.cells(sigma_d, cells)[:, 0].reshape(draws, 2))
                remember(task, found)
            distance = abs(math.log(found[str(sigma_d)] / case.std))
            if distance < nearest:
                sigma, nearest = sigma_d, distance
            if found[str(sigma_d)] > 1.3 * case.std:
                break
    return sigma


def std_over_chips(halves: Values) -> float:
    """Return the std of accuracy over chips from their accuracies on two disjoint halves of the images [D, 2].

    What two images share of a chip is what the halves have in common: their covariance is the variance between chips,
    without what a chip's images add to it. At least 1e-6, so that its logarithm exists.
    """
    return math.sqrt(max(float(np.cov(halves.T)[0, 1]), 1e-12))
