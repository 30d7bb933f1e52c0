"""Means over chips and images for a fraction of the work: every block of images is seen by chips of its own.

Chips differ far more than images do, so R chips over all images buy little that R chips over a few images each would
not. The shuffled test set is cut into B blocks, fixed from cycle to cycle; in cycle c block b is seen by the chip of draw
c B + b. A cycle costs one pass over the images and B programmings, and holds B independent chips. What it cannot give is
any figure of a single chip over all images: percentiles, the worst chip, a yield, calibration per chip.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Subset

from steadynet.chip import program, run
from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.loader import Loader, as_dataset
from steadynet.mapping import Layout, check_finite, layout
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import Interval, Values
from steadynet.montecarlo.metrics import measure
from steadynet.montecarlo.pilot import FIRST_LOOK, Pilot, from_table
from steadynet.montecarlo.stratified import stratified_interval, stratified_mean, stratified_ratio
from steadynet.nvm.device import Device
from steadynet.randomness import Stream, stable_seed

PILOT_DRAWS, PILOT_IMAGES = 20, 200


@dataclass(frozen=True, eq=False)
class BlockResult:
    """Means over chips and images of one trained network, by blocks.

    Intervals are over chips, on these images: they speak neither of other trainings nor of other test images.

    Attributes:
        sigma_d: σ_d of the device.
        device: The device in words.
        seed: Seed of the draws.
        images: Test images.
        blocks: B.
        cycles: C; there were B · C draws.
        half_width: What was asked for.
        reached: Whether the accuracy's interval is as narrow.
        accuracy: Top-1 accuracy, as a fraction. Its values are those of the cycles, each over all images.
        nll: Negative log-likelihood per image, in nats.
        brier: Brier score per image.
        ekl: Mean −log p_y over the correct predictions.
        seconds: Wall-clock time, pilot included.
        pilot: What B was chosen by; None where it was given.
    """

    sigma_d: float
    device: str
    seed: int
    images: int
    blocks: int
    cycles: int
    half_width: float
    reached: bool
    accuracy: Estimate
    nll: Estimate
    brier: Estimate
    ekl: Estimate
    seconds: float
    pilot: Pilot | None

    @property
    def draws(self) -> int:
        """B · C, the number of chips, each seen by one block."""
        return self.blocks * self.cycles

    def percentile(self, k: float) -> NoReturn:
        """Raise `SteadyNetError`: no chip saw all images."""
        raise SteadyNetError(
            f"percentile {k:g} needs chips that each see all images: use monte_carlo(…) with draws=…"
        )

    def yield_at(self, accuracy: float) -> NoReturn:
        """Raise `SteadyNetError`: no chip saw all images."""
        raise SteadyNetError(
            f"the yield at {accuracy:g} needs chips that each see all images: use monte_carlo(…) with draws=…"
        )

    def summary(self) -> str:
        """Return the figures as lines of text, with draws, seed, and what the intervals are of."""
        lines = [
            f"{self.blocks} blocks × {self.cycles} cycles = {self.draws} chips (seed {self.seed}) of {self.device}, "
            f"{self.images} images, {self.seconds:.1f} s",
            f"accuracy            {self.accuracy.mean:.2%} ± {100 * self.accuracy.half_width:.2f} points"
            + ("" if self.reached else f" (asked for: {100 * self.half_width:g}; raise max_draws)"),
        ]
        lines += [
            f"{label:<20}{getattr(self, name)}"
            for name, label in (("ekl", "EKL"), ("nll", "neg. log-likelihood"), ("brier", "Brier score"))
        ]
        lines.append("± : 95 % interval over chips of this one network; not over trainings or test images")
        return "\n".join(lines)


def block_monte_carlo(
    model: nn.Module,
    device: Device,
    test: Any,
    *,
    half_width: float = 0.005,
    blocks: int | None = None,
    max_draws: int = 20_000,
    seed: int = 0,
    stream: Stream = "test",
) -> BlockResult:
    """Return the mean accuracy that `model` keeps on `device`, with an interval as narrow as asked for.

    Cycles are run until the 95 % interval of the accuracy is narrow enough, looking first at 100 block draws. The
    images' order is a function of their number alone, so two networks of a seed share chips and blocks.

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
        half_width: Of the interval, as a fraction: 0.005 is half a point.
        blocks: B; chosen by a pilot of 20 chips on 200 images if None. The pilot's draws are in no figure.
        max_draws: The most block draws; where they do not suffice, `reached` is False.
        seed: Of the chips.
        stream: "test"; "validation" for figures that choose something.

    Raises:
        SteadyNetError: If a number is out of range, blocks outnumber images, max_draws does not allow two cycles and the
            first look, or anything that `monte_carlo` refuses.
    """
    check_number("half_width", half_width, above=0, at_most=0.5)
    check_integer("max_draws", max_draws, at_least=FIRST_LOOK)
    if device.sigma_d == 0:
        raise SteadyNetError("at sigma_d 0 all chips are alike: monte_carlo runs the one there is")
    dataset = as_dataset(test, "test data")
    images = len(dataset)  # pyright: ignore[reportArgumentType] (as_dataset checks it)
    if images < 2:
        raise SteadyNetError(f"blocks need at least 2 images, got {images}")
    if blocks is not None:
        check_integer("blocks", blocks, at_least=1)
        if blocks > images:
            raise SteadyNetError(
                f"{blocks} blocks are more than the {images} images: ask for {images} or fewer"
            )
        if 2 * blocks > max_draws:
            raise SteadyNetError(
                f"max_draws {max_draws} allows no two cycles over {blocks} blocks: raise it to {2 * blocks} or more"
            )
    where = layout(model, device)
    check_finite(model)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(stable_seed("blocks", images)))
    work = _Work(model, device, where, dataset, order, seed)
    started = time.perf_counter()
    modes = [module.training for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            pilot = None if blocks is not None else work.pilot()
            if blocks is None and pilot is not None:
                blocks = min(pilot.blocks(images, half_width), max_draws // 2)
            parts = work.cut(blocks or 1)
            cycles: list[Values] = []
            while not _enough(cycles, parts, half_width, max_draws):
                first = len(cycles) * len(parts)
                rows = [work.block(part, first + b, stream) for b, part in enumerate(parts)]
                cycles.append(np.array(rows, dtype=np.float64))
    finally:
        for module, training in zip(model.modules(), modes, strict=True):
            module.training = training
    return _result(work, parts, cycles, half_width, time.perf_counter() - started, pilot)


class _Work:
    """The model on chips, block by block."""

    def __init__(
        self, model: nn.Module, device: Device, where: Layout, dataset: Any, order: Tensor, seed: int
    ) -> None:
        self.model, self.device, self.where, self.seed = model, device, where, seed
        self.dataset, self.order = dataset, order
        self.target = next(model.parameters()).device

    def cut(self, blocks: int) -> list[tuple[Any, Tensor]]:
        """Return the images and labels of each block, in memory; sizes differ by one at most."""
        return [self._fetch(part) for part in torch.tensor_split(self.order, blocks)]

    def block(self, part: tuple[Any, Tensor], draw: int, stream: Stream) -> tuple[float, float, float, float]:
        """Return accuracy, NLL, Brier score and EKL's numerator, each per image of the block, on the chip of `draw`."""
        logits = self._logits(part[0], draw, stream)
        sums = measure(logits, part[1])[0]
        return (
            sums.correct / sums.images,
            sums.nll / sums.images,
            sums.brier / sums.images,
            sums.ekl / sums.images,
        )

    def pilot(self) -> Pilot:
        """Return costs and variance components, from the draws of the stream "pilot" on some of the images."""
        chosen = self.order[:PILOT_IMAGES]
        inputs, labels = self._fetch(chosen)
        right: list[Values] = []
        programming = computing = 0.0
        for draw in range(PILOT_DRAWS):
            begun = time.perf_counter()
            chip = program(
                self.model, self.device, seed=self.seed, draw=draw, stream="pilot", layout=self.where
            )
            halfway = time.perf_counter()
            predicted = run(self.model, chip, inputs).argmax(1).cpu()
            right.append((predicted == labels).double().numpy())
            if draw:  # The first draw pays for what is set up once.
                programming += halfway - begun
                computing += time.perf_counter() - halfway
        return from_table(np.array(right), programming / (PILOT_DRAWS - 1), computing / (PILOT_DRAWS - 1))

    def _fetch(self, indices: Tensor) -> tuple[Any, Tensor]:
        if isinstance(self.dataset, ImageSet):
            inputs, labels = self.dataset.batch(indices, augment_key=None)
        else:
            subset: Subset[Any] = Subset(self.dataset, cast("list[int]", indices.tolist()))
            inputs, labels = next(iter(Loader(subset, batch_size=len(indices), shuffle=False)))
        return inputs.to(self.target), labels

    def _logits(self, inputs: Any, draw: int, stream: Stream) -> Tensor:
        chip = program(self.model, self.device, seed=self.seed, draw=draw, stream=stream, layout=self.where)
        return run(self.model, chip, inputs)


def _enough(cycles: Sequence[Values], parts: Sequence[Any], half_width: float, max_draws: int) -> bool:
    draws = len(cycles) * len(parts)
    if len(cycles) < 2:
        return False
    if draws + len(parts) > max_draws:
        return True
    if draws < FIRST_LOOK:
        return False
    return _accuracy(cycles, parts).half_width <= half_width


def _weights(parts: Sequence[tuple[Any, Tensor]]) -> tuple[Values, Values]:
    """Return each block's share of the images, and the least by which its accuracy can deviate."""
    sizes = np.array([len(labels) for _, labels in parts], dtype=np.float64)
    return sizes / sizes.sum(), 1 / sizes


def _accuracy(cycles: Sequence[Values], parts: Sequence[tuple[Any, Tensor]]) -> Estimate:
    weights, deviation = _weights(parts)
    values: Values = np.array(cycles)[:, :, 0]
    low, high = stratified_interval(values, weights, deviation=deviation)
    return _estimate(values, weights, (max(0.0, low), min(1.0, high)))


def _estimate(values: Values, weights: Values, interval: tuple[float, float]) -> Estimate:
    per_cycle: Values = values @ weights
    return Estimate(
        stratified_mean(values, weights), float(np.std(per_cycle, ddof=1)), Interval(*interval), per_cycle
    )


def _result(
    work: _Work,
    parts: Sequence[tuple[Any, Tensor]],
    cycles: Sequence[Values],
    half_width: float,
    seconds: float,
    pilot: Pilot | None,
) -> BlockResult:
    weights, _ = _weights(parts)
    table: Values = np.array(cycles)
    accuracy = _accuracy(cycles, parts)
    nll, brier = (
        _estimate(table[:, :, i], weights, stratified_interval(table[:, :, i], weights)) for i in (1, 2)
    )
    ratio, interval = stratified_ratio(table[:, :, 3], table[:, :, 0], weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        each: Values = (table[:, :, 3] @ weights) / (table[:, :, 0] @ weights)
    return BlockResult(
        sigma_d=work.device.sigma_d,
        device=str(work.device),
        seed=work.seed,
        images=len(work.order),
        blocks=len(parts),
        cycles=len(cycles),
        half_width=half_width,
        reached=accuracy.half_width <= half_width,
        accuracy=accuracy,
        nll=nll,
        brier=brier,
        ekl=Estimate(ratio, float(np.std(each, ddof=1)), interval, each),
        seconds=seconds,
        pilot=pilot,
    )
