"""A network's state on disk: written as safetensors or a plain state_dict, and read back with checks."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType] (safetensors leaves PathLike bare)
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.files import write_atomically


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state_dict, each tensor contiguous, on the CPU, and in memory of its own."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}


def save_backbone(model: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the state_dict of `model` as safetensors, whole or not at all.

    Tied tensors are written once under each of their names, so that the file loads into any copy of the model.
    """
    state = plain_state(model)
    write_atomically(path, lambda temporary: save_file(state, temporary, dict(metadata or {})))


def save_state_dict(model: nn.Module, path: Path) -> None:
    """Write the plain state_dict of `model` for `torch.load(path, weights_only=True)`."""
    state = plain_state(model)

    def write(temporary: Path) -> None:
        # Into memory first: given a path, torch writes its name, here a temporary one, into the file.
        memory = BytesIO()
        torch.save(state, memory)
        temporary.write_bytes(memory.getbuffer())

    write_atomically(path, write)


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the state_dict in a .safetensors, .pt or checkpoint file.

    Of a training's checkpoint it is the backbone of the best epoch.

    Raises:
        SteadyNetError: If the file is missing, damaged, or holds no state_dict.
    """
    if not path.is_file():
        raise SteadyNetError(f"there is no file {path} of weights: give a .safetensors, .pt or .ckpt file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError) as error:
        raise SteadyNetError(f"{path} is no readable file of weights: {error}") from error
    except Exception as error:
        raise SteadyNetError(
            f"{path} is no readable file of weights ({type(error).__name__}): it is damaged or holds more than tensors"
        ) from error
    if isinstance(held, dict) and "steadynet" in held:
        try:
            return _best(held)
        except (KeyError, AttributeError, TypeError) as error:
            raise SteadyNetError(f"{path} is a damaged checkpoint: it lacks or garbles {error}") from error
    if not isinstance(held, dict) or not held or not all(isinstance(v, Tensor) for v in held.values()):
        raise SteadyNetError(f"{path} holds no state_dict (a mapping from names to tensors)")
    return held


def _best(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the backbone of a training's best epoch, or as it is before the first one has ended."""
    kept: dict[str, Any] = checkpoint["callbacks"]
    best = next((state["best_state"] for state in kept.values() if "best_state" in state), None)
    if best:
        return dict(best)
    prefix = "backbone."
    state = checkpoint["state_dict"]
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def load_state(model: nn.Module, source: Mapping[str, Tensor] | Path | str) -> None:
    """Load a state_dict, or a file of one, into `model`.

    Raises:
        SteadyNetError: If the file cannot be read, or names or shapes are not the model's; all of them are named
            and the model is as it was.
    """
    state = read_state(Path(source)) if isinstance(source, Path | str) else source
    where = f"{source}" if isinstance(source, Path | str) else "the state_dict"
    own = model.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unexpected:
        parts = [f"missing {_some(missing)}"] * bool(missing) + [f"unexpected {_some(unexpected)}"] * bool(
            unexpected
        )
        raise SteadyNetError(f"{where} is of another network than {type(model).__name__}: {'; '.join(parts)}")
    shapes = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
        for name in sorted(own)
        if state[name].shape != own[name].shape
    ]
    if shapes:
        raise SteadyNetError(f"{where} is of another network than {type(model).__name__}: {_some(shapes)}")
    model.load_state_dict(dict(state))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
