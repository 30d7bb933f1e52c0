"""Weights that a parametrisation computes (weight norm, spectral norm, a user's own): found, read, and replaced for a call.

Such a weight is no parameter, so `functional_call` cannot replace it: it would be computed anew from its originals, and the
programming undone in silence. It is put instead where torch keeps what `torch.nn.utils.parametrize.cached` has computed, for the
length of the call. Its gradient goes through the parametrisation to the originals, and the state_dict stays as it is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Place = tuple[nn.Module, str]


def computed_places(model: nn.Module) -> dict[str, Place]:
    """Return where each computed tensor of a model is, by its plain name, as in `layer.weight`."""
    found: dict[str, Place] = {}
    for prefix, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules()):
        if parametrize.is_parametrized(module):
            held = cast("Mapping[str, Any]", module.parametrizations)
            for key in held:
                found[f"{prefix}.{key}" if prefix else key] = (module, key)
    return found


def named_weights(model: nn.Module, names: Sequence[str], *, graph: bool = False) -> dict[str, Tensor]:
    """Return parameters and computed tensors by name; those that there are not are left out.

    With `graph` computed tensors are those of a forward, with their graph, and in training what a parametrisation learns by
    looking (spectral norm) moves on. Without, the model stays as it is.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    computed = computed_places(model)
    found: dict[str, Tensor] = {}
    for name in names:
        if name in parameters:
            found[name] = parameters[name]
        elif name in computed:
            module, key = computed[name]
            found[name] = getattr(module, key) if graph else evaluated(module, key)
    return found


def evaluated(module: nn.Module, key: str) -> Tensor:
    """Return a computed tensor without its graph, and without a step of what its parametrisation learns in training."""
    parts = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            return cast("Tensor", getattr(module, key))
    finally:
        for part in parts:
            part.training = True


def baked(model: nn.Module) -> nn.Module:
    """Return a copy of a model, itself changed, with each computed tensor as a plain parameter under its plain name.

    It is for evaluation: what parametrisations learned is as it is then, and no state is loaded into it any more.
    """
    model.eval()
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            held = cast("Mapping[str, Any]", module.parametrizations)
            tensors = {key: evaluated(module, key).clone() for key in held}
            # `remove_parametrizations` takes the property from the class, which a copy shares with what it was copied from.
            module.__class__ = parametrize.type_before_parametrizations(module)
            del module.parametrizations
            # Weight norm hangs a hook here that no other process can be sent; a network to be run loads no state.
            cast("dict[int, Any]", module._load_state_dict_pre_hooks).clear()  # pyright: ignore[reportPrivateUsage] (torch names no public way)
            for key, tensor in tensors.items():
                module.register_parameter(key, nn.Parameter(tensor, requires_grad=False))
    return model


@contextmanager
def replaced(places: Mapping[str, Place], tensors: Mapping[str, Tensor]) -> Generator[None]:
    """Let a model's computed tensors be others while the context lasts."""
    with parametrize.cached() if tensors else nullcontext():
        before: dict[tuple[int, str], Any] = {}
        for name, tensor in tensors.items():
            module, key = places[name]
            before[id(module), key] = _cache().get((id(module), key))
            _cache()[id(module), key] = tensor
        try:
            yield
        finally:
            for place, tensor in before.items():
                if tensor is None:
                    _cache().pop(place, None)
                else:
                    _cache()[place] = tensor


def _cache() -> dict[tuple[int, str], Any]:
    # torch makes a new one when the outermost context ends, so it is looked up each time.
    return parametrize._cache  # pyright: ignore[reportPrivateUsage, reportUnknownVariableType, reportUnknownMemberType] (torch names no public way)
