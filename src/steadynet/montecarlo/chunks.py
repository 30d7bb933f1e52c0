"""How many chips to compute at once: what is faster on the first images, by the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.hardware import free_memory
from steadynet.montecarlo.forward import Forward
from steadynet.programmer import Programmer
from steadynet.randomness import Stream

SIZES = (4, 16)


def faster_chunk(
    forward: Forward,
    programmer: Programmer,
    inputs: Any,
    draws: Sequence[int],
    stream: Stream,
    *,
    share: float = 1.0,
) -> int:
    """Return how many of the chips of `draws` at once take the least time each; 1 is the loop.

    Sizes grow while they gain and fit in half of the free memory, or of this worker's `share` of it. A network without batching
    rules runs by the loop.
    """
    # A grouped convolution holds its input, its output and a copy of one of them.
    each = 2 * forward.footprint(inputs) + programmer.bytes
    best, least = 1, _seconds(forward, programmer, inputs, draws[:1], stream)
    for size in SIZES:
        if size > len(draws) or size * each > share * free_memory(forward.device) / 2:
            break
        try:
            seconds = _seconds(forward, programmer, inputs, draws[:size], stream)
        except SteadyNetError:
            break
        if seconds >= least:
            break
        best, least = size, seconds
    # What was tried took memory for as many chips.
    programmer.forget()
    return best


def _seconds(
    forward: Forward, programmer: Programmer, inputs: Any, draws: Sequence[int], stream: Stream
) -> float:
    """Return the time of one chip, programmed and computed among `draws`; the better of two."""
    taken: list[float] = []
    for _ in range(2):
        begun = time.perf_counter()
        if len(draws) == 1:
            forward.one(programmer.program(draws[0], stream), inputs)
        else:
            forward.many(programmer.program_many(draws, stream), inputs)
        forward.synchronise()
        taken.append((time.perf_counter() - begun) / len(draws))
    return min(taken)
