"""Two sides measured in turn within one run, and the record of their ratio.

Load, clock and temperature drift, so an absolute time says little and two times taken apart say little of each other.
Here both sides run in every round, one right after the other, and the side that goes first changes from round to round.
A round gives one ratio; reported are the ratios' median, their extremes and quartiles.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Side = Callable[[], object]
Bound = Literal["at most", "at least"]
BOUNDS: tuple[Bound, ...] = ("at most", "at least")


@dataclass(frozen=True)
class Target:
    """What a ratio should be.

    Attributes:
        value: The bound.
        bound: Whether it is the most or the least.
    """

    value: float
    bound: Bound

    def met(self, ratio: float) -> bool:
        """Return whether `ratio` is within the bound."""
        return ratio <= self.value if self.bound == "at most" else ratio >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.bound == 'at most' else '≥'} {self.value:g}"


@dataclass(frozen=True)
class Ratio:
    """One row of the table: what over what, round by round.

    Attributes:
        name: Of the row, unique.
        what: In words.
        above: The numerator of each round.
        below: The denominator of each round.
        unit: Of both: "s" or "bytes", say.
        target: What the ratio should be; None for a row that informs.
        computed: What was computed rather than run, and how; empty if all was run.
        details: Whatever else a reader may ask for, as plain types.
        profile: Where the time goes, if the target is missed: lines of text.
    """

    name: str
    what: str
    above: tuple[float, ...]
    below: tuple[float, ...]
    unit: str = "s"
    target: Target | None = None
    computed: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    profile: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.above or len(self.above) != len(self.below):
            raise ValueError(
                f"{self.name}: {len(self.above)} rounds over {len(self.below)}: give one of each"
            )
        if min(*self.above, *self.below) <= 0:
            raise ValueError(f"{self.name}: every measurement must be above 0")

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each round."""
        return tuple(a / b for a, b in zip(self.above, self.below, strict=True))

    @property
    def median(self) -> float:
        """What is held against the target."""
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile; the one ratio twice if there is but one."""
        if len(self.ratios) == 1:
            return self.ratios[0], self.ratios[0]
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None without one."""
        return None if self.target is None else self.target.met(self.median)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain types, with what follows from the rounds, for JSON."""
        low, high = self.quartiles
        return asdict(self) | {
            "ratios": self.ratios,
            "median": self.median,
            "min": min(self.ratios),
            "max": max(self.ratios),
            "quartiles": [low, high],
            "met": self.met,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Return the ratio that `to_dict` wrote; what follows from the rounds is computed anew."""
        target = plain["target"]
        return cls(
            name=plain["name"],
            what=plain["what"],
            above=tuple(plain["above"]),
            below=tuple(plain["below"]),
            unit=plain["unit"],
            target=None if target is None else Target(target["value"], target["bound"]),
            computed=plain["computed"],
            details=plain["details"],
            profile=tuple(plain["profile"]),
        )


def seconds(side: Side, repeat: int = 1) -> float:
    """Return the wall-clock time of one call, the mean of `repeat` calls in a row."""
    started = time.perf_counter()
    for _ in range(repeat):
        side()
    return (time.perf_counter() - started) / repeat


def alternate(
    first: Side, second: Side, *, rounds: int, repeat: int = 1, warm: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the seconds of both sides, round by round, the order turning from round to round (AB BA AB …).

    Args:
        first: One side.
        second: The other.
        rounds: How many ratios.
        repeat: Calls of a side within a round, for what takes milliseconds.
        warm: Calls of each side before the first round: memory is taken, kernels are chosen.
    """
    return alternate_timed(
        lambda: seconds(first, repeat), lambda: seconds(second, repeat), rounds=rounds, warm=warm
    )


def alternate_timed(
    first: Callable[[], float], second: Callable[[], float], *, rounds: int, warm: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Do as `alternate` with sides that return their own measurement, one in another process, say."""
    sides: Sequence[Callable[[], float]] = (first, second)
    for side in sides:
        for _ in range(warm):
            side()
    times: tuple[list[float], list[float]] = ([], [])
    # A collection within one side would be charged to it alone.
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            for index in (0, 1) if number % 2 == 0 else (1, 0):
                times[index].append(sides[index]())
            gc.collect()
    finally:
        if enabled:
            gc.enable()
    return tuple(times[0]), tuple(times[1])
