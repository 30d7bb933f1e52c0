"""Where the time goes: the operations on which one side spends more than the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, cast

from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import Ratio, Side, Target, alternate


def operations(side: Side) -> dict[str, tuple[float, int]]:
    """Return the self CPU milliseconds and the number of calls of every operation in one call of `side`."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        side()
    found = cast("Iterable[Any]", recorded.key_averages())
    return {str(event.key): (float(event.self_cpu_time_total) / 1000, int(event.count)) for event in found}


def excess(above: Side, below: Side, count: int = 12) -> tuple[str, ...]:
    """Return the operations on which `above` spends most more than `below`, as lines of text, largest first.

    Each is called once before it is profiled. Times under the profiler are a little larger than without it.
    """
    above()
    below()
    ours, theirs = operations(above), operations(below)
    lines = [
        f"total {sum(ms for ms, _ in ours.values()):.1f} ms against {sum(ms for ms, _ in theirs.values()):.1f} ms"
    ]

    def more(name: str) -> float:
        return ours.get(name, (0.0, 0))[0] - theirs.get(name, (0.0, 0))[0]

    for name in sorted({*ours, *theirs}, key=more, reverse=True)[:count]:
        (own, own_calls), (other, other_calls) = ours.get(name, (0.0, 0)), theirs.get(name, (0.0, 0))
        lines.append(
            f"{own - other:+9.1f} ms  {name}: {own:.1f} ms in {own_calls} calls against {other:.1f} ms in {other_calls}"
        )
    return tuple(lines)


def measured(
    name: str,
    what: str,
    above: Side,
    below: Side,
    *,
    rounds: int,
    target: Target | None,
    repeat: int = 1,
    profiled: bool,
) -> Ratio:
    """Return the ratio of two sides, with a profile where the target is missed.

    Args:
        name: Of the row.
        what: In words.
        above: The numerator.
        below: The denominator.
        rounds: How many.
        target: What the ratio should be.
        repeat: Calls of a side within a round.
        profiled: Whether a miss is looked into: not at a scale that the target is not meant for.
    """
    numerators, denominators = alternate(above, below, rounds=rounds, repeat=repeat)
    row = Ratio(name, what, numerators, denominators, target=target)
    if row.met is False and profiled:
        row = dataclasses.replace(row, profile=excess(above, below))
    return row
