"""How the parts of a written study are read: names with values, lists, labels, and refusals that name what is near."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from steadynet.errors import SteadyNetError, unknown
from steadynet.study.flat import Label


def picked(where: str, wanted: Any, labels: Sequence[Label]) -> tuple[Label, ...]:
    """Return one label or several, as written, checked against an axis's.

    Raises:
        SteadyNetError: If one is none of them; the nearest are named.
    """
    chosen = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
    for label in chosen:
        if label not in labels:
            near = difflib.get_close_matches(str(label), [str(known) for known in labels], n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise SteadyNetError(
                f"{where} has no label {label!r}: {hint}known: {', '.join(map(str, labels))}"
            )
    return tuple(chosen)


def as_label(where: str, label: Any) -> Label:
    """Return a label, which is a text or a number."""
    if isinstance(label, bool) or not isinstance(label, str | int | float):
        raise SteadyNetError(f"{where} must be a text or a number, got {label!r}: give labels with options")
    return label


def check_keys(what: str, written: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise if a key is none of those that are known; the nearest are named."""
    for key in written:
        if key not in known:
            raise unknown(what, key, known)


def as_mapping(what: str, value: Any) -> Mapping[str, Any]:
    """Return names with values."""
    if not isinstance(value, Mapping):
        raise SteadyNetError(f"{what} must hold names with values, got {value!r}")
    return cast("Mapping[str, Any]", value)


def as_list(what: str, value: Any) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list | tuple):
        raise SteadyNetError(f"{what} must be a list, got {value!r}")
    return list(cast("Sequence[Any]", value))
