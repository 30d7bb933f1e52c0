"""Train a network for a noisy device: `fit`."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import TQDMProgressBar
from torch import Tensor, nn

from steadynet.batches import each
from steadynet.errors import SteadyNetError
from steadynet.folders import prepare_folder
from steadynet.loader import Loader, as_dataset
from steadynet.mapping import check_finite
from steadynet.nvm.device import Device
from steadynet.recipes.recipe import Recipe
from steadynet.replaceable import check_replaceable
from steadynet.training.batchnorm import own_batchnorm
from steadynet.training.callbacks import Keeper, TrainingInterrupted
from steadynet.training.checkpoints import WholeFileIO, load_checkpoint
from steadynet.training.checks import (
    all_classes,
    are_classes,
    check_precision,
    check_task,
    has_unused,
    recipe_of,
    warn_of_division,
    warn_of_effects,
)
from steadynet.training.loss import Loss, cross_entropy
from steadynet.training.module import TrainingModule
from steadynet.training.settings import LOGGERS, Hardware, LoggerName, Settings
from steadynet.training.shares import check_chips


@dataclass(frozen=True)
class FitResult:
    """What a training leaves.

    Attributes:
        model: The backbone that was passed in, now with the weights of its best epoch.
        best_epoch: That epoch, from 0.
        best_accuracy: Its noisy validation accuracy; NaN for a task other than classification.
        history: A row per epoch: epoch, step, lr, loss, val_accuracy, val_accuracy_noisy, seconds; for another task
            val_loss and val_loss_noisy in their place.
        seconds: Wall-clock time of training, over all its resumed parts.
        interrupted: Whether Ctrl-C ended it early; the best weights so far are in the model.
        checkpoint: Where the last checkpoint lies, if there is a folder.
    """

    model: nn.Module
    best_epoch: int
    best_accuracy: float
    history: tuple[Mapping[str, float], ...]
    seconds: float
    interrupted: bool
    checkpoint: Path | None


def fit(
    model: nn.Module,
    recipe: Recipe | str,
    device: Device,
    train: Any,
    val: Any,
    *,
    settings: Settings | None = None,
    hardware: Hardware | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    init: Mapping[str, Tensor] | Path | str | None = None,
    loss: Loss = cross_entropy,
    classifies: bool | None = None,
    augment: bool = True,
    loggers: tuple[LoggerName, ...] = ("csv",),
    progress: bool = False,
    **changes: Any,
) -> FitResult:
    """Train `model` by `recipe` so that it keeps its accuracy on `device`.

    The model is trained in place and keeps its class, its hooks and its parameters' names. After each
    epoch its accuracy on `val` is taken clean and on a few chips; the weights of the epoch with the best
    noisy accuracy are those that it ends with. Where targets are no class numbers, as with a `loss` for another task, it is
    the epoch with the least loss on noisy chips; see `classifies`.

    Example:
        >>> import steadynet as sn, torch
        >>> x, y = torch.randn(64, 1, 8, 8), torch.randint(0, 3, (64,))
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> result = sn.fit(net, sn.recipe("noise"), sn.Device(), (x, y), (x, y), epochs=2)
        >>> len(result.history)
        2

    Args:
        model: Any module that takes a batch of inputs and returns logits (another task: see `loss`).
        recipe: How it is trained: a recipe, or the name of one.
        device: Where it will be deployed; its `sigma_d` is what the recipe's variation sees by default.
        train: Training data: a map-style dataset of (input, label), or a pair (inputs, labels) of tensors; inputs may be a
            tuple or mapping of tensors.
        val: Validation data, disjoint from the test data.
        settings: Epochs, batch size, optimiser, precision, seed; see `Settings`.
        hardware: Accelerator, devices, nodes; see `Hardware`.
        out: Folder for checkpoint and logs; none are written if None.
        resume: Go on from the checkpoint in `out`, exactly where it was written.
        overwrite: Whether `out` may be a folder that holds files of an earlier run.
        init: Initial weights, a state_dict or a file of one; the model's own if None.
        loss: The task's loss of (output, targets). Recipes that divide logits, by a temperature or by feedback, do so with any
            output: where more than its order counts, as in regression, take temperature 1 and no feedback.
        classifies: Whether targets are class numbers and outputs logits, so that accuracy chooses the epoch, and not the loss. If
            None, they are with the `loss` of classification, and with another one where they look so: integers below the
            number of outputs, two outputs or more. Say False where a loss takes class numbers for something else, as that
            of an embedding.
        augment: Whether a data set that knows its augmentation applies it in training.
        loggers: "csv" (`history.csv`) and "tensorboard".
        progress: Whether a progress bar with loss, clean and noisy validation accuracy is shown.
        **changes: Fields of `Settings` by name, such as `epochs=10`.

    Raises:
        SteadyNetError: If an input cannot be used; nothing is written then.
        DivergenceError: If the loss is not finite; the last good checkpoint stays.
    """
    base = settings or Settings()
    try:
        chosen = Settings(**{**base.__dict__, **changes})
    except TypeError as error:
        raise SteadyNetError(f"fit: {error}; its settings are {', '.join(base.__dict__)}") from None
    hardware, recipe = hardware or Hardware(), recipe_of(recipe, device)
    check_precision(chosen, hardware, recipe)
    for name in loggers:
        if name not in LOGGERS:
            raise SteadyNetError(f"unknown logger {name!r}: known: {', '.join(LOGGERS)}")
    classes = loss is cross_entropy
    train_data = as_dataset(train, "training data", classes=classes)
    val_data = as_dataset(val, "validation data", classes=classes)
    if init is not None:
        from steadynet.deploy.state import load_state

        load_state(model, init)
    check_finite(model)
    example, targets = next(iter(Loader(val_data, batch_size=2, shuffle=False)))
    where = next((parameter.device for parameter in model.parameters()), None)
    example = each(lambda tensor: tensor.to(where), example)
    shape = check_task(model, loss, example, targets)
    if classifies is None:
        classifies = classes or (are_classes(shape, targets) and all_classes(shape, val_data))
    warn_of_division(recipe, classifies=classifies)
    warn_of_effects(recipe, device)
    modes = [(module, module.training) for module in model.modules()]
    # Layers that the user put into evaluation mode inside a network that trains, such as a frozen BatchNorm, stay there.
    if not model.training:
        model.train()
    try:
        module = TrainingModule(model, recipe, device, train_data, val_data, example, chosen, loss, augment)
        module.classifies = classifies
        check_replaceable(model, module.setting.layout, example)
        folder = None if out is None else Path(out)
        keeper = Keeper(folder, chosen.checkpoint_every, table="csv" in loggers)
        resumed = _resumed(keeper, resume)
        images = len(train_data)  # pyright: ignore[reportArgumentType] (checked to be sized)
        trainer = _trainer(
            chosen,
            hardware,
            keeper,
            loggers,
            progress,
            images / chosen.batch_size,
            lambda: has_unused(model, example),
        )
        check_chips(recipe.variation.chips, chosen.batch_size, max(1, trainer.world_size))
        # What the training's own loader would refuse is refused here.
        Loader(
            train_data, batch_size=chosen.batch_size, workers=chosen.workers, world=max(1, trainer.world_size)
        )
        # Last of all checks, since it may empty the folder; one process does it for all.
        if folder is not None and resumed is None and trainer.is_global_zero:
            prepare_folder(folder, overwrite=overwrite)
        with own_batchnorm(model):
            interrupted = _run(trainer, module, keeper, resumed)
        # Before the first epoch has ended there is no best one: the weights as they are, and as they would be programmed.
        model.load_state_dict(keeper.best_state or module.deployed_state())
    finally:
        for layer, training in modes:
            layer.training = training
    return FitResult(
        model=model,
        best_epoch=keeper.best_epoch,
        best_accuracy=keeper.best_score
        if keeper.history and "val_accuracy" in keeper.history[0]
        else math.nan,
        history=tuple(keeper.history),
        seconds=float(keeper.state_dict()["seconds"]),
        interrupted=interrupted,
        checkpoint=keeper.checkpoint,
    )


def _run(trainer: pl.Trainer, module: TrainingModule, keeper: Keeper, resumed: Path | None) -> bool:
    """Train; return whether it was interrupted. The global generator is left as it was found."""
    cuda = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=cuda), keeper.watching(), warnings.catch_warnings():
        # Batches come from memory, in an order of our own: what Lightning says of workers and samplers is not so.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        # A teacher is to stay in evaluation mode.
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists and is not empty.*")
        # Every rank validates on all images, on the same chips: what they log is equal already.
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        try:
            trainer.fit(module, ckpt_path=resumed, weights_only=True)
        except TrainingInterrupted:
            return True
        except RuntimeError as error:
            if "parameters that were not used in producing the loss" not in str(error):
                raise
            raise SteadyNetError(
                "a parameter takes no part in the loss of a step, for which strategy 'ddp' waits in vain: take strategy "
                "'ddp_find_unused_parameters_true', or let it require no gradient"
            ) from error
    return False


def _resumed(keeper: Keeper, resume: bool) -> Path | None:
    if not resume:
        return None
    if keeper.checkpoint is None:
        raise SteadyNetError("resume needs the folder of the training to go on with: pass out=…")
    load_checkpoint(keeper.checkpoint)
    return keeper.checkpoint


def _trainer(
    settings: Settings,
    hardware: Hardware,
    keeper: Keeper,
    loggers: tuple[LoggerName, ...],
    progress: bool,
    batches: float,
    unused: Callable[[], bool],
) -> pl.Trainer:
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        for child in ("", ".utilities.rank_zero", ".accelerators.cuda"):
            logging.getLogger(name + child).setLevel(logging.ERROR)
    on_cpu = hardware.accelerator == "cpu" or (
        hardware.accelerator == "auto"
        and not torch.cuda.is_available()
        and not torch.backends.mps.is_available()
    )
    devices = hardware.devices
    if devices == "auto" and on_cpu:
        # torchrun says how many processes there are; without it, one process uses all cores.
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    logger: Any = False
    if "tensorboard" in loggers:
        if keeper.folder is None:
            raise SteadyNetError("the tensorboard logger needs a folder: pass out=…")
        try:
            from pytorch_lightning.loggers import TensorBoardLogger

            logger = TensorBoardLogger(keeper.folder, name="", version="tensorboard")
        except ModuleNotFoundError:
            raise SteadyNetError(
                "the tensorboard logger needs its package: pip install 'steadynet[tensorboard]'"
            ) from None
    gpus = not on_cpu and hardware.accelerator != "mps"
    several = hardware.num_nodes > 1 or (devices not in (1, "1"))
    strategy = hardware.strategy
    if strategy == "auto" and several and unused():
        strategy = "ddp_find_unused_parameters_true"
    callbacks: list[pl.Callback] = [keeper]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    try:
        return pl.Trainer(
            accelerator=hardware.accelerator,
            devices=int(devices) if str(devices).isdigit() else devices,
            num_nodes=hardware.num_nodes,
            strategy=strategy,
            sync_batchnorm=gpus and several,
            precision={"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[settings.precision],  # pyright: ignore[reportArgumentType]
            max_epochs=settings.epochs,
            gradient_clip_val=settings.gradient_clip or None,
            accumulate_grad_batches=settings.accumulate,
            logger=logger,
            # A short epoch is logged as well; every 50 steps is Lightning's own measure.
            log_every_n_steps=max(1, min(50, int(batches / 10))),
            callbacks=callbacks,
            plugins=[WholeFileIO()],
            default_root_dir=keeper.folder,
            enable_checkpointing=True,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            inference_mode=True,
        )
    except (MisconfigurationException, ValueError) as error:
        told = " ".join(str(error).split())
        raise SteadyNetError(f"{hardware} cannot be used here: {told}") from error
