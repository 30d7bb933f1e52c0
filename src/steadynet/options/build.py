"""From options to what they name; what needs torch imports it here, when called."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError, is_memory, told
from steadynet.nvm.device import Device
from steadynet.options.groups import DataOptions, ModelOptions, TrainingOptions
from steadynet.recipes import Recipe
from steadynet.recipes.objective.distillation import SELF, Distillation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.data import DataSplits, ImageSet
    from steadynet.training import Hardware, Settings


def make_cwd_importable() -> None:
    """Let import paths name modules of the current folder, as `python -m` does."""
    here = os.getcwd()  # noqa: PTH109  (an entry of sys.path is a string)
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def import_object(what: str, path: str) -> object:
    """Return the object at the import path `path`, as in `my_pkg.recipes.mine`.

    Raises:
        SteadyNetError: If the module cannot be imported or has no such name.
    """
    make_cwd_importable()
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # Whatever a user's module does as it is imported.
        raise SteadyNetError(f"{what} {path}: cannot import {module_name} ({told(error)})") from error
    if not hasattr(module, name):
        raise SteadyNetError(f"{what} {path}: {module_name} has no {name!r}")
    return getattr(module, name)


def load_data(options: DataOptions) -> DataSplits:
    """Return the data that `options` name, downloaded if need be.

    Raises:
        SteadyNetError: If they cannot be had, or do not fit into memory.
    """
    from steadynet.data import load

    try:
        return load(
            options.data,
            root=options.data_root,
            size=options.size,
            channels=options.channels,
            validation=options.validation,
            train_images=options.train_images,
            test_images=options.test_images,
            augment=options.augment,
            seed=options.data_seed,
        )
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        raise SteadyNetError(
            f"data set {options.data} does not fit into memory: lower --size or --train-images"
        ) from error


def inputs(options: DataOptions) -> tuple[Path, ...]:
    """Return the folders that the data are read from, which no output folder may hold."""
    if options.data.startswith("folder:"):
        return (Path(options.data.removeprefix("folder:")),)
    return () if options.data == "digits" else (Path(options.data_root),)


def whole_folders(options: DataOptions) -> tuple[Path, ...]:
    """Return the folders of which all folders are read, as classes: no output folder may lie there."""
    return inputs(options) if options.data.startswith("folder:") else ()


def teacher_of(recipe: Recipe) -> tuple[Path, ...]:
    """Return where a recipe reads a teacher from, which no output folder may hold; nothing where it reads none."""
    objective = recipe.objective
    return (
        (Path(objective.teacher),)
        if isinstance(objective, Distillation) and objective.teacher != SELF
        else ()
    )


def build_model(options: ModelOptions, classes: int, shape: tuple[int, int, int], seed: int = 0) -> nn.Module:
    """Return a fresh network for images of `shape`.

    Raises:
        SteadyNetError: If it cannot be made, or does not fit into memory.
    """
    from steadynet.models import build

    make_cwd_importable()
    try:
        return build(options.model, classes=classes, shape=shape, options=options.model_options, seed=seed)
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        raise SteadyNetError(f"model {options.model} does not fit into memory: lower its width") from error


def check_model(model: nn.Module, data: DataSplits) -> None:
    """Raise `SteadyNetError` unless the network takes the images and gives a row of logits for each.

    It is run once, on two images, in evaluation mode: what only shows in the middle of a job costs time.
    """
    import torch

    from steadynet.batches import logits_of

    name, shape = type(model).__name__, "×".join(map(str, data.shape))
    modes = [module.training for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            output: object = logits_of(model(images(data.validation)))
    except SteadyNetError:
        raise
    except Exception as error:
        raise SteadyNetError(
            f"{name} does not take images of {shape} ({type(error).__name__}: {error}): "
            "change --size, --channels or the network's own options"
        ) from error
    finally:
        for module, training in zip(model.modules(), modes, strict=True):
            module.training = training
    if not isinstance(output, torch.Tensor) or output.dim() != 2:
        told = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise SteadyNetError(f"{name} must return logits [images, classes], got {told}")
    if output.shape[1] < data.classes:
        raise SteadyNetError(
            f"{name} gives {output.shape[1]} logits, but {data.name} has {data.classes} classes: give it as many"
        )


def training_settings(options: TrainingOptions, seed: int) -> Settings:
    """Return the settings of a training."""
    import dataclasses

    from steadynet.training import Settings

    names = {f.name for f in dataclasses.fields(Settings)} - {"seed", "precision"}
    values: dict[str, Any] = {name: getattr(options, name) for name in names}
    precision: Any = options.precision.removeprefix("fp")
    return Settings(**values, seed=seed, precision=precision)


def training_hardware(options: TrainingOptions) -> Hardware:
    """Return what a training runs on, and give torch its number of threads.

    Raises:
        SteadyNetError: If torchrun started another number of processes than the options say.
    """
    import torch

    from steadynet.training import Hardware

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    devices, nodes = options.devices, options.nodes
    if torchrun_processes() > 1:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        started = (here, torchrun_processes() // here)
        if (devices, nodes) not in ((1, 1), started):
            raise SteadyNetError(
                f"torchrun started {started[0]} processes on each of {started[1]} machines, and --devices {devices} "
                f"--nodes {nodes} ask for others: leave them out"
            )
        devices, nodes = started
    return Hardware(accelerator=options.accelerator, devices=devices, num_nodes=nodes)


def check_recipe(recipe: Recipe, device: Device) -> None:
    """Raise `SteadyNetError` if the recipe cannot train for the device; without torch."""
    trained = recipe.variation.device(device)
    recipe.objective.check(trained.sigma_d if trained else 0.0)


def torchrun_processes() -> int:
    """Return how many processes torchrun started to train together; 1 where it started none."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_main_process() -> bool:
    """Return whether this is the process that writes files: rank 0 of those that train together."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def check_setup(
    recipe: Recipe, model: nn.Module, data: DataSplits, device: Device, settings: Settings
) -> None:
    """Raise `SteadyNetError` if the recipe cannot train the network with these settings.

    Taps or layers may not be there, weights have no size to be held at, the batch be too small for its chips, or the optimiser
    be another than the recipe's learning rates are stated for. `device` says what of the network lies on devices.
    """
    from steadynet.training.module import TrainingModule

    TrainingModule(model, recipe, device, data.train, data.validation, images(data.validation), settings)


def images(data: ImageSet, count: int = 2) -> Tensor:
    """Return the first images of a data set, at most `count`, as a network takes them."""
    import torch

    return torch.stack([data[index][0] for index in range(min(count, len(data)))])
