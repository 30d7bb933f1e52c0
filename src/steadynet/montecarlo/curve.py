"""Accuracy over σ_d, and the largest σ_d that keeps an accuracy; paired differences on shared draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from steadynet.compute import Compute
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.montecarlo.block_result import BlockResult, accuracy_of
from steadynet.montecarlo.engine import full
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import mean_interval
from steadynet.montecarlo.result import LEVEL, ROUNDING, MonteCarloResult
from steadynet.montecarlo.session import Session
from steadynet.nvm.device import Device
from steadynet.randomness import Stream


@dataclass(frozen=True, eq=False)
class Curve:
    """Results at growing σ_d, on the same draws."""

    results: tuple[MonteCarloResult, ...]

    @property
    def sigma_d(self) -> tuple[float, ...]:
        """The σ_d, from small to large."""
        return tuple(result.sigma_d for result in self.results)

    def largest_sigma_d(self, accuracy: float) -> float | None:
        """Return the largest σ_d up to which the mean accuracy stays at `accuracy` or above.

        It is interpolated linearly where the curve first falls below. None if it is below at the smallest
        σ_d; infinity if it never falls below within the curve.

        Raises:
            SteadyNetError: If `accuracy` is not within 0 … 1.
        """
        check_number("accuracy", accuracy, at_least=0, at_most=1)
        points = [(result.sigma_d, result.accuracy.mean) for result in self.results]
        # A mean of draws that all keep exactly `accuracy` may lie a rounding below it.
        if points[0][1] < accuracy - ROUNDING:
            return None
        for (left, high), (right, low) in itertools.pairwise(points):
            if low < accuracy - ROUNDING:
                return left + (right - left) * max(0.0, high - accuracy) / (high - low)
        return math.inf


def check_sigmas(sigma_d: Sequence[float]) -> tuple[float, ...]:
    """Return the σ_d as a tuple.

    Raises:
        SteadyNetError: If there are none, one is negative or not finite, or they do not grow.
    """
    values = tuple(sigma_d)
    if not values:
        raise SteadyNetError("sigma_d is empty: give at least one value")
    for value in values:
        check_number("sigma_d", value, at_least=0)
    if any(right <= left for left, right in itertools.pairwise(values)):
        raise SteadyNetError(
            f"sigma_d must grow from value to value, got {', '.join(f'{v:g}' for v in values)}"
        )
    return values


def curve(
    model: nn.Module,
    device: Device,
    test: Any,
    sigma_d: Sequence[float],
    *,
    draws: int = 200,
    seed: int = 0,
    batch_size: int = 500,
    stream: Stream = "test",
    first_draw: int = 0,
    progress: bool = False,
    compute: Compute | None = None,
    on_result: Callable[[MonteCarloResult], None] | None = None,
) -> Curve:
    """Return the results of `monte_carlo` at each σ_d, with images loaded and workers started once.

    Example:
        >>> import steadynet as sn, torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> x, y = torch.randn(30, 1, 4, 4), torch.arange(30) % 3
        >>> sn.curve(net, sn.Device(), (x, y), [0.0, 0.1], draws=4).sigma_d
        (0.0, 0.1)

    Args:
        model: A trained network.
        device: Where it is programmed; its own σ_d is replaced.
        test: As for `monte_carlo`, and so are the others.
        sigma_d: Growing values. Draw k has the same standard normals at each of them.
        draws: R, number of chips at each σ_d.
        seed: Of the chips.
        batch_size: Images of one forward.
        stream: Of the chips.
        first_draw: Number of the first chip.
        progress: Whether a progress bar is shown.
        compute: Where and how it is computed.
        on_result: Called with each result as it is finished.

    Raises:
        SteadyNetError: If the values of σ_d cannot be used; see also `monte_carlo`.
    """
    values = check_sigmas(sigma_d)
    check_integer("draws", draws, at_least=1)
    check_integer("first_draw", first_draw, at_least=0)
    found: list[MonteCarloResult] = []
    with Session(
        model, device, test, seed=seed, stream=stream, batch_size=batch_size, compute=compute
    ) as session:
        for value in values:
            found.append(full(session, value, draws=draws, first_draw=first_draw, progress=progress))
            if on_result is not None:
                on_result(found[-1])
    return Curve(tuple(found))


Result = TypeVar("Result", MonteCarloResult, BlockResult)


def paired_difference(a: Result, b: Result) -> Estimate:
    """Return accuracy of `a` minus accuracy of `b` on shared draws and images, with the interval of its mean.

    For the design "full" the unit is the draw; for blocks, which must be as many, the cell.

    Raises:
        SteadyNetError: If the two do not share draws and images.
    """
    if isinstance(a, BlockResult) != isinstance(b, BlockResult):
        raise SteadyNetError("results are paired only within one design: one is by blocks, the other is not")
    by_blocks = isinstance(a, BlockResult)
    for what in (
        ("seed", "stream", "blocks", "cycles", "images")
        if by_blocks
        else ("seed", "stream", "first_draw", "draws", "images")
    ):
        left, right = getattr(a, what), getattr(b, what)
        if left != right:
            raise SteadyNetError(f"results are paired only on shared draws: {what} is {left} and {right}")
    if isinstance(a, BlockResult) and isinstance(b, BlockResult):
        return accuracy_of(a.cells[:, :, 0] - b.cells[:, :, 0], a.sizes, low=-1.0)
    difference = a.accuracy.values - b.accuracy.values
    std = float(difference.std(ddof=1)) if len(difference) > 1 else math.nan
    return Estimate(float(difference.mean()), std, mean_interval(difference, LEVEL), difference)
