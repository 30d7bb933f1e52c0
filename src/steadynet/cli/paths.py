"""Options that name a file or folder: checked, and with ~ for the home folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from steadynet.cli.types import PATHS, spell
from steadynet.errors import SteadyNetError
from steadynet.nvm.device_file import is_device_file
from steadynet.recipes.objective.distillation import SELF

FOLDER = "folder:"


def resolve_paths(values: dict[str, Any]) -> None:
    """Replace paths by what they stand for, in place.

    Raises:
        SteadyNetError: If one is empty or none that a file can have.
    """
    for name in PATHS:
        if isinstance(values.get(name), str):
            values[name] = _path(spell(name), values[name])
    # A run's folder keeps them, and is read from elsewhere.
    if isinstance(values.get("device"), str) and is_device_file(values["device"]):
        values["device"] = str(Path(_path("--device", values["device"])).absolute())
    # Of the one recipe, or of each that is compared.
    given = cast("dict[str, Any]", values.get("recipe_options") or {}).values()
    compared = [cast("dict[str, Any]", one) for one in given if isinstance(one, dict)]
    for options in (values, *compared):
        teacher: object = options.get("teacher")
        if isinstance(teacher, str) and teacher not in (SELF, "none"):
            options["teacher"] = str(Path(_path("--teacher", teacher)).absolute())
    if isinstance(values.get("fault_map"), str):
        values["fault_map"] = str(Path(values["fault_map"]).absolute())
    if isinstance(values.get("data"), str) and values["data"].startswith(FOLDER):
        folder = _path("--data folder:PATH", values["data"].removeprefix(FOLDER))
        values["data"] = FOLDER + str(Path(folder).absolute())


def _path(what: str, value: str) -> str:
    """Return a path that is a text, with ~ for the home folder.

    Raises:
        SteadyNetError: If it is empty or none that a file can have.
    """
    if not value.strip():
        raise SteadyNetError(f"option {what} takes a path, got {value!r}")
    try:
        path = Path(value).expanduser()
        if "\0" in value:
            raise ValueError("a null character")
        path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        shown = value if len(value) <= 60 else f"{value[:60]}…"
        raise SteadyNetError(f"option {what}: {shown!r} is no usable path ({error})") from error
    return str(path)
