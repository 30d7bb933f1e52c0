"""Monte Carlo over draws: each chip fixed over the whole test set, many chips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.chip import program, run
from steadynet.errors import SteadyNetError, check_integer
from steadynet.loader import Loader
from steadynet.mapping import Layout, check_finite, layout
from steadynet.montecarlo.metrics import DrawSums, entropy, measure
from steadynet.montecarlo.result import MonteCarloResult, from_sums
from steadynet.nvm.device import Device
from steadynet.randomness import Stream

# Batches are kept in memory up to this many bytes, so that images are decoded and normalised once.
_KEEP_BYTES = 2 * 2**30


def monte_carlo(
    model: nn.Module,
    device: Device,
    test: Any,
    *,
    draws: int = 200,
    seed: int = 0,
    batch_size: int = 500,
    stream: Stream = "test",
    first_draw: int = 0,
    progress: bool = False,
    compute_device: torch.device | str | None = None,
) -> MonteCarloResult:
    """Return what accuracy `model` keeps on `device`, over `draws` independent chips.

    Every chip is programmed once and sees all images. A chip's errors depend on (seed, stream, draw,
    parameter's name) alone: neither the batch size nor which draws are asked for changes them.

    Example:
        >>> import steadynet as sn, torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> x, y = torch.randn(30, 1, 4, 4), torch.arange(30) % 3
        >>> result = sn.monte_carlo(net, sn.Device(variation=sn.Gaussian(0.1)), (x, y), draws=5)
        >>> len(result.accuracy.values)
        5

    Args:
        model: A trained network; its mode and weights are as before afterwards.
        device: Where it is programmed. With σ_d = 0 every chip is the same, and one is run.
        test: A map-style dataset of (input, label), or a pair of tensors.
        draws: R, number of chips.
        seed: Of the chips.
        batch_size: Images of one forward; changes nothing but memory and speed.
        stream: "test"; "validation" or "pilot" for figures that choose something.
        first_draw: Number of the first chip.
        progress: Whether a progress bar is shown.
        compute_device: Where to compute; where the model lies if None.

    Raises:
        SteadyNetError: If there are no draws, no images, no weights to program, or the output is not finite.
    """
    check_integer("draws", draws, at_least=1)
    check_integer("first_draw", first_draw, at_least=0)
    check_integer("batch_size", batch_size, at_least=1)
    where = layout(model, device)
    check_finite(model)
    home = next(model.parameters()).device
    target = torch.device(compute_device) if compute_device is not None else home
    batches = _Batches(Loader(test, batch_size=batch_size, shuffle=False), target)
    deterministic = device.sigma_d == 0
    numbers = range(first_draw, first_draw + (1 if deterministic else draws))
    modes = [module.training for module in model.modules()]
    try:
        model.eval().to(target)
        with torch.no_grad(), _progress(progress, len(numbers), device.sigma_d) as advance:
            clean = _pass(model, None, batches)[0]
            quantised = _pass(model, program(model, device.at(0.0), layout=where), batches)[0]
            spread = _Spread()
            sums: list[DrawSums] = []
            for draw in numbers:
                total = _draw(model, device, where, batches, seed, draw, stream, spread)
                sums.append(total)
                advance()
    finally:
        model.to(home)
        for module, training in zip(model.modules(), modes, strict=True):
            module.training = training
    return from_sums(
        sums,
        clean=clean,
        quantised=quantised,
        mutual_information=spread.mutual_information(),
        device=device,
        seed=seed,
        stream=stream,
        first_draw=first_draw,
    )


def _draw(
    model: nn.Module,
    device: Device,
    where: Layout,
    batches: _Batches,
    seed: int,
    draw: int,
    stream: Stream,
    spread: _Spread,
) -> DrawSums:
    chip = program(model, device, seed=seed, draw=draw, stream=stream, layout=where)
    try:
        total, p, h = _pass(model, chip, batches)
    except SteadyNetError as error:
        raise SteadyNetError(f"draw {draw} at sigma_d {device.sigma_d:g}: {error}") from error
    spread.add(p, h)
    return total


def _pass(model: nn.Module, chip: Any, batches: _Batches) -> tuple[DrawSums, Tensor, Tensor]:
    """Return the sums over all images, each image's softmax [T, C] and entropy [T]."""
    total: DrawSums | None = None
    softmax: list[Tensor] = []
    entropies: list[Tensor] = []
    for inputs, labels in batches:
        logits = model(inputs) if chip is None else run(model, chip, inputs)
        sums, p, h = measure(logits, labels)
        total = sums if total is None else total + sums
        softmax.append(p)
        entropies.append(h)
    if total is None:
        raise SteadyNetError("the test data is empty")
    return total, torch.cat(softmax), torch.cat(entropies)


class _Spread:
    """Mean softmax and mean entropy of each image over draws."""

    def __init__(self) -> None:
        self._p: Tensor | None = None
        self._h: Tensor | None = None
        self._draws = 0

    def add(self, p: Tensor, h: Tensor) -> None:
        self._p = p if self._p is None else self._p + p
        self._h = h if self._h is None else self._h + h
        self._draws += 1

    def mutual_information(self) -> float:
        """H(mean over draws of p) − mean over draws of H(p), averaged over images: the epistemic part."""
        if self._p is None or self._h is None:
            return 0.0
        gap = entropy(self._p / self._draws) - self._h / self._draws
        # Jensen's inequality makes it ≥ 0; rounding may not.
        return max(0.0, float(gap.mean()))


class _Batches:
    """The test set's batches on the computing device, kept in memory if they fit."""

    def __init__(self, loader: Loader, device: torch.device) -> None:
        self._loader = loader
        self._device = device
        self._kept: list[tuple[Any, Tensor]] | None = None

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[tuple[Any, Tensor]] = []
        size = 0
        self._loader.set_epoch(0)
        for inputs, labels in self._loader:
            inputs = inputs.to(self._device)
            size += inputs.numel() * inputs.element_size()
            if size <= _KEEP_BYTES:
                kept.append((inputs, labels))
            yield inputs, labels
        if size <= _KEEP_BYTES:
            self._kept = kept


class _Advance:
    def __init__(self, step: Any = None) -> None:
        self._step = step

    def __call__(self) -> None:
        if self._step is not None:
            self._step()


def _progress(show: bool, total: int, sigma_d: float) -> AbstractContextManager[_Advance]:
    if not show:
        return nullcontext(_Advance())
    from contextlib import contextmanager

    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    @contextmanager
    def bar() -> Any:
        with Progress(
            *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()
        ) as shown:
            task = shown.add_task(f"draws at σ_d {sigma_d:g}", total=total)
            yield _Advance(lambda: shown.advance(task))

    return bar()
