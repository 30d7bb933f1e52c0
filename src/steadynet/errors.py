"""What SteadyNet raises on bad input, and how a name that is not known is answered."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_LONGEST = 300


class SteadyNetError(ValueError):
    """Input that SteadyNet refuses; its message names the object, the value and the mend in one line.

    The command line prints it and exits with 2. It is a `ValueError`, so that callers of the Python
    API may catch it as they would any other refused argument.
    """


class DivergenceError(SteadyNetError):
    """Training met a loss or a weight that is not finite; the last good checkpoint is kept."""


class DiskFullError(SteadyNetError):
    """A file could not be written for want of space; nothing else that writes there can succeed."""


# Longer lists, as that of all of a library's models, are counted.
_MOST_NAMES = 100


def unknown(kind: str, name: object, known: Iterable[str]) -> SteadyNetError:
    """Return the error for a `name` that is none of the `known` ones, with the nearest of them."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    all_of_them = ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names):,} names"
    return SteadyNetError(f"unknown {kind} {name!r}: {hint}known: {all_of_them}")


def check_bool(what: str, value: object) -> None:
    """Raise unless `value` is True or False; `what` names the option."""
    if not isinstance(value, bool):
        raise SteadyNetError(f"{what} must be True or False, got {value!r}")


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of `choices`; `what` names the option."""
    names = tuple(choices)
    if value not in names:
        raise unknown(what, value, names)


def check_number(
    what: str,
    value: float,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
) -> None:
    """Raise unless `value` is a finite number with `at_least` ≤ value, `above` < value ≤ `at_most`."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if number and value >= at_least and value > above and value <= at_most:
        return
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in (("≥", at_least), (">", above), ("≤", at_most))
        if math.isfinite(bound)
    ]
    raise SteadyNetError(
        f"{what} must be a finite number {' and '.join(bounds)}".rstrip() + f", got {value!r}"
    )


def told(error: BaseException) -> str:
    """Return an error of somebody else's code in one line of bounded length: its type, and what its first line says."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    first = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def is_memory(error: BaseException) -> bool:
    """Return whether an error says that memory does not suffice: torch's do so in words alone."""
    return isinstance(error, MemoryError) or any(
        word in str(error) for word in ("allocate", "overflow", "Overflow")
    )


def check_seed(seed: Any) -> int:
    """Return a seed as a plain integer: one of NumPy's stands for the same draws.

    Raises:
        SteadyNetError: If it is no integer, or below 0.
    """
    plain: Any = seed
    if not isinstance(seed, bool):
        with suppress(TypeError):
            plain = operator.index(seed)
    check_integer("seed", plain, at_least=0)
    return plain


def check_integer(what: str, value: int, *, at_least: int, at_most: float = math.inf) -> None:
    """Raise unless `value` is an integer with `at_least` ≤ value ≤ `at_most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        top = "" if math.isinf(at_most) else f" and ≤ {at_most:g}"
        raise SteadyNetError(f"{what} must be an integer ≥ {at_least}{top}, got {value!r}")
