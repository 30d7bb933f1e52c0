"""Monte Carlo over draws: each chip fixed over the whole test set, many chips."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from steadynet.compute import Compute
from steadynet.errors import check_integer
from steadynet.montecarlo.metrics import DrawSums, entropy
from steadynet.montecarlo.result import MonteCarloResult, from_sums
from steadynet.montecarlo.session import Session
from steadynet.nvm.device import Device
from steadynet.randomness import Stream


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
    compute: Compute | None = None,
) -> MonteCarloResult:
    """Return what accuracy `model` keeps on `device`, over `draws` independent chips: the design "full".

    Every chip is programmed once and sees all images. A chip's errors depend on (seed, stream, draw,
    parameter's name) alone: neither the batch size nor which draws are asked for changes them. Read noise is new for each batch,
    which is a reading of the chip.

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
        batch_size: Images of one forward; changes nothing but memory and speed, unless the device has read noise: then each
            batch is a reading, and fewer readings vary more between chips.
        stream: "test"; "validation" or "pilot" for figures that choose something.
        first_draw: Number of the first chip.
        progress: Whether a progress bar is shown.
        compute: Where and how it is computed, and by how many processes; in this one, where the model lies, if None.

    Raises:
        SteadyNetError: If there are no draws, no images, no weights to program, the output is not finite, or it
            cannot be computed as asked.
    """
    check_integer("draws", draws, at_least=1)
    check_integer("first_draw", first_draw, at_least=0)
    with Session(
        model, device, test, seed=seed, stream=stream, batch_size=batch_size, compute=compute
    ) as session:
        return full(session, device.sigma_d, draws=draws, first_draw=first_draw, progress=progress)


def full(
    session: Session, sigma_d: float, *, draws: int, first_draw: int = 0, progress: bool = False
) -> MonteCarloResult:
    """Return the result at one σ_d, of a session that may be asked for others."""
    device = session.device.at(sigma_d)
    numbers = range(first_draw, first_draw + (1 if device.exact else draws))
    spread = _Spread()
    sums: list[DrawSums] = []
    with _progress(progress, len(numbers), sigma_d) as advance:
        clean, quantised = session.reference()
        for seen in session.draws(sigma_d, numbers):
            spread.add(seen.softmax, seen.entropy)
            sums.append(seen.sums)
            advance()
    return from_sums(
        sums,
        clean=clean,
        quantised=quantised,
        mutual_information=spread.mutual_information(),
        device=device,
        seed=session.seed,
        stream=session.stream,
        first_draw=first_draw,
    )


class _Spread:
    """Mean softmax and mean entropy of each image over draws."""

    def __init__(self) -> None:
        self._p: Tensor | None = None
        self._h: Tensor | None = None
        self._draws = 0

    def add(self, p: Tensor, h: Tensor) -> None:
        # In place: what a draw gave is read once, and its memory serves as the sum's.
        self._p = p if self._p is None else self._p.add_(p)
        self._h = h if self._h is None else self._h.add_(h)
        self._draws += 1

    def mutual_information(self) -> float:
        """H(mean over draws of p) − mean over draws of H(p), averaged over images: the epistemic part."""
        if self._p is None or self._h is None:
            return 0.0
        gap = entropy(self._p / self._draws) - self._h / self._draws
        # Jensen's inequality makes it ≥ 0; rounding may not.
        return max(0.0, float(gap.mean()))


@contextmanager
def _progress(show: bool, total: int, sigma_d: float) -> Generator[Callable[[], None]]:
    if not show:
        yield lambda: None
        return
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as shown:
        task = shown.add_task(f"draws at σ_d {sigma_d:g}", total=total)
        yield lambda: shown.advance(task)
