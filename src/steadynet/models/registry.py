"""Networks by name or by import path."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from steadynet.errors import SteadyNetError, check_seed, is_memory, told, unknown
from steadynet.models.names import LIBRARIES, MODELS


def build(
    name: str,
    *,
    classes: int,
    shape: tuple[int, int, int],
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return a network for images of `shape` = (C, H, W).

    Args:
        name: One of `MODELS`, `timm:NAME`, `torchvision:NAME`, `transformers:NAME`, or the import path of anything
            callable that returns a module.
        classes: Passed as `classes` or `num_classes` where the callable takes one of them.
        shape: Passed as `in_channels` and `input_size` where it takes them.
        options: Its other arguments; these win over what is passed by itself.
        seed: Of the initial weights; passed as `seed` where it takes it. Other networks draw theirs from
            torch's global generator, which is seeded for them and given back.

    Raises:
        SteadyNetError: If there is no such network or option (the nearest are named), or what the callable
            returns is no module.
    """
    chosen, seed = dict(options or {}), check_seed(seed)
    library, _, own = name.partition(":")
    if library in LIBRARIES and own:
        from steadynet.models.libraries import from_library

        with _initial_weights(seed):
            return from_library(library, own, classes, shape, chosen)
    make = find(name)
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(make).parameters
    except (TypeError, ValueError):
        parameters = {}
    free = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for option in chosen:
        if option not in parameters and not free:
            raise unknown(f"option of model {name!r}", option, parameters)
    given: dict[str, Any] = {
        "num_classes" if "num_classes" in parameters and "classes" not in parameters else "classes": classes,
        "in_channels": shape[0],
        "input_size": shape[1],
        "seed": seed,
    }
    arguments = {key: value for key, value in given.items() if key in parameters} | chosen
    with _initial_weights(seed):
        try:
            model = make(**arguments)
        except (SteadyNetError, MemoryError):
            raise
        except Exception as error:
            if is_memory(error):
                raise
            raise SteadyNetError(f"model {name!r} cannot be made with {arguments}: {told(error)}") from error
    if not isinstance(model, nn.Module):
        raise SteadyNetError(f"{name!r} returns {type(model).__name__}, no torch.nn.Module")
    return model


@contextmanager
def _initial_weights(seed: int) -> Generator[None]:
    """Let torch's global generator draw initial weights by `seed`, and give it back."""
    import torch

    from steadynet.randomness import stable_seed

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "initial weights"))
        yield


def find(name: str) -> Callable[..., Any]:
    """Return the class or function that `name` stands for; see `build`."""
    path = MODELS[name].path if name in MODELS else name
    module_name, _, attribute = path.rpartition(".")
    if not module_name or path.startswith("."):
        raise unknown("model", name, MODELS)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # Whatever a user's module does as it is imported.
        raise SteadyNetError(f"model {name!r} cannot be imported: {told(error)}") from error
    make = getattr(module, attribute, None)
    if make is None:
        raise unknown(f"name in module {module_name}", attribute, [n for n in dir(module) if n[0] != "_"])
    if not callable(make):
        raise SteadyNetError(f"model {name!r} is {type(make).__name__}, which cannot be called")
    return make
