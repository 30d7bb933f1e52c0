"""A training's checkpoint: written whole or not at all, read with checks, and resumed only by its own training."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from steadynet.errors import SteadyNetError
from steadynet.files import write_atomically
from steadynet.nvm.device import Device

CHECKPOINT = "last.ckpt"


class WholeFileIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it.

    Lightning's own way writes into the system's temporary folder and moves the file, which copies where that is
    another file system: a run that is killed while it copies would leave half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        write_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a training's checkpoint, read with `weights_only`.

    Raises:
        SteadyNetError: If the file is missing, cut short, or not a checkpoint of a training.
    """
    if not path.exists():
        raise SteadyNetError(f"there is no checkpoint {path}: nothing to resume; start without resume")
    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise SteadyNetError(
            f"{path} is no readable checkpoint ({type(error).__name__}): it may be cut short"
        ) from error
    if not isinstance(checkpoint, dict) or "steadynet" not in checkpoint:
        raise SteadyNetError(f"{path} is a checkpoint, but not of a SteadyNet training")
    return cast("dict[str, Any]", checkpoint)


def check_same_training(
    checkpoint: Mapping[str, Any], identity: Mapping[str, Any], state: Mapping[str, Tensor]
) -> None:
    """Raise unless `checkpoint` is of the training with this identity, and of a network with these tensors.

    Args:
        checkpoint: As Lightning loads it.
        identity: What the resuming training is, as plain types; the checkpoint's lies under "steadynet".
        state: The state_dict that the checkpoint's is to be loaded into.

    Raises:
        SteadyNetError: If they differ; the message names every option, or the tensors.
    """
    theirs = dict(cast("Mapping[str, Any]", plain(checkpoint["steadynet"])))
    # A version that had no such field trained as one with its default does.
    theirs["device"] = {**plain(dataclasses.asdict(Device())), **_as_dict(theirs.get("device"))}
    for name in ("images", "loss"):
        theirs.setdefault(name, plain(identity.get(name)))
    changed = [
        f"{group}.{key}: {old.get(key)!r} there, {new.get(key)!r} here"
        for group in identity
        for old, new in [(_as_dict(theirs.get(group)), _as_dict(identity[group]))]
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise SteadyNetError(
            f"the checkpoint is of another training ({'; '.join(changed)}): resume with its options"
        )
    held = cast("Mapping[str, Tensor]", checkpoint["state_dict"])
    missing, unexpected = sorted(state.keys() - held.keys()), sorted(held.keys() - state.keys())
    shapes = [
        f"{name} is {tuple(held[name].shape)}, not {tuple(state[name].shape)}"
        for name in sorted(state.keys() & held.keys())
        if held[name].shape != state[name].shape
    ]
    faults = [
        f"{what} {', '.join(name.removeprefix('backbone.') for name in names[:6])}"
        + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        for what, names in (("missing", missing), ("unexpected", unexpected), ("shape of", shapes))
        if names
    ]
    if faults:
        raise SteadyNetError(f"the checkpoint is of another network: {'; '.join(faults)}")


def plain(value: Any) -> Any:
    """Return `value` as what a checkpoint may hold: text, numbers, None, and lists and dicts of them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _as_dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"value": value}
