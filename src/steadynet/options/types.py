"""An option's type: whether a value is of it, and how a refusal calls it."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin


def members(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union without None; the type itself if it is none."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(member for member in get_args(kind) if member is not type(None))
    return (kind,)


def is_plain(kind: Any) -> bool:
    """Return whether values of the type can be written as options: numbers, texts, switches, choices, and several of one."""
    for member in members(kind):
        inner = get_args(member)
        if get_origin(member) is list or (get_origin(member) is tuple and inner[1:] == (...,)):
            if not is_plain(inner[0]):
                return False
        elif get_origin(member) is not Literal and member not in (int, float, str, bool):
            return False
    return True


def expected(kind: Any) -> str:
    """Return in words what an option of this type takes."""
    words: list[str] = []
    for member in members(kind):
        if get_origin(member) in (list, tuple):
            words.append(expected(get_args(member)[0]) + ", one or more")
        elif get_origin(member) is Literal:
            words.extend(repr(choice) for choice in get_args(member))
        elif get_origin(member) is dict:
            words.append("names with values")
        else:
            words.append({int: "an integer", float: "a number", bool: "true or false"}.get(member, "a text"))
    return " or ".join(words)


def fits(value: Any, kind: Any) -> bool:
    """Return whether `value`, as YAML has it, is of the type; an integer is a number, a switch is neither."""
    for member in members(kind):
        if get_origin(member) in (list, tuple):
            inner = get_args(member)[0]
            values: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
            if values and all(fits(entry, inner) for entry in values):
                return True
        elif get_origin(member) is Literal:
            # True == 1, and is another choice.
            alike = (
                choice for choice in get_args(member) if isinstance(choice, bool) == isinstance(value, bool)
            )
            if value in alike:
                return True
        elif get_origin(member) is dict:
            if isinstance(value, dict):
                return True
        elif isinstance(value, bool) or member is bool:
            if isinstance(value, bool) and member is bool:
                return True
        elif isinstance(value, (int, float) if member is float else member):
            return True
    return False
