"""The Lightning module: a backbone trained by a recipe for a device."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from steadynet.batches import arguments, logits_of
from steadynet.chip import Chip, places, program, run
from steadynet.data.imageset import checksum_of
from steadynet.errors import DivergenceError, SteadyNetError
from steadynet.loader import Loader
from steadynet.mapping import layout
from steadynet.nvm.device import Device
from steadynet.randomness import stable_seed
from steadynet.recipes.base import touches_weights
from steadynet.recipes.recipe import Recipe
from steadynet.training.checkpoints import check_same_training, plain
from steadynet.training.evaluation import StepEvaluation
from steadynet.training.forwards import Setting, moved_parameters
from steadynet.training.loss import Loss, cross_entropy, name_of
from steadynet.training.optimizers import check_optimizer, optimizers
from steadynet.training.settings import Settings
from steadynet.training.shares import check_chips


class TrainingModule(pl.LightningModule):
    """One training. Lightning's own training step, checkpoints and DDP apply to it as to any module.

    Args:
        backbone: The user's model; only its parameters and buffers change.
        recipe: How it is trained.
        device: Where it will be deployed.
        train: Training set.
        validation: Images that choose the best epoch.
        example: A small batch of inputs, to set the recipe's parts up.
        settings: Epochs, optimiser and the like.
        loss: The task's loss.
        augment: Whether training images are augmented.
    """

    def __init__(
        self,
        backbone: nn.Module,
        recipe: Recipe,
        device: Device,
        train: Dataset[Any],
        validation: Dataset[Any],
        example: Tensor,
        settings: Settings,
        loss: Loss = cross_entropy,
        augment: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        mapped = layout(backbone, device)
        parameters = dict(backbone.named_parameters())
        # A weight that the user froze stays as it is: no constraint moves it.
        self._on_devices = tuple(n for n in mapped.names if n in parameters and parameters[n].requires_grad)
        computed = [name for name in mapped.names if name not in parameters]
        if computed and touches_weights(recipe.constraint):
            raise SteadyNetError(
                f"{computed[0]} is computed by a parametrisation, which {type(recipe.constraint).__name__} cannot keep in shape: "
                "take a recipe without constraint, or bake it in by torch.nn.utils.parametrize.remove_parametrizations"
            )
        self.parts = recipe.objective.setup(backbone, example, settings.seed, mapped)
        self.recipe = recipe
        self.target = device
        self.settings = settings
        self.augment = augment
        self.train_data = train
        self.validation_data = validation
        check_chips(recipe.variation.chips, settings.batch_size)
        trained = recipe.variation.device(device)
        recipe.objective.check(trained.sigma_d if trained else 0.0)
        self.shape = recipe.constraint.setup(self.weights, trained.sigma_d if trained else 0.0, mapped)
        check_optimizer(settings, has_rates=bool(recipe.constraint.rates(self.shape)))
        self.setting = Setting(
            backbone=backbone,
            parts=self.parts,
            deployed=device,
            trained=trained,
            layout=mapped,
            # The patterns are for the backbone's names.
            parts_layout=layout(
                self.parts,
                dataclasses.replace(device, include=(), exclude=(), fold_bn=False),
                allow_none=True,
            ),
            loss=loss,
            seed=settings.seed,
            chips=recipe.variation.chips,
            constraint=recipe.constraint,
            shape=self.shape,
        )
        # Whether accuracy chooses the epoch, or the loss of another task.
        self.classifies = True
        # val_accuracy and val_accuracy_noisy of the last epoch, or of another task val_loss and val_loss_noisy.
        self.validated: dict[str, float] = {}
        # How good that epoch is by its noisy chips; the more, the better.
        self.score = -math.inf
        self._chips: list[Chip] = []
        self._clean: dict[str, Tensor] = {}
        self._counts = torch.zeros(0)
        self._loader: Loader | None = None
        self._loader_state: dict[str, int] | None = None
        self._loss_sum = 0.0
        self._loss_count = 0
        self._steps = 1
        self._pending: list[Tensor] = []

    @property
    def weights(self) -> dict[str, Tensor]:
        """The backbone's trainable weights that lie on devices, as they are trained: what constraints project."""
        parameters = dict(self.backbone.named_parameters())
        return {name: parameters[name] for name in self._on_devices}

    def is_settled(self, step: int) -> bool:
        """Return whether the constraint keeps the weights after so many steps as they are to be deployed."""
        return step >= self.recipe.constraint.settled * self._steps - 1e-9

    def deployed_state(self) -> dict[str, Tensor]:
        """Return the backbone's state_dict with its weights as they are programmed, in memory of its own."""
        with torch.no_grad():
            moved = places(self.backbone).spread(moved_parameters(self.setting, {}))
            state = {**self.backbone.state_dict(), **moved}
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def configure_optimizers(self) -> Any:
        """Return the optimiser and a cosine to 0 over all steps."""
        self._steps = max(1, int(self.trainer.estimated_stepping_batches))
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        constraint, weights = self.recipe.constraint, self.weights
        rates = [(weights[name], rate) for name, rate in constraint.rates(self.shape).items()]
        learned = list(self.shape.parameters())
        return optimizers(trained, self.settings, self._steps, constraint.pace, rates, learned)

    def train_dataloader(self) -> Loader:
        """Return the training batches; their order is a function of (seed, epoch, batch)."""
        settings = self.settings
        self._loader = Loader(
            self.train_data,
            batch_size=settings.batch_size,
            seed=settings.seed,
            shuffle=True,
            augment=self.augment,
            workers=settings.workers,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        return self._loader

    def val_dataloader(self) -> Loader:
        """Return the validation images, all of them on every rank: the ranks then agree exactly."""
        return Loader(self.validation_data, batch_size=max(1, self.settings.batch_size), shuffle=False)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed what torch draws from its global generator (dropout), so that a step can be replayed."""
        torch.manual_seed(
            stable_seed(self.settings.seed, "step", self._position(batch_idx), self.trainer.global_rank)
        )

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            DivergenceError: If it is not finite.
        """
        inputs, targets = self._inputs(batch[0]), batch[1]
        step = self._position(batch_idx)
        loss = self.recipe.step.loss(StepEvaluation(self.recipe, self.setting, inputs, targets, step))
        if not bool(torch.isfinite(loss.detach())):
            raise DivergenceError(
                f"the loss is {loss.item()} at step {self.global_step} (epoch {self.current_epoch}, batch {batch_idx}): "
                "lower lr, or start from the last checkpoint with a smaller one"
            )
        self._pending.append(loss.detach())
        self.log("loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False)
        weight = self._batch_weight(batch_idx)
        return loss if weight == 1 else loss * weight

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the optimiser's step, then let the constraint act on the weights."""
        super().optimizer_step(*args, **kwargs)
        progress = min(1.0, (self.global_step + 1) / self._steps)
        self.recipe.constraint.project(self.weights, progress, self.shape)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's mean loss."""
        self._loss_sum, self._loss_count = 0.0, 0
        self._pending.clear()

    def mean_loss(self) -> float:
        """Return the mean loss of this epoch's steps over all processes, NaN before the first."""
        total = self._shared_loss_sum()
        return total / self._loss_count if self._loss_count else math.nan

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what training this is, the loader's place, and the epoch's loss so far.

        With the last a resumed epoch reports the mean loss of all its steps.
        """
        checkpoint["steadynet"] = self.identity()
        loss = self._shared_loss_sum()
        checkpoint["steadynet_loss"] = {"sum": loss, "count": self._loss_count}
        checkpoint["steadynet_loader"] = None if self._loader is None else self._loader.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the loader's place and the epoch's loss so far up again.

        Raises:
            SteadyNetError: If the checkpoint is of another training or network. No weight has changed then.
        """
        check_same_training(checkpoint, self.identity(), self.state_dict())
        self._loss_sum = float(checkpoint["steadynet_loss"]["sum"])
        self._loss_count = int(checkpoint["steadynet_loss"]["count"])
        self._loader_state = checkpoint["steadynet_loader"]

    def on_train_start(self) -> None:
        """Put the loader where the checkpoint left it.

        Lightning does so itself only for a loader made after its loops are restored. Ours is made before, when the
        scheduler asks for the number of steps; and Lightning never does at the end of an epoch.
        """
        if self._loader is not None and self._loader_state is not None:
            self._loader.load_state_dict(self._loader_state)
            self._loader_state = None

    def _shared_loss_sum(self) -> float:
        """Return the sum of this epoch's losses so far, the mean of all processes: their shares are equal."""
        # One transfer from the device for many steps: the sum is kept as a float in step order. MPS has no float64.
        if self._pending:
            for loss in cast("list[float]", torch.stack(self._pending).cpu().double().tolist()):
                self._loss_sum += loss
                self._loss_count += 1
        self._pending.clear()
        if self.trainer.world_size == 1:
            return self._loss_sum
        own = torch.tensor(self._loss_sum, dtype=torch.float64, device=self.device)
        return float(self.trainer.strategy.reduce(own, reduce_op="mean"))

    def on_validation_epoch_start(self) -> None:
        """Program the validation chips: the same draws at every epoch, so that epochs compare."""
        with torch.no_grad():
            clean = moved_parameters(self.setting, {})
            self._chips = [
                program(
                    self.backbone,
                    self.target,
                    seed=self.settings.seed,
                    draw=draw,
                    stream="validation",
                    layout=self.setting.layout,
                    transform=lambda name, weight: clean.get(name, weight),
                    noise_device=None,
                )
                for draw in range(self.settings.val_draws)
            ]
        self._clean = clean
        self._counts = torch.zeros(len(self._chips) + 2, dtype=torch.float64)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Count correct predictions, clean and on each chip; of targets that are no class numbers, add up losses."""
        inputs, targets = self._inputs(batch[0]), batch[1]
        args, kwargs = arguments(inputs)
        clean = (
            run(self.backbone, self._clean, *args, **kwargs)
            if self._clean
            else self.backbone(*args, **kwargs)
        )
        outputs = [
            logits_of(output)
            for output in (clean, *(run(self.backbone, chip, *args, **kwargs) for chip in self._chips))
        ]
        if self.classifies:
            found = [float((output.argmax(1) == targets).sum()) for output in outputs]
        else:
            found = [len(targets) * float(self.setting.loss(output, targets)) for output in outputs]
        self._counts += torch.tensor([*found, len(targets)], dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Log clean and noisy validation accuracy, or loss."""
        means = self._counts[:-1] / self._counts[-1]
        name = "val_accuracy" if self.classifies else "val_loss"
        noisy = float(means[1:].mean())
        self.validated = {name: float(means[0]), f"{name}_noisy": noisy}
        self.score = noisy if self.classifies else -noisy
        for name, value in self.validated.items():
            self.log(name, value, prog_bar=True)
        self._chips, self._clean = [], {}

    def identity(self) -> dict[str, Any]:
        """Return what a resumed training must share with the one it resumes, as plain types."""
        return {
            "recipe": plain(self.recipe.identity()),
            "device": plain(dataclasses.asdict(self.target)),
            "settings": self.settings.identity(),
            "augment": self.augment,
            "images": {"checksum": [checksum_of(self.train_data), checksum_of(self.validation_data)]},
            "train_images": len(self.train_data),  # pyright: ignore[reportArgumentType] (checked to be sized)
            "validation_images": len(self.validation_data),  # pyright: ignore[reportArgumentType]
            "world": self.trainer.world_size,
            "loss": name_of(self.setting.loss),
        }

    def _batch_weight(self, batch_idx: int) -> float:
        """Return what makes a step's gradient the mean over its batches, of which Lightning takes all to be as many."""
        together = self.settings.accumulate
        if together == 1:
            return 1.0
        batches = int(self.trainer.num_training_batches)
        left = batches % together
        return together / left if left and batch_idx >= batches - left else 1.0

    def _position(self, batch_idx: int) -> int:
        """The number of the batch since the start of training: the draw of its chip."""
        return self.current_epoch * int(self.trainer.num_training_batches) + batch_idx

    def _inputs(self, inputs: Any) -> Any:
        if self.settings.channels_last and isinstance(inputs, Tensor) and inputs.dim() == 4:
            # Not contiguous(): images of one channel are in both formats at once, and would go on in the other.
            return torch.empty_like(inputs, memory_format=torch.channels_last).copy_(inputs)
        return inputs
