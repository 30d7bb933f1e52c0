"""A forward whose tensors are let go of, and made again when the backward asks for them.

It trades one more forward for the memory of its activations and of its chip. The second run is the first one again: the
same chip, the same dropout, the same buffers and autocast, and nothing learns from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType] (torch types it in parts)

from steadynet.errors import SteadyNetError

Forward = Callable[[Any, Mapping[str, Tensor]], Tensor]


def recomputed(model: nn.Module, inputs: Any, forward: Forward, *, keep_buffers: bool) -> Tensor:
    """Return `forward(inputs, buffers)`, of whose graph no tensor but inputs and output lives on until the backward.

    The global generators of torch (also those of the inputs' devices), NumPy and Python are put back for the second run,
    and autocast is as it was. A module that keeps a generator of its own is not replayed.

    Args:
        model: What `forward` runs. Its parameters must be the same in the backward as they are now.
        inputs: A tensor, or a nest of them.
        forward: Takes the inputs, and the model's buffers to be replaced by name: none where the model's own are
            to learn. It programs its chip itself, so that the chip lives no longer than a run.
        keep_buffers: Whether the model's buffers stay as they are. The second run never changes them.

    Raises:
        SteadyNetError: In the backward, if a parameter has changed since.
    """
    parameters = dict(model.named_parameters())
    buffers = {
        name: buffer.clone()
        for name, buffer in cast("Mapping[str, Tensor]", dict(model.named_buffers())).items()
    }
    versions = _versions(parameters)
    states = _global_states()
    again = False

    def run(inputs: Any) -> Tensor:
        nonlocal again
        first, again = not again, True
        if first:
            return forward(inputs, _copies(buffers) if keep_buffers else {})
        changed = [name for name, version in _versions(parameters).items() if version != versions[name]]
        if changed:
            raise SteadyNetError(
                f"{changed[0]} changed between a forward and its backward, which computes the forward again: change no "
                "weight in between, or take memory='fast'"
            )
        with _states_of(states):
            return forward(inputs, _copies(buffers))

    # The inputs go through its hands, so that it finds the devices whose generators it must put back.
    output: Tensor = checkpoint(run, inputs, use_reentrant=False)  # pyright: ignore[reportAssignmentType] (torch leaves it untyped)
    return output


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # A forward may write into them, and a graph that is kept may run again.
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _versions(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: tensor._version for name, tensor in tensors.items()}  # pyright: ignore[reportPrivateUsage] (torch has no public name for it)


def _global_states() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()  # noqa: NPY002  (the state that users' modules draw from)


@contextmanager
def _states_of(states: tuple[Any, Any]) -> Generator[None]:
    """Put Python's and NumPy's global generators into `states`, and back after."""
    now = _global_states()
    _set_states(states)
    try:
        yield
    finally:
        _set_states(now)


def _set_states(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
