"""One network on chips: everything that stays the same from chip to chip is done once, here.

A worker holds one `Evaluator`, which does jobs: `Draws` shows chips all images, `Cells` shows each chip a block of them, `Trial`
tries a few chips on a few images.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from steadynet.batches import part_of
from steadynet.compute import Compute
from steadynet.computed import baked
from steadynet.errors import SteadyNetError
from steadynet.mapping import Layout
from steadynet.montecarlo.chunks import SIZES, faster_chunk
from steadynet.montecarlo.forward import Forward
from steadynet.montecarlo.images import Images
from steadynet.montecarlo.intervals import Values
from steadynet.montecarlo.metrics import DrawSums, image_figures, measure
from steadynet.nvm.device import Device
from steadynet.programmer import Programmer
from steadynet.randomness import Stream
from steadynet.replaceable import check_replaceable

PILOT_DRAWS, PILOT_IMAGES = 20, 200
_ROWS = 8192  # images whose figures are taken at once


@dataclass(frozen=True)
class Draws:
    """Chips that each see all images.

    Attributes:
        sigma_d: σ_d that they are programmed at; None for devices that hold exactly what they are aimed at.
        draws: Their numbers; None for the clean network, without a chip.
    """

    sigma_d: float | None
    draws: tuple[int, ...] | None


@dataclass(frozen=True)
class Cells:
    """Chips that each see one block of the images.

    Attributes:
        sigma_d: σ_d that they are programmed at.
        cells: (draw, start, stop): the chip of the draw sees the images start … stop − 1.
    """

    sigma_d: float
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Trial:
    """A few chips on a few images, from draws that no figure uses, to learn costs and variance components.

    Attributes:
        sigma_d: σ_d that they are programmed at.
    """

    sigma_d: float


@dataclass(frozen=True, eq=False)
class Tried:
    """What a trial gave.

    Attributes:
        right: 1 where the image is right on the chip, else 0 [chips, images].
        program_seconds: Mean cost of one programming.
        pass_seconds: Mean cost of computing the images on one chip.
    """

    right: Values
    program_seconds: float
    pass_seconds: float


@dataclass(frozen=True, eq=False)
class Seen:
    """What one chip over all images gave.

    Attributes:
        sums: Over the images.
        softmax: Of each image [T, C], float64.
        entropy: Of each image's softmax [T], in nats.
    """

    sums: DrawSums
    softmax: Tensor
    entropy: Tensor


@dataclass(frozen=True, eq=False)
class Work:
    """What an evaluator is made of; each worker gets it once.

    Attributes:
        model: A trained network.
        device: Where it is programmed; jobs say at which σ_d.
        layout: What of it lies on devices.
        dataset: Test images.
        order: Their indices in the order that cells count [T].
        seed: Of the chips.
        stream: Of the chips.
        batch_size: The most images of one forward.
        compute: How.
    """

    model: nn.Module
    device: Device
    layout: Layout
    dataset: Dataset[Any]
    order: Tensor
    seed: int
    stream: Stream
    batch_size: int
    compute: Compute

    def detached(self) -> Work:
        """Return it with a copy of the model on the CPU, to be sent to other processes.

        Raises:
            SteadyNetError: If the model holds what cannot be copied.
        """
        try:
            # Torch sends no parametrised layer to other processes, and in evaluation it computes what its result would.
            model = baked(copy.deepcopy(self.model)).cpu()
        except (TypeError, ValueError, AttributeError, RuntimeError, pickle.PicklingError) as error:
            raise SteadyNetError(
                f"{type(self.model).__name__} cannot be copied for other processes ({' '.join(str(error).split())}): "
                "set processes to 1, or leave out what it holds beside weights"
            ) from error
        # They compute where the model lay, unless told otherwise.
        home = str(next(self.model.parameters()).device)
        compute = dataclasses.replace(self.compute, device=self.compute.device or home)
        return dataclasses.replace(self, model=model, compute=compute)


def build(work: Work) -> Callable[[Any], Any]:
    """Return what does the jobs of a worker."""
    return Evaluator(work).do


class Evaluator:
    """Chips of one network over images."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._forward = Forward(work.model, work.compute)
        self._images = Images(
            work.dataset, work.order, self._forward.device, channels_last=work.compute.channels_last
        )
        check_replaceable(work.model, work.layout, self._images.part(0, min(2, len(self._images)))[0])
        self._chunk: int | str = work.compute.chunk
        self._programmed: tuple[float | None, Programmer] | None = None

    def do(self, job: Draws | Cells | Trial) -> Any:
        """Return what a job asks for: `Seen` of each draw, the figures of each cell, or `Tried`."""
        with torch.no_grad(), self._forward.context():
            if isinstance(job, Draws):
                return [self._clean()] if job.draws is None else self._draws(job.sigma_d, job.draws)
            if isinstance(job, Cells):
                return self._cells(job)
            return self._trial(job.sigma_d)

    def _clean(self) -> Seen:
        return self._seen(lambda inputs, _at: self._forward.one({}, inputs)[None])[0]

    def _draws(self, sigma_d: float | None, draws: tuple[int, ...]) -> list[Seen]:
        programmer, stream = self._programmer(sigma_d), self._work.stream
        size = self._chunk
        if isinstance(size, str) and len(draws) < SIZES[0]:
            # Too few to try chunks on, as the reference without error, which is one chip: decided by the next job.
            size = 1
        elif isinstance(size, str):
            inputs, _ = next(self._batches())
            # Others of this machine measure the same free memory.
            share = 1 / self._work.compute.processes
            self._chunk = size = faster_chunk(self._forward, programmer, inputs, draws, stream, share=share)
        found: list[Seen] = []
        for start in range(0, len(draws), size):
            some = draws[start : start + size]
            told = f"draw {some[0]}" if len(some) == 1 else f"one of draws {some[0]} to {some[-1]}"
            with _named(told if sigma_d is None else f"{told} at sigma_d {sigma_d:g}"):
                found += self._seen(self._reading(programmer.chips(some, stream), len(some)))
        return found

    def _cells(self, job: Cells) -> Values:
        """Return accuracy, NLL, Brier score and EKL's numerator of each cell, per image of its block [cells, 4]."""
        programmer = self._programmer(job.sigma_d)
        logits: list[Tensor] = []
        truth: list[Tensor] = []
        for draw, start, stop in job.cells:
            inputs, labels = self._images.part(start, stop)
            compute = self._reading(programmer.chips([draw], self._work.stream), 1)
            size = self._work.batch_size
            # Images have the readings of their places, whichever blocks they are cut into.
            parts = [
                compute(part_of(inputs, at, at + size), start + at)[0] for at in range(0, stop - start, size)
            ]
            logits.append(torch.cat(parts) if len(parts) > 1 else parts[0])
            truth.append(labels)
        try:
            found = image_figures(torch.cat(logits), torch.cat(truth))
        except (SteadyNetError, RuntimeError):
            # Which cell it was shows when each is looked at by itself.
            for (draw, _, _), own, labels in zip(job.cells, logits, truth, strict=True):
                with _named(f"draw {draw} at sigma_d {job.sigma_d:g}"):
                    image_figures(own, labels)
            raise
        table = torch.stack([found.correct.double(), found.nll, found.brier, found.ekl], dim=1).numpy()
        sizes = np.array([stop - start for _, start, stop in job.cells])
        sums: Values = np.add.reduceat(table, np.cumsum(sizes) - sizes, axis=0)
        return sums / sizes[:, None]

    def _trial(self, sigma_d: float) -> Tried:
        inputs, labels = self._images.part(0, min(PILOT_IMAGES, len(self._images)))
        programmer = self._programmer(sigma_d)
        right: list[Values] = []
        programming = computing = 0.0
        for draw in range(PILOT_DRAWS):
            begun = time.perf_counter()
            chip = programmer.program(draw, "pilot")
            self._forward.synchronise()
            halfway = time.perf_counter()
            predicted = self._forward.one(chip, inputs).argmax(1).cpu()
            right.append((predicted == labels).double().numpy())
            if draw:  # The first draw pays for what is set up once.
                programming += halfway - begun
                computing += time.perf_counter() - halfway
        return Tried(np.array(right), programming / (PILOT_DRAWS - 1), computing / (PILOT_DRAWS - 1))

    def _batches(self) -> Iterator[tuple[Any, Tensor]]:
        return self._images.parts(self._work.batch_size)

    def _reading(self, chips: Callable[[int], dict[str, Tensor]], count: int) -> Callable[[Any, int], Tensor]:
        """Return what gives the logits [D, B, C] of a batch that begins at an image's place: a reading of its own."""

        def compute(inputs: Any, at: int) -> Tensor:
            read = chips(at)
            if count > 1:
                return self._forward.many(read, inputs)
            return self._forward.one({name: stacked[0] for name, stacked in read.items()}, inputs)[None]

        return compute

    def _programmer(self, sigma_d: float | None) -> Programmer:
        if self._programmed is None or self._programmed[0] != sigma_d:
            programmer = Programmer(
                self._forward.model,
                self._work.device.ideal if sigma_d is None else self._work.device.at(sigma_d),
                self._work.layout,
                seed=self._work.seed,
                dtype=torch.bfloat16 if self._forward.half else None,
            )
            self._programmed = sigma_d, programmer
        return self._programmed[1]

    def _seen(self, compute: Callable[[Any, int], Tensor]) -> list[Seen]:
        """Return what each chip gives over all images, `compute` returning the logits [D, B, C] of a batch at its place."""
        batches: list[Tensor] = []
        labels: list[Tensor] = []
        at = 0
        for inputs, own in self._batches():
            batches.append(compute(inputs, at))
            labels.append(own)
            at += len(own)
        # All is computed before any is fetched, so that a GPU need not wait for the host.
        every, truth = torch.cat(batches, dim=1).cpu(), torch.cat(labels)
        return [_figures(logits, truth) for logits in every]


def _figures(logits: Tensor, labels: Tensor) -> Seen:
    parts = [
        measure(logits[start : start + _ROWS], labels[start : start + _ROWS])
        for start in range(0, len(logits), _ROWS)
    ]
    sums = parts[0][0]
    for other, _, _ in parts[1:]:
        sums = sums + other
    return Seen(sums, torch.cat([p for _, p, _ in parts]), torch.cat([h for _, _, h in parts]))


@contextmanager
def _named(what: str) -> Generator[None]:
    """Say in an error which chip it was."""
    try:
        yield
    except SteadyNetError as error:
        raise SteadyNetError(f"{what}: {error}") from error
