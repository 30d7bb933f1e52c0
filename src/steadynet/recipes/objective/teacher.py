"""A trained network that others learn from: read from disk, frozen, always in evaluation mode."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from steadynet.batches import arguments, logits_of, tensors_of
from steadynet.deploy.state import load_state
from steadynet.errors import SteadyNetError


class Teacher(nn.Module):
    """A network in evaluation mode whose parameters are not trained.

    Args:
        network: It is frozen here.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Leave the network in evaluation mode: its BatchNorm and dropout are those of a finished training."""
        self.training = mode
        return self

    def forward(self, inputs: Any) -> Tensor:
        """Return the network's logits."""
        args, kwargs = arguments(inputs)
        logits: Tensor = logits_of(self.network(*args, **kwargs))
        return logits


def read_teacher(source: str, backbone: nn.Module, example: Any) -> Teacher:
    """Return the teacher in a run's folder or in a file of weights.

    Args:
        source: The folder of a finished run, whose network may be any; or a file of weights of the backbone's network.
        backbone: Who learns.
        example: A small batch of its inputs.

    Raises:
        SteadyNetError: If there is none, it does not take the inputs, or has another number of logits than the backbone.
    """
    path = Path(source)
    classes = logits(backbone, example, "the backbone")
    if path.is_dir():
        from steadynet.options.trained import network_of_run

        try:
            network = network_of_run(path, _shape(example), classes)
        except SteadyNetError as error:
            raise SteadyNetError(
                f"teacher {source} tells no {classes} classes of inputs {_shape(example)} apart, as the network "
                f"does ({error}): take one that was trained on the same data"
            ) from None
    else:
        network = copy.deepcopy(backbone)
        load_state(network, path)
    where = next((parameter.device for parameter in backbone.parameters()), None)
    teacher = Teacher(network.to(where))
    found = logits(teacher.network, example, f"teacher {source}")
    if found != classes:
        raise SteadyNetError(
            f"teacher {source} tells {found} classes apart, the network {classes}: take one that was trained on the same data"
        )
    return teacher


def logits(network: nn.Module, example: Any, what: str) -> int:
    """Return how many logits a network gives; it is left as it was.

    Raises:
        SteadyNetError: If it does not take the inputs, or its output is not [images, classes].
    """
    modes = [module.training for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            args, kwargs = arguments(example)
            output: object = logits_of(network(*args, **kwargs))
    except SteadyNetError:
        raise
    except Exception as error:
        raise SteadyNetError(
            f"{what} does not take inputs of {_shape(example)} ({type(error).__name__}: {error})"
        ) from error
    finally:
        for module, mode in zip(network.modules(), modes, strict=True):
            module.training = mode
    if not isinstance(output, Tensor) or output.dim() != 2:
        raise SteadyNetError(f"{what} must return logits [images, classes] to be distilled")
    return int(output.shape[1])


def _shape(example: Any) -> tuple[int, ...]:
    """Return the shape of an input: of the first, where there are several."""
    return tuple(tensors_of(example)[0].shape[1:])
