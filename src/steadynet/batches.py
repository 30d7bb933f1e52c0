"""What goes into a network and what comes out: one tensor, several arguments, or named ones; logits, however they are wrapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from steadynet.errors import SteadyNetError
from steadynet.randomness import stable_seed


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the named arguments that a network is called with.

    A tuple (or list) is several arguments, a mapping named ones, and anything else the only argument.
    """
    if isinstance(inputs, Mapping):
        return (), {str(name): value for name, value in cast("Mapping[Any, Any]", inputs).items()}
    if isinstance(inputs, tuple | list):
        return tuple(cast("tuple[Any, ...]", inputs)), {}
    return (inputs,), {}


def logits_of(output: Any) -> Any:
    """Return the logits in what a network returns: its `logits`, by attribute or name, or else all of it.

    Networks of Hugging Face return an object with `logits` beside other things.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping) and "logits" in output:
        return cast("Mapping[str, Any]", output)["logits"]
    other: Any = output  # pyright: ignore[reportUnknownVariableType] (anything)
    return getattr(other, "logits", other)


def each(change: Callable[[Tensor], Tensor], inputs: Any) -> Any:
    """Return inputs of the same kind with every tensor changed.

    Raises:
        SteadyNetError: If something in them is no tensor.
    """
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: each(change, value) for name, value in cast("Mapping[str, Any]", inputs).items()}
    if isinstance(inputs, tuple | list) and inputs:
        return tuple(each(change, value) for value in cast("tuple[Any, ...]", inputs))
    kind: str = type(inputs).__name__  # pyright: ignore[reportUnknownArgumentType] (anything)
    raise SteadyNetError(
        f"inputs must be a tensor, or a tuple or mapping of tensors, got {kind}: wrap the network to take one"
    )


def tensors_of(inputs: Any) -> list[Tensor]:
    """Return the tensors in inputs, in order.

    Raises:
        SteadyNetError: If something in them is no tensor.
    """
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    each(note, inputs)
    return found


def size_of(inputs: Any) -> int:
    """Return how many items a batch of inputs has.

    Raises:
        SteadyNetError: If its tensors disagree, or one has no first dimension.
    """
    sizes = {len(tensor) if tensor.dim() else -1 for tensor in tensors_of(inputs)}
    if len(sizes) > 1 or -1 in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors_of(inputs))
        raise SteadyNetError(f"the tensors of a batch must have as many items each, got shapes {shapes}")
    return sizes.pop()


def part_of(inputs: Any, start: int, stop: int) -> Any:
    """Return the items start … stop − 1 of a batch of inputs."""
    return each(lambda tensor: tensor[start:stop], inputs)


def sample(count: int, available: int) -> list[int]:
    """Return the places of some of a data set's items, which may lie in an order, as by class: the same ones at every call.

    Those of a smaller count are the first of a larger one's.

    Args:
        count: How many, at most all of them.
        available: How many there are.
    """
    order = torch.randperm(
        available, generator=torch.Generator().manual_seed(stable_seed("sample", available))
    )
    return [int(place) for place in order[:count]]


def split(inputs: Any, count: int) -> list[Any]:
    """Return inputs in `count` parts, the first ones an item larger where it does not go up."""
    sizes = [len(part) for part in torch.arange(size_of(inputs)).tensor_split(count)]
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [part_of(inputs, start, start + size) for start, size in zip(starts, sizes, strict=True)]
