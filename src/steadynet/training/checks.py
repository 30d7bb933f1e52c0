"""What `fit` looks at before it trains: the recipe that is meant, its precision, and a task that it was not made for."""

from __future__ import annotations

import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadynet.batches import arguments, logits_of
from steadynet.errors import SteadyNetError
from steadynet.loader import Loader
from steadynet.nvm.device import Device
from steadynet.recipes.recipe import Recipe
from steadynet.recipes.recipe import recipe as named_recipe
from steadynet.recipes.step.plain import Plain
from steadynet.replaceable import trial
from steadynet.training.loss import Loss, cross_entropy
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


def check_task(model: nn.Module, loss: Loss, example: Any, targets: Any) -> tuple[int, ...]:
    """Look at the network's output and at the loss of a small batch, and return the output's shape.

    Raises:
        SteadyNetError: If nothing of the network is trained, an embedding's gradients are sparse, it returns no tensor, targets
            are none or no class numbers where there is no loss of another task, or the loss is no single number.
    """
    name = type(model).__name__
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SteadyNetError(f"no parameter of {name} requires a gradient: let those that are to be trained")
    layers: list[tuple[str, nn.Module]] = list(model.named_modules())  # pyright: ignore[reportUnknownArgumentType] (torch types its modules in part)
    for place, layer in layers:
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse and layer.weight.requires_grad:
            raise SteadyNetError(
                f"{place} of {name} gives sparse gradients, which neither optimizer nor noise takes: let it have sparse=False, "
                "which gives the same numbers"
            )
    if not isinstance(targets, Tensor):
        raise SteadyNetError(
            f"targets must be one tensor a batch, got {type(targets).__name__}: put them into one, which your loss takes apart"
        )
    if loss is cross_entropy and (targets.is_floating_point() or targets.dim() != 1):
        raise SteadyNetError(
            f"the targets of a batch are {targets.dtype} of shape {tuple(targets.shape)}: give one class number each as "
            "integers, or a loss=… of your own"
        )
    args, kwargs = arguments(example)
    with trial(model), torch.no_grad():
        output: object = logits_of(model(*args, **kwargs))
        if not isinstance(output, Tensor):
            raise SteadyNetError(
                f"{name} returns {type(output).__name__}, not one tensor: wrap it to return what the loss takes"
            )
        try:
            value: object = loss(output, targets.to(output.device))
        except SteadyNetError:
            raise
        except Exception:  # What a loss cannot do with two items it may with a batch.
            return tuple(output.shape)
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
        raise SteadyNetError(
            f"a loss must be a tensor of one number, got {found}: let it return the batch's mean"
        )
    return tuple(output.shape)


def has_unused(model: nn.Module, example: Any) -> bool:
    """Return whether a parameter that is trained takes no part in the network's output, for which DDP has to look."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    args, kwargs = arguments(example)
    with trial(model):
        output: Tensor = logits_of(model(*args, **kwargs))
        found = torch.autograd.grad(output.sum(), trained, allow_unused=True)
    return any(gradient is None for gradient in cast("tuple[Tensor | None, ...]", found))


def are_classes(shape: tuple[int, ...], targets: Tensor) -> bool:
    """Return whether targets look like class numbers of outputs of a shape."""
    if targets.dim() != 1 or targets.is_floating_point() or len(shape) != 2 or shape[1] < 2:
        return False
    return not len(targets) or (int(targets.min()) >= 0 and int(targets.max()) < shape[1])


def all_classes(shape: tuple[int, ...], data: Any) -> bool:
    """Return whether all targets of a data set look like class numbers of outputs of a shape."""
    return all(are_classes(shape, targets) for _, targets in Loader(data, batch_size=64, shuffle=False))


def warn_of_division(recipe: Recipe, *, classifies: bool) -> None:
    """Warn where a task other than classification is trained on outputs that the deployed network does not give."""
    objective: Any = recipe.objective
    divides = getattr(objective, "temperature", 1.0) != 1.0 or hasattr(objective, "beta")
    if divides and not classifies:
        warnings.warn(
            f"recipe {recipe.name!r} divides outputs in the loss, so the trained network's own are as much larger: where more "
            "than their order counts, take temperature=1 and no feedback",
            stacklevel=3,
        )


def warn_of_effects(recipe: Recipe, device: Device) -> None:
    """Warn where the recipe trains on a noisy device that lacks what befalls the deployed one."""
    trained = recipe.variation.device(device)
    if trained is None:
        return
    left = [str(effect) for effect in device.effects if effect not in trained.effects]
    if left:
        warnings.warn(
            f"recipe {recipe.name!r} trains on a law of its own, which cannot hold {' and '.join(left)}: the network meets "
            "that in tests alone",
            stacklevel=3,
        )


def check_precision(settings: Settings, hardware: Hardware, recipe: Recipe) -> None:
    """Raise `SteadyNetError` if what computes cannot train in this precision, or the recipe's step cannot."""
    on_gpu = hardware.accelerator in ("gpu", "cuda") or (
        hardware.accelerator == "auto" and torch.cuda.is_available()
    )
    if settings.precision == "16" and not on_gpu:
        raise SteadyNetError("precision '16' works on GPUs only: take bf16 or 32 bits here")
    if settings.precision == "16" and not isinstance(recipe.step, Plain):
        # Lightning scales the loss of the one backward alone; the gradient that is taken before would underflow.
        raise SteadyNetError(
            f"step {type(recipe.step).__name__} takes a gradient of its own, which precision '16' does not scale: "
            "take bf16 or 32 bits"
        )
