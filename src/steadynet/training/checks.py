"""What `fit` looks at before it trains: the recipe that is meant, its precision, and a task that it was not made for."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.recipes.recipe import Recipe
from steadynet.recipes.recipe import recipe as named_recipe
from steadynet.recipes.step.plain import Plain
from steadynet.training.settings import Hardware, Settings


def recipe_of(given: Recipe | str, device: Device) -> Recipe:
    """Return the recipe that is given or named.

    Raises:
        SteadyNetError: If there is none of that name, or the device is none.
    """
    if not isinstance(device, Device):
        raise SteadyNetError(
            f"device must be a Device, got {device!r}: sn.named_device(…).device() makes one of a name"
        )
    if isinstance(given, str):
        return named_recipe(given)
    if not isinstance(given, Recipe):
        raise SteadyNetError(f"recipe must be a Recipe or the name of one, got {given!r}: see sn.recipe")
    return given


def warn_of_division(recipe: Recipe, targets: Any) -> None:
    """Warn where a task other than classification is trained on outputs that the deployed network does not give."""
    objective: Any = recipe.objective
    divides = getattr(objective, "temperature", 1.0) != 1.0 or hasattr(objective, "beta")
    if divides and isinstance(targets, Tensor) and (targets.is_floating_point() or targets.dim() != 1):
        warnings.warn(
            f"recipe {recipe.name!r} divides outputs in the loss, so the trained network's own are as much larger: where more "
            "than their order counts, take temperature=1 and no feedback",
            stacklevel=3,
        )


def check_precision(settings: Settings, hardware: Hardware, recipe: Recipe) -> None:
    """Raise `SteadyNetError` if what computes cannot train in this precision, or the recipe's step cannot."""
    on_gpu = hardware.accelerator in ("gpu", "cuda") or (
        hardware.accelerator == "auto" and torch.cuda.is_available()
    )
    if settings.precision == "16" and not on_gpu:
        raise SteadyNetError("precision '16' works on GPUs only: take 'bf16' or '32' here")
    if settings.precision == "16" and not isinstance(recipe.step, Plain):
        # Lightning scales the loss of the one backward alone; the gradient that is taken before would underflow.
        raise SteadyNetError(
            f"step {type(recipe.step).__name__} takes a gradient of its own, which precision '16' does not scale: "
            "take 'bf16' or '32'"
        )
