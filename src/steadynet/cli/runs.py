"""Folders of runs: their weights, and what they may be carried on with."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from steadynet.cli.parser import CONFIG_NAME, Options, saved_options
from steadynet.errors import SteadyNetError
from steadynet.options.groups import DataOptions

if TYPE_CHECKING:
    from steadynet.data import DataSplits

BACKBONE = "backbone.safetensors"
# Options that a run may be carried on with, whatever it was started with: where and how, not what, it computes.
FREE = (
    "out", "data_root", "progress", "threads", "workers", "processes", "checkpoint_every", "loggers", "accelerator",
    "devices", "nodes", "init", "memory", "hand_over",
)  # fmt: skip


# Runs that a refusal names.
_NAMED = 4


def trained_weights(run: Path) -> Path:
    """Return the file of weights of a run's folder, or the file itself.

    Raises:
        SteadyNetError: If there is none.
    """
    if run.is_file():
        return run
    if (run / BACKBONE).is_file():
        return run / BACKBONE
    if run.is_dir():
        if (run / CONFIG_NAME).is_file():
            raise SteadyNetError(
                f"{run} holds no {BACKBONE}: finish its training by --resume, or name another"
            )
        runs = sorted(path.parent for path in run.glob(f"*/{BACKBONE}"))
        named = f"; runs in it: {', '.join(map(str, runs[:_NAMED]))}" + (" …" if len(runs) > _NAMED else "")
        raise SteadyNetError(
            f"{run} holds no {BACKBONE}, so it is no run{named if runs else ': name the folder of one'}"
        )
    raise SteadyNetError(f"there is no {run}: name the folder of a finished training, or a file of weights")


def check_images(run: Path, weights: Path, options: Options, data: DataSplits) -> None:
    """Raise if images that a network was trained on may be among those that it is tested on, since their folder changed.

    A run notes the checksums of its images. With its own options for them they must come out the same; with others, the
    images are others on purpose.

    Raises:
        SteadyNetError: If they do not.
    """
    from steadynet.data import checksums

    saved, noted = saved_options(weights.parent), _noted(weights.parent / "result.json")
    asked = options[DataOptions]
    names = [f.name for f in fields(DataOptions) if f.name not in ("data_root", "test_images", "augment")]
    if not noted or any(name in saved and saved[name] != getattr(asked, name) for name in names):
        return
    if any(noted.get(side) != found for side, found in checksums(data).items() if side != "test"):
        raise SteadyNetError(
            f"{asked.data} holds other images than when {run} was trained, so that those it learned from may be among the test "
            "images: put them back, or name another set with --data"
        )


def _noted(path: Path) -> dict[str, Any]:
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        return dict(held.get("images") or {})
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # A file of weights alone, or a run of an earlier version.


def check_resumed(options: Options, folder: Path) -> None:
    """Raise `SteadyNetError` if a run is to be carried on with options that change its numbers."""
    saved, now = saved_options(folder), options.config()
    changed = [
        f"--{name.replace('_', '-')} {saved[name]} there, {value} here"
        for name, value in now.items()
        if name in saved and name not in FREE and _binding(name, saved[name]) != _binding(name, value)
    ]
    if changed:
        raise SteadyNetError(
            f"{folder} was started with other options ({'; '.join(changed)}): leave them out"
        )


def _binding(name: str, value: Any) -> Any:
    """Return an option's value without those options of single recipes that a run may be carried on with."""
    if name != "recipe_options" or not isinstance(value, dict):
        return value
    changes = cast("dict[str, Any]", value)
    # Those of the one recipe that is trained are fields of its parts.
    if not all(isinstance(own, dict) for own in changes.values()):
        return changes
    kept = {
        recipe: {k: v for k, v in options.items() if k not in FREE} for recipe, options in changes.items()
    }
    return {recipe: options for recipe, options in kept.items() if options}


@contextmanager
def resumable(command: str, out: Path) -> Generator[None]:
    """Add to a Ctrl-C how to carry on, if there is what to carry on."""
    import shlex

    try:
        yield
    except KeyboardInterrupt:
        if not (out / CONFIG_NAME).exists():
            raise KeyboardInterrupt("before any work was done") from None
        again = shlex.join(["steadynet", command, "--out", str(out), "--resume"])
        raise KeyboardInterrupt(f"nothing finished is lost; to carry on: {again}") from None


def resumed_folder(values: Mapping[str, Any]) -> Path | None:
    """Return the folder whose options a run that is carried on takes."""
    return Path(values["out"]) if values["resume"] else None
