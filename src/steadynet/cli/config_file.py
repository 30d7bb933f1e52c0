"""A YAML file of a command's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steadynet.options.yaml_file import read_yaml


def read_options(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file, by the names that stand in it.

    Raises:
        SteadyNetError: If the file is missing, is no YAML, or holds anything but options, each named once.
    """
    return read_yaml(path, "option --config: ", holds="options, one a line, as in 'epochs: 10'")
