"""What trainings are told: a frozen dataclass per group of options, checked when made.

A field is an option, its line under `Args:` the help text, its type what the option takes: a bool is a
switch (`--augment`, `--no-augment`), a list takes several values. None stands for "not given". Nothing here
imports torch. The command line and studies speak these names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

from steadynet.errors import SteadyNetError, check_choice, check_integer, check_number, unknown
from steadynet.extras import require_extra
from steadynet.recipes import DEFAULT_RECIPE, RECIPES, Recipe, recipe

DATA = ("digits", "mnist", "cifar10", "cifar100", "tiny-imagenet")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def is_import_path(name: str) -> bool:
    """Return whether `name` can be a class or an object of a Python module, as in `my_pkg.nets.Net`."""
    return _IMPORT_PATH.fullmatch(name) is not None


@dataclass(frozen=True)
class DataOptions:
    """Images.

    Args:
        data: Data set: digits (embedded), mnist, cifar10, cifar100, tiny-imagenet, or folder:PATH with one
            folder of images per class under PATH/train and PATH/test.
        data_root: Folder that holds the data sets, or into which they are downloaded.
        size: Height and width that images are resized to; their own by default.
        channels: 1 for grey, 3 for colour; the data set's own by default.
        train_images: Use only so many training images, drawn evenly over the classes.
        test_images: Use only so many test images.
        validation: Share of the training images that is set aside to choose the best epoch.
        augment: Crop and flip training images as the data set's literature does, by default: those of cifar10, cifar100 and
            tiny-imagenet. Others are taken as they are.
        data_seed: Seed of the split and of the choice of images.
    """

    data: str = "digits"
    data_root: str = "data"
    size: int | None = None
    channels: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    validation: float = 0.1
    augment: bool = cast("bool", None)  # Told apart from True until it is checked, and True from then on.
    data_seed: int = 0

    def __post_init__(self) -> None:
        if self.augment is None:  # pyright: ignore[reportUnnecessaryComparison] (what is not given)
            object.__setattr__(self, "augment", True)
        if not self.data.startswith("folder:"):
            check_choice("data set", self.data, (*DATA, "folder:PATH"))
        elif not self.data.removeprefix("folder:") or not Path(self.data.removeprefix("folder:")).is_dir():
            raise SteadyNetError(f"--data {self.data}: there is no such folder; give folder:PATH")
        if self.size is not None:
            check_integer("--size", self.size, at_least=8)
        if self.channels is not None and self.channels not in (1, 3):
            raise SteadyNetError(f"--channels must be 1 (grey) or 3 (colour), got {self.channels}")
        for what, value in (("--train-images", self.train_images), ("--test-images", self.test_images)):
            if value is not None:
                check_integer(what, value, at_least=1)
        check_number("--validation", self.validation, above=0, at_most=0.5)
        check_integer("--data-seed", self.data_seed, at_least=0)


@dataclass(frozen=True)
class ModelOptions:
    """Network.

    Args:
        model: Name of a network (`steadynet models` lists them), timm:NAME, torchvision:NAME, transformers:NAME, or the import
            path of a class, as in my_pkg.nets.Net.
        model_options: Options of the network, each as --model.NAME VALUE, as in --model.width 0.25.
    """

    model: str = "vgg8"
    model_options: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        from steadynet.models.names import MODELS, of_library

        if self.model not in MODELS and not is_import_path(self.model) and not of_library(self.model):
            known = (
                *MODELS,
                "my_pkg.nets.Net (an import path)",
                "timm:NAME",
                "torchvision:NAME",
                "transformers:NAME",
            )
            raise unknown("model", self.model, known)
        for name in self.model_options if self.model in MODELS else ():
            check_choice(f"option of model {self.model}", name, MODELS[self.model].options)


@dataclass(frozen=True)
class RecipeOptions:
    """Training recipe. An option that is not given has the recipe's own value.

    Args:
        recipe: steady, vanilla, noise, noise-t4, noise-t16-clip1.5, noise-clip2.5, ovf, irs, trice, trice-mc, correctnet,
            correctnet-lognormal, distill, sam, asam, awp or self-feedback (`steadynet recipes` tells of each), or the
            import path of a Recipe.
        recipe_options: Fields of the parts of a recipe named by its import path, each as --recipe.NAME VALUE, as in
            --recipe.weight 0.3; --recipe.PART.NAME where two parts have it, as in --recipe.objective.weight.
        temperature: T: logits are divided by it in training.
        clip: Weights are clipped at so many of their std after each step; none for no clipping.
        clip_per: The std is that of the whole weight (tensor), or of each output channel.
        clip_start: The clip at the first step, from which it falls evenly to --clip.
        clip_until: Share of the steps after which it has fallen.
        peak: Weights are held at their size, and clipped at so many root mean squares after each step; none for no clipping.
        stride: Learning rate of weights held by --peak, over their root mean square; none for that of all parameters.
        saturate: Weights are s·tanh(v/(τ s)) of those that are trained; the number is τ.
        learned_range: Weights are clamped to a range that is learned; the number is its start in root mean squares.
        range_strength: Penalty that draws a learned range in.
        orthogonal: Strength of CorrectNet's penalty on ‖WᵀW − λ²I‖²; none for no penalty.
        lipschitz: CorrectNet's k, of which λ is made; λ is 1 without it.
        orthogonal_sigma: σ of the log-normal error in λ; σ_d by default.
        sparsity: Strength of the penalty Σ|w|.
        pace: Learning rate of this recipe over --lr; none for --lr itself.
        train_sigma_d: σ_d in training; the device's by default.
        censor: Training sees min(Z, c) for each normal Z (TRICE); the number is c; none for the whole tail.
        mean_corrected: The mean of censored errors is subtracted.
        log_normal: Training sees w e^θ, θ of std σ_d.
        chips: Chips that share a batch, each seeing an equal part.
        mirrored: Every second chip has the errors of the one before it with the other sign.
        step: How the gradient is taken: plain, sam or asam (sharpness-aware), awp (adversarial weights).
        rho: ρ, by which sam and asam move.
        awp_gamma: γ, by which awp moves, relative to the weights' norm.
        teacher: Distillation from the network's own clean weights (self), a run's folder, or a file of weights.
        distill_weight: α, weight of the teacher's part of the loss.
        softness: τ, by which distillation divides logits.
        teacher_noise: The teacher's weights are noisy too.
        beta: β, weight of the negative feedback (ovf, irs, self-feedback); below 0 the feedback is positive, a control.
        n: N, number of feedback forwards (ovf), of taps (irs) or of copies (self-feedback).
        delta_sigma: Δσ, by which σ_d grows from one feedback forward to the next (ovf); may be negative.
        gamma: Order of the feedback's weights γ (ovf, irs).
        a_b: Amplification of the backbone's output; 1/(N+1) in the paper (ovf, irs, self-feedback).
        a_f: Amplification of the feedback; 1/(N+1) in the paper (ovf, irs, self-feedback).
        detach_feedback: The feedback gives the backbone no gradient (ovf, irs).
        rescale_draws: All forwards of a step share one draw, rescaled (ovf).
        batchnorm: Forwards that update BatchNorm's statistics (ovf).
        feedback_layers: Names of parameters whose σ_d grows in feedback forwards, with * for any text, as in fc*; all by
            default (ovf).
        memory: Keep all forwards until the backward (fast), or compute each again there (lean): the same numbers in a
            fifth more time and the memory of about one forward (ovf).
        heads_noise: The feedback heads' weights are noisy too (irs).
        heads_hidden: Width of a head's hidden layer (irs).
        taps: Modules whose outputs feed the heads, from shallow to deep; found by rule by default (irs).
    """

    recipe: str = DEFAULT_RECIPE
    recipe_options: dict[str, Any] = field(default_factory=dict[str, Any])
    temperature: float | None = None
    clip: float | Literal["none"] | None = None
    clip_per: Literal["tensor", "channel"] | None = None
    clip_start: float | None = None
    clip_until: float | None = None
    peak: float | Literal["none"] | None = None
    stride: float | Literal["none"] | None = None
    saturate: float | Literal["none"] | None = None
    learned_range: float | Literal["none"] | None = None
    range_strength: float | None = None
    orthogonal: float | Literal["none"] | None = None
    lipschitz: float | None = None
    orthogonal_sigma: float | None = None
    sparsity: float | Literal["none"] | None = None
    pace: float | Literal["none"] | None = None
    train_sigma_d: float | None = None
    censor: float | Literal["none"] | None = None
    mean_corrected: bool | None = None
    log_normal: bool | None = None
    chips: int | None = None
    mirrored: bool | None = None
    step: Literal["plain", "sam", "asam", "awp"] | None = None
    rho: float | None = None
    awp_gamma: float | None = None
    teacher: str | None = None
    distill_weight: float | None = None
    softness: float | None = None
    teacher_noise: bool | None = None
    beta: float | None = None
    n: int | None = None
    delta_sigma: float | None = None
    gamma: Literal["paper", "reversed"] | None = None
    a_b: float | None = None
    a_f: float | None = None
    detach_feedback: bool | None = None
    rescale_draws: bool | None = None
    batchnorm: Literal["all", "backbone"] | None = None
    feedback_layers: list[str] | None = None
    memory: Literal["fast", "lean"] | None = None
    heads_noise: bool | None = None
    heads_hidden: int | None = None
    taps: list[str] | None = None

    def __post_init__(self) -> None:
        if self.n is not None:
            check_integer("--n", self.n, at_least=1, at_most=100)
        if self.taps is not None and not self.taps:
            raise SteadyNetError("--taps needs at least one module: leave it out to have them found by rule")
        if self.feedback_layers is not None and not self.feedback_layers:
            raise SteadyNetError("--feedback-layers needs at least one name: leave it out for all layers")
        if self.recipe in RECIPES:
            self.build()
        elif not is_import_path(self.recipe):
            raise unknown("recipe", self.recipe, (*RECIPES, "my_pkg.recipes.mine (an import path)"))

    @property
    def changes(self) -> dict[str, Any]:
        """The options that were given, by the names that `Recipe.replace` takes."""
        beside = ("recipe", "recipe_options")
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in beside}
        given = {name: value for name, value in given.items() if value is not None}
        return {name: None if value == "none" else value for name, value in given.items()}

    def build(self) -> Recipe:
        """Return the recipe with its changes. One by import path is imported, and torch with it.

        Raises:
            SteadyNetError: If there is no such recipe or option, or a value is out of range.
        """
        if self.recipe in RECIPES:
            for name in self.recipe_options:
                option = name.rpartition(".")[2]
                known = option in {f.name for f in fields(self)}
                mend = (
                    f"give --{option.replace('_', '-')}" if known else "steadynet recipes lists its options"
                )
                raise SteadyNetError(
                    f"recipe.{name} is a field of a recipe that is named by its import path, which {self.recipe!r} is not: {mend}"
                )
            return recipe(self.recipe, **self.changes)
        from steadynet.options.build import import_object
        from steadynet.options.own_recipe import with_options

        found = import_object("recipe", self.recipe)
        if not isinstance(found, Recipe):
            raise SteadyNetError(f"recipe {self.recipe} must be a steadynet.Recipe, got {found!r}")
        return with_options(self.recipe, found, self.recipe_options, self.changes)


@dataclass(frozen=True)
class TrainingOptions:
    """Training.

    Args:
        epochs: Passes over the training images; the learning rate falls to 0 over them by a cosine.
        batch_size: Images of a step, over all processes.
        lr: Learning rate at the start.
        optimizer: adam, or sgd with momentum 0.9.
        weight_decay: L2 penalty, as the optimizer applies it.
        gradient_clip: Bound on the gradient's norm; 0 for none.
        accumulate: Batches over whose gradients a step takes the mean.
        precision: Arithmetic; fp16 on GPUs only.
        channels_last: Keep images and features channels-last in memory (faster convolutions).
        accelerator: What computes.
        devices: Processes on each machine: one a GPU, or so many on the CPU.
        nodes: Machines.
        val_draws: Chips over which validation accuracy is averaged at the end of each epoch.
        checkpoint_every: Steps between checkpoints within an epoch; 0 for one at each epoch's end only.
        loggers: Where the history goes, besides the terminal; tensorboard needs the extra of that name.
        workers: Processes that load images; 0 loads them in the training process.
        threads: CPU threads of torch; its own choice by default.
        progress: Show a progress bar, on a terminal.
    """

    epochs: int = 10
    batch_size: int = 128
    lr: float = 1e-3
    optimizer: Literal["adam", "sgd"] = "adam"
    weight_decay: float = 0.0
    gradient_clip: float = 0.0
    accumulate: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    val_draws: int = 4
    checkpoint_every: int = 0
    loggers: list[Literal["csv", "tensorboard"]] = field(default_factory=lambda: ["csv"])
    workers: int = 0
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        check_number("--lr", self.lr, above=0)
        check_number("--weight-decay", self.weight_decay, at_least=0)
        check_number("--gradient-clip", self.gradient_clip, at_least=0)
        for what in ("epochs", "batch_size", "accumulate", "devices", "nodes", "val_draws"):
            check_integer("--" + what.replace("_", "-"), getattr(self, what), at_least=1)
        check_integer("--checkpoint-every", self.checkpoint_every, at_least=0)
        check_integer("--workers", self.workers, at_least=0)
        if self.threads is not None:
            check_integer("--threads", self.threads, at_least=1)
        for logger in self.loggers:
            check_choice("logger", logger, ("csv", "tensorboard"))
        if "tensorboard" in self.loggers:
            require_extra("tensorboard", "--loggers tensorboard")
        if self.precision == "fp16" and self.accelerator == "cpu":
            raise SteadyNetError("--precision fp16 needs a GPU: take bf16 or fp32 on the CPU")
