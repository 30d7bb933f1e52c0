"""From options to what they name; what needs torch imports it here, when called."""

from __future__ import annotations

import importlib
import os
import sys

from steadynet.errors import SteadyNetError


def make_cwd_importable() -> None:
    """Let import paths name modules of the current folder, as `python -m` does."""
    here = os.getcwd()  # noqa: PTH109  (an entry of sys.path is a string)
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def import_object(what: str, path: str) -> object:
    """Return the object at the import path `path`, as in `my_pkg.recipes.mine`.

    Raises:
        SteadyNetError: If the module cannot be imported or has no such name.
    """
    make_cwd_importable()
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise SteadyNetError(f"{what} {path}: cannot import {module_name} ({error})") from error
    if not hasattr(module, name):
        raise SteadyNetError(f"{what} {path}: {module_name} has no {name!r}")
    return getattr(module, name)
