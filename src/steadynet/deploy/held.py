"""A trained network and the images that it is tested on, to be run with one set of weights after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.compute import Compute
from steadynet.errors import SteadyNetError, check_integer
from steadynet.loader import as_dataset
from steadynet.mapping import Layout, check_finite, layout
from steadynet.montecarlo.forward import Forward
from steadynet.montecarlo.images import Images
from steadynet.nvm.device import Device
from steadynet.programmer import Programmer
from steadynet.replaceable import check_replaceable

Tensors = Mapping[str, Tensor]


class Held:
    """A network in evaluation mode, its test images, and its chips.

    Attributes:
        layout: What of the network lies on devices.
        images: Inputs and labels, on the computing device.

    Args:
        model: The network; see `holding`, which gives it back as it was.
        device: Where it is programmed.
        test: A map-style dataset of (input, label), or a pair of tensors.
        seed: Of the chips.
        batch_size: Images of one forward.
        compute: Where it is computed; where the model lies, in float32, if None.
    """

    def __init__(
        self,
        model: nn.Module,
        device: Device,
        test: Any,
        *,
        seed: int,
        batch_size: int,
        compute: Compute | None,
    ) -> None:
        self.layout: Layout = layout(model, device)
        self._device = device
        self._seed = seed
        self._batch_size = batch_size
        self._forward = Forward(model, compute or Compute(precision="32"))
        data = as_dataset(test, "test data")
        count: int = len(data)  # pyright: ignore[reportArgumentType] (checked to be sized)
        self.images = Images(data, torch.arange(count), self._forward.device)
        check_replaceable(self.model, self.layout, self.images.part(0, min(2, count))[0])

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode, on the computing device."""
        return self._forward.model

    def chips(self, sigma_d: float | None = None) -> Programmer:
        """Return what programs the network's chips; at the device's own σ_d if None."""
        device = self._device if sigma_d is None else self._device.at(sigma_d)
        return Programmer(self.model, device, self.layout, seed=self._seed)

    def quantised(self) -> dict[str, Tensor]:
        """Return the weights that devices without error hold, in memory of their own."""
        ideal = Programmer(self.model, self._device.ideal, self.layout, seed=self._seed)
        return {name: weight.clone() for name, weight in ideal.program(0, "test").items()}

    def logits(self, tensors: Tensors, inputs: Any) -> Tensor:
        """Return the logits [B, C] with parameters and buffers replaced by `tensors`; gradients go to them."""
        with self._forward.context():
            return self._forward.one(tensors, inputs)

    def batches(self) -> Generator[tuple[Any, Tensor]]:
        """Yield inputs and labels, batch by batch."""
        yield from self.images.parts(self._batch_size)

    @torch.no_grad()
    def finite_logits(self, tensors: Tensors, inputs: Any) -> Tensor:
        """Return the logits as `logits` does, without gradients.

        Raises:
            SteadyNetError: If one is not finite.
        """
        logits = self.logits(tensors, inputs)
        if not bool(torch.isfinite(logits).all()):
            raise SteadyNetError(
                "the network's output is NaN or infinite: its weights are broken, or sigma_d is too large"
            )
        return logits

    def accuracy(self, tensors: Tensors) -> float:
        """Return the share of images that are classified right with parameters and buffers replaced by `tensors`.

        Raises:
            SteadyNetError: If a logit is not finite, or a label none of the classes.
        """
        correct = 0
        for inputs, labels in self.batches():
            logits = self.finite_logits(tensors, inputs)
            check_labels(labels, logits)
            correct += int((logits.argmax(1).cpu() == labels).sum())
        return correct / len(self.images)


@contextmanager
def holding(
    model: nn.Module,
    device: Device,
    test: Any,
    *,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> Generator[Held]:
    """Lend a network to a test, and give it back with its mode and place as they were.

    Raises:
        SteadyNetError: If a weight is not finite, nothing lies on devices, or the data cannot be used.
    """
    check_integer("batch_size", batch_size, at_least=1)
    check_integer("seed", seed, at_least=0)
    check_finite(model)
    modes = [module.training for module in model.modules()]
    where = next(model.parameters()).device
    try:
        yield Held(model, device, test, seed=seed, batch_size=batch_size, compute=compute)
    finally:
        model.to(where)
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode


def check_labels(labels: Tensor, logits: Tensor) -> None:
    """Raise `SteadyNetError` if one of the labels [B] is none of the classes of the logits [B, C]."""
    low, high = torch.aminmax(labels)
    if int(low) < 0 or int(high) >= logits.shape[1]:
        raise SteadyNetError(
            f"labels run from {int(low)} to {int(high)}, the network has classes 0 to {logits.shape[1] - 1}: "
            "test it on images of its own classes"
        )


def per_weight(device: Device) -> Device:
    """Return the device with the same law, drawn once for each weight."""
    return dataclasses.replace(device, path="weight")
