"""How a network is trained, apart from the recipe: epochs, optimiser, precision, hardware. Free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from steadynet.errors import SteadyNetError, check_choice, check_integer, check_number

Precision = Literal["32", "bf16", "16"]
PRECISIONS: tuple[Precision, ...] = ("32", "bf16", "16")
OptimizerName = Literal["adam", "sgd"]
OPTIMIZERS: tuple[OptimizerName, ...] = ("adam", "sgd")
LoggerName = Literal["csv", "tensorboard"]
LOGGERS: tuple[LoggerName, ...] = ("csv", "tensorboard")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")


@dataclass(frozen=True)
class Settings:
    """Settings of one training.

    Args:
        epochs: Passes over the training set.
        batch_size: Images of one step, over all processes together.
        lr: Learning rate at the start; it falls to 0 along a cosine, a little at each step.
        optimizer: "adam", or "sgd" with momentum 0.9.
        weight_decay: L2 penalty, as the optimiser applies it.
        seed: Decides the order of images, augmentation, dropout, the heads' initial weights and every
            draw of variation. (The model's own initial weights are the model's.)
        precision: "32", "bf16" (autocast), or "16" (autocast, on GPUs only).
        channels_last: Whether activations lie channels-last in memory, which is faster on most hardware. The same to
            rounding, but for dropout: it draws in the order of memory, and so drops others.
        gradient_clip: Bound on the gradient's norm; 0 for none.
        accumulate: Batches over whose gradients a step takes the mean, as if they were one; an epoch's last step may have fewer.
        val_draws: Chips over which noisy validation accuracy is averaged.
        checkpoint_every: Steps between checkpoints within an epoch; 0 for one at each epoch's end only.
        workers: Processes that load data.

    Raises:
        SteadyNetError: If a value is out of its range.
    """

    epochs: int = 10
    batch_size: int = 128
    lr: float = 1e-3
    optimizer: OptimizerName = "adam"
    weight_decay: float = 0.0
    seed: int = 0
    precision: Precision = "32"
    channels_last: bool = False
    gradient_clip: float = 0.0
    accumulate: int = 1
    val_draws: int = 4
    checkpoint_every: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (
            ("epochs", 1),
            ("batch_size", 1),
            ("seed", 0),
            ("accumulate", 1),
            ("val_draws", 1),
            ("checkpoint_every", 0),
            ("workers", 0),
        ):
            check_integer(name, getattr(self, name), at_least=lowest)
        check_number("lr", self.lr, above=0)
        check_number("weight_decay", self.weight_decay, at_least=0)
        check_number("gradient_clip", self.gradient_clip, at_least=0)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)

    def identity(self) -> dict[str, Any]:
        """Return the settings that a resumed training must share with the one it resumes."""
        free = {"checkpoint_every", "workers"}
        return {name: value for name, value in asdict(self).items() if name not in free}


@dataclass(frozen=True)
class Hardware:
    """What a training runs on.

    Args:
        accelerator: "auto", "cpu", "gpu" or "mps", as Lightning understands it.
        devices: How many of them on each node, or "auto".
        num_nodes: Number of nodes.
        strategy: "auto", "ddp", or "ddp_find_unused_parameters_true" for a network some of whose parameters take no part in
            the loss; with several devices "auto" is that of the two which the network needs.

    Raises:
        SteadyNetError: If a value cannot be used; fully sharded training is refused, because a sharded
            parameter cannot be replaced by its programmed weights.
    """

    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"

    def __post_init__(self) -> None:
        check_integer("num_nodes", self.num_nodes, at_least=1)
        check_choice("accelerator", self.accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
        if "fsdp" in self.strategy:
            raise SteadyNetError(
                "strategy 'fsdp' is refused: a sharded parameter cannot be replaced by its programmed weights; take 'ddp'"
            )
        check_choice("strategy", self.strategy, STRATEGIES)
        if isinstance(self.devices, str):
            if self.devices != "auto" and not self.devices.isdigit():
                raise SteadyNetError(f"devices must be 'auto' or a number, got {self.devices!r}")
        else:
            check_integer("devices", self.devices, at_least=1)

    @property
    def compute_device(self) -> str:
        """The device that evaluations after such a training compute on, as `Compute` takes it."""
        return "auto" if self.accelerator in ("auto", "gpu") else self.accelerator
