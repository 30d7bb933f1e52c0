"""A slow simulation in NumPy for the tests: devices of both crossbars one by one, for any law, mapping and range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# (conductance aimed at, relative to the largest; how many) -> what is reached
Law = Callable[[float, int, np.random.Generator], Array]


def sides(code: int, weight_bits: int, crossbars: str) -> tuple[int, ...]:
    """The magnitudes that crossbars hold of a code ≥ 0, the positive first."""
    top = 2**weight_bits - 1
    if crossbars == "one":
        return (code,)
    if crossbars == "both":
        return (code, 0)
    more = (top + code) // 2 + (top + code) % 2
    return (more, more - code)


def simulate(
    code: int, weight_bits: int, device_bits: int, law: Law, times: int, rng: np.random.Generator, *,
    crossbars: str = "one", ratio: float | None = None, after: Callable[[Array], Array] = lambda x: x,
) -> Array:  # fmt: skip
    """What `times` weights of one code ≥ 0 hold, in code steps."""
    least = 0.0 if ratio is None else 1 / ratio
    top = 2**device_bits - 1
    total = np.zeros(times)
    for side, magnitude in enumerate(sides(code, weight_bits, crossbars)):
        for j in range(weight_bits // device_bits):
            level = magnitude // (top + 1) ** j % (top + 1)
            x = after(law(least + (1 - least) * level / top, times, rng))
            total += (1, -1)[side] * (x - least) / (1 - least) * top * (top + 1) ** j
    return total
