"""An option's type in words: how it takes values, what help says of it."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from steadynet.cli.words import OptionKind
from steadynet.options.types import members

# Options that name a file or folder.
PATHS = ("out", "run", "against", "init", "data_root", "file", "json", "fault_map")


def spell(name: str) -> str:
    """Return an option as it is written on the command line."""
    return "--" + name.replace("_", "-")


def is_switch(kind: Any) -> bool:
    """Return whether an option of this type is a switch."""
    return members(kind) == (bool,)


def kind_of(hint: Any) -> OptionKind:
    """Return how an option of this type takes its values."""
    if is_switch(hint):
        return "switch"
    member = members(hint)[0]
    if get_origin(member) is list:
        return "list"
    if get_origin(member) is dict:
        return "nested" if get_origin(get_args(member)[1]) is dict else "dict"
    return "value"


def metavar(name: str, kind: Any) -> str:
    """Return what help shows for the value of the option `name`."""
    words: list[str] = []
    for member in members(kind):
        if get_origin(member) is list:
            words.append(metavar(name, get_args(member)[0]) + " ...")
        elif get_origin(member) is Literal:
            words.append("|".join(str(choice) for choice in get_args(member)))
        elif get_origin(member) is dict:
            words.append("{...}")
        else:
            text = "PATH" if name in PATHS else "NAME"
            words.append({int: "N", float: "X"}.get(member, text))
    return "|".join(words)
