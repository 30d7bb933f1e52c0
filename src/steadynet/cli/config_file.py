"""A YAML file of options, read with refusals of one line."""

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


def read_options(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file, by the names that stand in it.

    Raises:
        SteadyNetError: If the file is missing, is no YAML, or holds anything but options, each named once.
    """
    where = f"option --config: {path}"
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
        raise SteadyNetError(f"{where} must hold options, one a line, as in 'epochs: 10'")
    options: dict[Any, Any] = found  # pyright: ignore[reportUnknownVariableType]
    for name in options:
        if not isinstance(name, str):
            raise SteadyNetError(f"{where}: {name!r} is no option's name")
    return options
