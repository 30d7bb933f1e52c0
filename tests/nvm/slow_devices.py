"""A slow, plain simulation of devices for the tests: Python integers and fractions, one device at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# All (M, K) with K dividing M, M up to 8 and up to 16.
SMALL_PAIRS = [(m, k) for m in range(1, 9) for k in range(1, m + 1) if m % k == 0]
ALL_PAIRS = [(m, k) for m in range(1, 17) for k in range(1, m + 1) if m % k == 0]

StdOf = Callable[[int, int], float]  # (level of a device, magnitude of its weight) -> std in levels


def bits(magnitude: int, weight_bits: int) -> list[int]:
    """The binary digits m_0 … m_{M−1}, by repeated division."""
    digits: list[int] = []
    for _ in range(weight_bits):
        magnitude, digit = divmod(magnitude, 2)
        digits.append(digit)
    assert magnitude == 0
    return digits


def levels(magnitude: int, weight_bits: int, device_bits: int) -> list[int]:
    """Level j is Σ_{i<K} m_{jK+i} 2^i."""
    m = bits(magnitude, weight_bits)
    return [
        sum(m[j * device_bits + i] * 2**i for i in range(device_bits))
        for j in range(weight_bits // device_bits)
    ]


def gaussian(sigma_d: float, device_bits: int) -> StdOf:
    """σ_d relative to the largest conductance, 2^K − 1 levels."""
    return lambda level, magnitude: sigma_d * (2**device_bits - 1)


def state_dependent(sigma_d: float, factor: float, rule: str, weight_bits: int, device_bits: int) -> StdOf:
    """σ' = σ/√(0.4 s² + 0.6), times s where 0.25 < x < 0.75, x = level or weight relative to its largest."""

    def std(level: int, magnitude: int) -> float:
        x = (
            Fraction(level, 2**device_bits - 1)
            if rule == "device"
            else Fraction(magnitude, 2**weight_bits - 1)
        )
        sigma = sigma_d / math.sqrt(0.4 * factor**2 + 0.6)
        if Fraction(1, 4) < x < Fraction(3, 4):
            sigma *= factor
        return sigma * (2**device_bits - 1)

    return std


def error_std(magnitude: int, weight_bits: int, device_bits: int, std_of: StdOf, both: bool = False) -> float:
    """The std of Σ_j Δg_j 2^{jK}, in code steps, summed over one weight's devices."""
    variance = 0.0
    for j, level in enumerate(levels(magnitude, weight_bits, device_bits)):
        variance += (std_of(level, magnitude) * 2 ** (j * device_bits)) ** 2
        if both:
            variance += (std_of(0, 0) * 2 ** (j * device_bits)) ** 2
    return math.sqrt(variance)


def simulate(
    magnitude: int,
    weight_bits: int,
    device_bits: int,
    std_of: StdOf,
    times: int,
    rng: np.random.Generator,
    both: bool = False,
) -> NDArray[np.float64]:
    """What `times` weights of one magnitude hold, in code steps, each of their devices drawn by itself."""
    held = np.zeros(times)
    for j, level in enumerate(levels(magnitude, weight_bits, device_bits)):
        conductance = level + std_of(level, magnitude) * rng.standard_normal(times)
        if both:
            conductance -= std_of(0, 0) * rng.standard_normal(times)
        held += conductance * 2 ** (j * device_bits)
    return held
