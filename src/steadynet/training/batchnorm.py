"""The user's BatchNorm layers, given back after a training that synchronised them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage] (the class of all of them)


@contextmanager
def own_batchnorm(model: nn.Module) -> Generator[None]:
    """Put a network's own BatchNorm layers back at the end, with what was learned meanwhile.

    Several processes on GPUs train `SyncBatchNorm` in their place. What Lightning makes of those afterwards is of a class of its
    own, without the user's hooks.
    """
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, _BatchNorm)
    ]
    try:
        yield
    finally:
        for parent, name, own in places:
            now = parent.get_submodule(name)
            if now is own:
                continue
            # A conversion shares the parameters, and an optimiser may hold them: they are the ones that were trained.
            for parameter, value in now.named_parameters(recurse=False):
                own.register_parameter(parameter, value)
            for buffer, value in now.named_buffers(recurse=False):
                own.register_buffer(buffer, value)
            setattr(parent, name, own)
