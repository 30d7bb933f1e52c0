"""What blocks of images on chips of their own tell: means with intervals, and nothing of a single chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from steadynet.errors import SteadyNetError
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import Interval, Values
from steadynet.montecarlo.pilot import Pilot
from steadynet.montecarlo.stratified import stratified_interval, stratified_mean, stratified_ratio


@dataclass(frozen=True, eq=False)
class BlockResult:
    """Means over chips and images of one trained network, by blocks.

    Intervals are over chips, on these images: they speak neither of other trainings nor of other test images.

    Attributes:
        sigma_d: σ_d of the device.
        device: The device in words.
        seed: Seed of the draws.
        stream: Stream of the draws.
        images: Test images.
        blocks: B.
        cycles: C, in quarters: a last cycle may have been broken off.
        half_width: What was asked for; None if nothing was.
        reached: Whether the accuracy's interval is as narrow; True where nothing was asked.
        accuracy: Top-1 accuracy, as a fraction. Its values, and the std of them, are those of the whole cycles, each over all
            images but by many chips: they do not tell the spread of chips.
        nll: Negative log-likelihood per image, in nats.
        brier: Brier score per image.
        ekl: Mean −log p_y over the correct predictions.
        seconds: Wall-clock time, pilot included.
        pilot: What B was chosen by; None where it was given.
        cells: Each cell's accuracy, NLL, Brier score and EKL's numerator, per image of its block [C, B, 4]; NaN
            where the last cycle was broken off.
        sizes: Images of each block [B].
    """

    sigma_d: float
    device: str
    seed: int
    stream: str
    images: int
    blocks: int
    cycles: float
    half_width: float | None
    reached: bool
    accuracy: Estimate
    nll: Estimate
    brier: Estimate
    ekl: Estimate
    seconds: float
    pilot: Pilot | None
    cells: Values
    sizes: Values

    @property
    def draws(self) -> int:
        """The number of chips, each seen by one block."""
        return int((~np.isnan(self.cells[:, :, 0])).sum())

    def percentile(self, k: float) -> NoReturn:
        """Raise `SteadyNetError`: no chip saw all images."""
        self._refuse(f"percentile {k:g} needs")

    @property
    def worst(self) -> NoReturn:
        """Raise `SteadyNetError`: no chip saw all images."""
        self._refuse("the worst chip needs")

    def yield_at(self, accuracy: float) -> NoReturn:
        """Raise `SteadyNetError`: no chip saw all images."""
        self._refuse(f"the yield at {accuracy:g} needs")

    def summary(self) -> str:
        """Return the figures as lines of text, with draws, seed, and what the intervals are of."""
        asked = (
            "" if self.half_width is None else f" (asked for: {100 * self.half_width:g}; allow more draws)"
        )
        lines = [
            f"{self.blocks} blocks × {self.cycles:g} cycles = {self.draws} chips (seed {self.seed}) of {self.device}, "
            f"{self.images} images, {self.seconds:.1f} s",
            f"accuracy            {self.accuracy.mean:.2%} ± {100 * self.accuracy.half_width:.2f} points"
            + ("" if self.reached else asked),
        ]
        lines += [
            f"{label:<20}{getattr(self, name)}"
            for name, label in (("ekl", "EKL"), ("nll", "neg. log-likelihood"), ("brier", "Brier score"))
        ]
        lines.append("± : 95 % interval over chips of this one network; not over trainings or test images")
        return "\n".join(lines)

    def _refuse(self, what: str) -> NoReturn:
        raise SteadyNetError(f"{what} chips that each see all images: use monte_carlo(…) with draws=…")


def accuracy_of(values: Values, sizes: Values, *, low: float = 0.0, high: float = 1.0) -> Estimate:
    """Return the mean accuracy of cells, or a difference of two, with its interval.

    Args:
        values: Accuracies of the cells [C, B].
        sizes: Images of each block [B].
        low: The least that the mean can be.
        high: The most.
    """
    weights = sizes / sizes.sum()
    interval = stratified_interval(values, weights, deviation=1 / sizes)
    return _estimate(values, weights, Interval(max(low, interval.low), min(high, interval.high)))


def estimates_of(cells: Values, sizes: Values) -> dict[str, Estimate]:
    """Return accuracy, NLL, Brier score and EKL of the cells [C, B, 4] with their intervals."""
    weights = sizes / sizes.sum()
    right, nll, brier, kept = (cells[:, :, i] for i in range(4))
    ratio, interval = stratified_ratio(kept, right, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        each: Values = _whole(kept) @ weights / (_whole(right) @ weights)
    return {
        "accuracy": accuracy_of(right, sizes),
        "nll": _estimate(nll, weights, stratified_interval(nll, weights)),
        "brier": _estimate(brier, weights, stratified_interval(brier, weights)),
        "ekl": Estimate(ratio, float(np.std(each, ddof=1)), interval, each),
    }


def _estimate(values: Values, weights: Values, interval: Interval) -> Estimate:
    per_cycle: Values = _whole(values) @ weights
    return Estimate(stratified_mean(values, weights), float(np.std(per_cycle, ddof=1)), interval, per_cycle)


def _whole(values: Values) -> Values:
    """Return the cycles that were not broken off."""
    return values[~np.isnan(values).any(axis=1)]
