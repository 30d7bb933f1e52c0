"""A YAML file of names and values, read with refusals of one line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from steadynet.errors import SteadyNetError


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice; YAML itself lets the last one win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise SteadyNetError(f"{name!r} stands twice in it: name it once")
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, what: str, *, holds: str) -> dict[str, Any]:
    """Return what a YAML file holds, by the names that stand in it.

    Args:
        path: The file.
        what: What it is, at the start of a refusal.
        holds: What it must hold, with an example, at the end of one.

    Raises:
        SteadyNetError: If the file is missing, is no YAML, or holds anything but names with values, each named once.
    """
    where = f"{what}{path}"
    try:
        if not path.is_file():
            raise SteadyNetError("it is a folder" if path.is_dir() else "there is no such file")
        found: Any = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except SteadyNetError as error:
        raise SteadyNetError(f"{where}: {error}") from None
    except UnicodeDecodeError as error:
        raise SteadyNetError(f"{where} is no text in UTF-8 ({error.reason})") from error
    except OSError as error:
        raise SteadyNetError(f"{where} cannot be read ({error.strerror})") from error
    # Some malformed values, such as a date of 31 February, are ValueErrors.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SteadyNetError(f"{where} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise SteadyNetError(f"{where} must hold {holds}")
    names: dict[Any, Any] = found  # pyright: ignore[reportUnknownVariableType] (YAML)
    for name in names:
        if not isinstance(name, str):
            raise SteadyNetError(f"{where}: {name!r} is no name")
    return names
