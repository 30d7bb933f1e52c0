"""One evaluation from its first chip to its last: images loaded, weights quantised and workers started once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from steadynet.compute import Compute
from steadynet.errors import SteadyNetError, check_integer
from steadynet.loader import as_dataset
from steadynet.mapping import check_finite, layout
from steadynet.montecarlo.chunks import SIZES
from steadynet.montecarlo.evaluator import Cells, Draws, Seen, Trial, Tried, Work, build
from steadynet.montecarlo.intervals import Values
from steadynet.montecarlo.metrics import DrawSums
from steadynet.nvm.device import Device
from steadynet.randomness import Stream, stable_seed
from steadynet.workers import Pool, open_workers


class Session:
    """A network on a kind of device, to be asked for chips at any σ_d; a context, after which the model is as before.

    Args:
        model: A trained network.
        device: Where it is programmed; questions name their σ_d.
        test: A map-style dataset of (input, label), or a pair of tensors.
        seed: Of the chips.
        stream: Of the chips.
        batch_size: The most images of one forward.
        compute: How it is computed.
        shuffled: Whether images are counted in a random order, which is a function of their number alone.

    Raises:
        SteadyNetError: If there are no images, no weights to program, or the workers cannot be had.
    """

    def __init__(
        self,
        model: nn.Module,
        device: Device,
        test: Any,
        *,
        seed: int,
        stream: Stream,
        batch_size: int = 500,
        compute: Compute | None = None,
        shuffled: bool = False,
    ) -> None:
        check_integer("batch_size", batch_size, at_least=1)
        if shuffled and compute is not None and compute.chunk != 1:
            raise SteadyNetError(
                "chunk is for chips that each see all images: leave it out with blocks of images"
            )
        self.device, self.seed = device, seed
        self.stream: Stream = stream
        self._compute = compute or Compute()
        where = layout(model, device)
        check_finite(model)
        dataset = as_dataset(test, "test data")
        self.images = len(dataset)  # pyright: ignore[reportArgumentType] (as_dataset checks it)
        order = torch.arange(self.images)
        if shuffled:
            generator = torch.Generator().manual_seed(stable_seed("blocks", self.images))
            order = torch.randperm(self.images, generator=generator)
        self._model = model
        self._work = Work(model, device, where, dataset, order, seed, stream, batch_size, self._compute)
        self._home = next(model.parameters()).device
        self._modes = [module.training for module in model.modules()]
        self._pool: Pool[Any, Any] | None = None
        self._reference: tuple[DrawSums, DrawSums] | None = None

    def __enter__(self) -> Self:
        try:
            # Other processes get a copy; this one's model is moved, and given back at the end.
            work = self._work if self._compute.alone else self._work.detached()
            self._pool = open_workers(build, (work,), self._compute.processes, self._compute.ray)
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close()
        self._give_back()

    def reference(self) -> tuple[DrawSums, DrawSums]:
        """Return the sums of the clean network, and of the quantised one without error."""
        if self._reference is None:
            clean, quantised = self._open().map([Draws(None, None), Draws(None, (0,))])
            self._reference = clean[0].sums, quantised[0].sums
        return self._reference

    def draws(self, sigma_d: float, numbers: Sequence[int]) -> Iterator[Seen]:
        """Yield what each chip gave over all images, in the order of `numbers`, whoever computed it."""
        chunk = SIZES[-1] if self._compute.chunk == "auto" else self._compute.chunk
        jobs = [
            Draws(sigma_d, tuple(numbers[start : start + chunk])) for start in range(0, len(numbers), chunk)
        ]
        # Sums of floats depend on their order: what comes too soon waits.
        early: dict[int, list[Seen]] = {}
        turn = 0
        for index, result in self._open().stream(jobs):
            early[index] = result
            while turn in early:
                yield from early.pop(turn)
                turn += 1

    def trial(self, sigma_d: float) -> Tried:
        """Return costs and what is right on a few chips and images, from draws that no figure uses."""
        return self._open().map([Trial(sigma_d)])[0]

    def cells(self, sigma_d: float, cells: Sequence[tuple[int, int, int]]) -> Values:
        """Return accuracy, NLL, Brier score and EKL's numerator of (draw, start, stop), per image [cells, 4]."""
        pool = self._open()
        # A few jobs for each worker, so that none waits long for the last.
        size = max(1, -(-len(cells) // (4 * pool.size))) if pool.size > 1 else len(cells)
        jobs = [Cells(sigma_d, tuple(cells[start : start + size])) for start in range(0, len(cells), size)]
        return np.concatenate(pool.map(jobs))

    def _open(self) -> Pool[Any, Any]:
        if self._pool is None:
            raise RuntimeError("a Session is a context: use it in a with statement")
        return self._pool

    def _give_back(self) -> None:
        self._model.to(self._home)
        for module, training in zip(self._model.modules(), self._modes, strict=True):
            module.training = training
