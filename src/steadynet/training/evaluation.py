"""The loss of one training step, evaluated at the weights and near them: see `steadynet.recipes.base.Evaluation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from steadynet.errors import SteadyNetError
from steadynet.recipes.recipe import Recipe
from steadynet.training.forwards import Setting, StepForwards


class StepEvaluation:
    """The `Evaluation` of one batch.

    Args:
        recipe: Its objective and constraint make the loss.
        setting: What stays the same from step to step.
        inputs: The batch's inputs.
        targets: What they should give.
        step: The number of the batch since training started.
    """

    def __init__(self, recipe: Recipe, setting: Setting, inputs: Any, targets: Tensor, step: int) -> None:
        self._recipe = recipe
        self._setting = setting
        self._batch = (inputs, targets)
        self._step = step
        self._evaluated = False
        self._runs: Counter[tuple[str, int]] = Counter()
        # Dropout is the same in every evaluation: the generators start each from where the first found them.
        self._random: Any = None

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The backbone's trainable parameters by name."""
        named = self._setting.backbone.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    @property
    def on_devices(self) -> Collection[str]:
        """The names of those that lie on devices."""
        return set(self._setting.layout.names)

    def __call__(self, offsets: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the loss with `offsets` added to the parameters that they name."""
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        if self._evaluated:
            with torch.random.fork_rng(devices=devices), _mps_kept():
                _restore(self._random, devices)
                return self._loss(offsets, learns=False)
        mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
        self._random = (torch.get_rng_state(), [torch.cuda.get_rng_state(device) for device in devices], mps)
        self._evaluated = True
        return self._loss(offsets, learns=True)

    def gradient(self, names: Collection[str]) -> Mapping[str, Tensor]:
        """Return the loss's gradient at the parameters that are named, the mean over all processes.

        Raises:
            SteadyNetError: If a name is none of the trainable parameters.
        """
        parameters = self.parameters
        for name in names:
            if name not in parameters:
                raise SteadyNetError(
                    f"{name!r} is no trainable parameter of the backbone: it has no gradient"
                )
        chosen = {name: parameters[name] for name in names}
        before = Counter(self._runs)
        found = torch.autograd.grad(self(), list(chosen.values()), allow_unused=True)
        # The graph is gone, and with it the need for its chips: the next evaluation may have their memory, but not that of
        # an earlier one whose graph lives.
        self._runs.clear()
        self._runs.update(before)
        gradients: dict[str, Tensor] = {}
        for (name, parameter), gradient in zip(
            chosen.items(), cast("tuple[Tensor | None, ...]", found), strict=True
        ):
            gradients[name] = _shared(torch.zeros_like(parameter) if gradient is None else gradient)
        return gradients

    def _loss(self, offsets: Mapping[str, Tensor] | None, *, learns: bool) -> Tensor:
        forwards = StepForwards(
            self._setting, *self._batch, self._step, offsets, learns=learns, runs=self._runs
        )
        loss = self._recipe.objective.loss(forwards)
        weights = forwards.weights
        penalty = self._recipe.constraint.penalty(weights, self._setting.shape) if weights else None
        return loss if penalty is None else loss + penalty.to(loss.dtype)


def _restore(states: Any, devices: list[int]) -> None:
    torch.set_rng_state(states[0])
    for device, state in zip(devices, states[1], strict=True):
        torch.cuda.set_rng_state(state, device)
    if states[2] is not None:
        torch.mps.set_rng_state(states[2])


@contextmanager
def _mps_kept() -> Generator[None]:
    """Give Apple's generator its state back, which `fork_rng` leaves to others."""
    if not torch.backends.mps.is_available():
        yield
        return
    kept = torch.mps.get_rng_state()
    try:
        yield
    finally:
        torch.mps.set_rng_state(kept)


def _shared(gradient: Tensor) -> Tensor:
    """Return the mean of a gradient over all processes that train together."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return gradient
    gradient = gradient.contiguous()
    torch.distributed.all_reduce(gradient)
    return gradient / torch.distributed.get_world_size()
