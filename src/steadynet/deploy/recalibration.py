"""BatchNorm recalibrated after programming: each chip's own statistics, from images without labels."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage] (torch names no public base)

from steadynet.batches import arguments, each, part_of, sample, size_of, split
from steadynet.batchnorm import check_unfolded
from steadynet.chip import call_with
from steadynet.compute import Compute
from steadynet.deploy.held import Tensors, holding
from steadynet.deploy.layers import over_draws
from steadynet.errors import SteadyNetError, check_integer
from steadynet.loader import Loader, as_dataset
from steadynet.montecarlo.estimates import Estimate
from steadynet.nvm.device import Device

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """Accuracy after recalibration on so many images.

    Attributes:
        images: Calibration images; 0 for none.
        accuracy: Over draws.
        gain: Over the same chips without recalibration.
    """

    images: int
    accuracy: Estimate
    gain: Estimate


@dataclass(frozen=True, eq=False)
class Recalibration:
    """How much recalibration regains, by the number of images.

    Attributes:
        points: By number of images, 0 first.
        sigma_d: Of the device.
        draws: Chips.
        seed: Of the chips.
        test_images: Test images.
    """

    points: tuple[Recalibrated, ...]
    sigma_d: float
    draws: int
    seed: int
    test_images: int


def recalibrated_statistics(model: nn.Module, chip: Tensors, batches: Sequence[Any]) -> dict[str, Tensor]:
    """Return BatchNorm's running statistics of a chip, by the names of the buffers, to be put in their place.

    Each batch runs with BatchNorm in training mode and all else in evaluation mode, so each layer sees inputs that the layers
    before it have normalised by the batch's own statistics. The running mean and (unbiased) variance are the plain averages
    of the batches', whatever their sizes, so give batches of one size; with one batch they are exactly those of its images.
    Weights and the model's own buffers stay as they are.

    Args:
        model: The network.
        chip: Its weights on the chip; the clean network's with none.
        batches: Inputs [B, …] each, without labels.

    Raises:
        SteadyNetError: If the network has no BatchNorm with running statistics, or there are fewer than two images.
    """
    layers = _layers(model)
    if not batches or sum(map(size_of, batches)) < 2:
        raise SteadyNetError("recalibration needs two images or more: a variance is taken over them")
    fresh: dict[str, Tensor] = {}
    for name, layer in layers.items():
        for statistic in STATISTICS:
            kept = cast("Tensor", getattr(layer, statistic))
            fresh[f"{name}.{statistic}" if name else statistic] = torch.zeros_like(kept)
    with torch.no_grad(), _learning(model, layers):
        for batch in batches:
            args, kwargs = arguments(batch)
            call_with(model, {**chip, **fresh}, args, kwargs)
    return fresh


def recalibration(
    model: nn.Module,
    device: Device,
    test: Any,
    calibration: Any,
    *,
    images: Sequence[int] = (0, 16, 64, 256, 1024),
    draws: int = 50,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> Recalibration:
    """Return the accuracy of the same chips with their BatchNorm recalibrated on 0, 16, … images.

    Args:
        model: A trained network; it is not changed.
        device: Where it is programmed.
        test: Test images: a map-style dataset of (input, label), or a pair of tensors.
        calibration: Images to recalibrate on, in the same form; their labels are not looked at. Which are
            taken is drawn, the same for all chips; fewer are the first of more.
        images: How many of them, 0 (no recalibration) or at least 2 each; 0 is added where it lacks.
        draws: Chips.
        seed: Of the chips.
        batch_size: Most images of one forward. More calibration images are split into even batches.
        compute: Where it is computed.

    Raises:
        SteadyNetError: If the network has no BatchNorm, there are fewer images than asked for, or an input cannot be used.
    """
    check_integer("draws", draws, at_least=2)
    if not isinstance(images, Sequence):
        raise SteadyNetError(
            f"images must be numbers of images, one or more, got {images!r}: give (0, {images!r})"
        )
    check_unfolded(device)
    _layers(model)
    unlabelled = as_dataset(calibration, "calibration data")
    available: int = len(unlabelled)  # pyright: ignore[reportArgumentType] (checked to be sized)
    counts = sorted({0, *images})
    for count in counts:
        check_integer("calibration images", count, at_least=0)
        if count == 1 or count > available:
            raise SteadyNetError(
                f"calibration on {count} images: give 0, or 2 to {available}, which is how many there are"
            )
    found = np.empty((len(counts), draws))
    with holding(model, device, test, seed=seed, batch_size=batch_size, compute=compute) as held:
        where = next(held.model.parameters()).device
        inputs = (
            Loader(unlabelled, batch_size=1, shuffle=False).batch(sample(counts[-1], available))[0]
            if counts[-1]
            else None
        )
        chips = held.chips()
        for draw in range(draws):
            chip = chips.program(draw, "test")
            for row, count in enumerate(counts):
                statistics: Mapping[str, Tensor] = {}
                if count:
                    chosen = each(lambda one: one.to(where), part_of(inputs, 0, count))
                    statistics = recalibrated_statistics(held.model, chip, even_batches(chosen, batch_size))
                found[row, draw] = held.accuracy({**chip, **statistics})
        test_images = len(held.images)
    points = tuple(
        Recalibrated(count, over_draws(values), over_draws(values - found[0]))
        for count, values in zip(counts, found, strict=True)
    )
    return Recalibration(points, device.sigma_d, draws, seed, test_images)


def even_batches(images: Any, most: int) -> tuple[Any, ...]:
    """Return images in as few batches of at most `most` as can be, of sizes that differ by one image at most.

    Batches weigh alike in the averages, however few images they have: a short last one would weigh as much as a full one.
    None holds a single image, of which there is no variance; where `most` leaves no other way, one holds three.
    """
    count = size_of(images)
    parts = min(-(-count // most), count // 2)
    return tuple(split(images, max(1, parts)))


def _layers(model: nn.Module) -> dict[str, _BatchNorm]:
    found = {
        name: module
        for name, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules())
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    if not found:
        raise SteadyNetError(
            f"{type(model).__name__} has no BatchNorm with running statistics: there is nothing to recalibrate"
        )
    return found


@contextmanager
def _learning(model: nn.Module, layers: Mapping[str, _BatchNorm]) -> Generator[None]:
    """Let BatchNorm alone be in training mode, averaging evenly over batches."""
    modes = {module: module.training for module in model.modules()}
    momenta = {layer: layer.momentum for layer in layers.values()}
    model.eval()
    for layer in layers.values():
        layer.train()
        layer.momentum = None
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for layer, momentum in momenta.items():
            layer.momentum = momentum
