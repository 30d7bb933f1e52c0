"""What single commands are told beside the options of trainings: one run, export, comparison."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_type_hints

from steadynet.cli.evaluate_options import check_sigmas
from steadynet.errors import SteadyNetError, check_integer, check_number, unknown
from steadynet.extras import require_extra
from steadynet.options.groups import RecipeOptions
from steadynet.options.types import expected, fits
from steadynet.recipes import DEFAULT_RECIPE, RECIPES, Recipe

# What is compared where no recipes are named: the paper's, their control, and the default. All others take a name.
COMPARED = ("vanilla", "noise", "noise-t4", "ovf", "irs", DEFAULT_RECIPE)
# More than anyone trains; a number this large is a seed that was meant to be one of several.
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class RunOptions:
    """This run.

    Args:
        sigma_d: σ_d of the device that the network is trained for, relative to a device's largest
            conductance.
        seed: Seed of initial weights, order, augmentation and errors.
        init: Initial weights: a checkpoint or safetensors file, or a run's folder; from scratch by default.
        out: Folder for checkpoints, logs and the trained backbone.
        overwrite: Empty the folder if it already holds results.
        resume: Carry on a run that was interrupted, exactly.
    """

    sigma_d: float = 0.2
    seed: int = 0
    init: str | None = None
    out: str = "runs/train"
    overwrite: bool = False
    resume: bool = False

    def __post_init__(self) -> None:
        check_number("--sigma-d", self.sigma_d, at_least=0)
        check_integer("--seed", self.seed, at_least=0)
        check_resume(self.resume, self.overwrite)


@dataclass(frozen=True)
class ExportOptions:
    """Hand-over.

    Args:
        run: Folder of a finished training, or a file of weights; --run may be left out.
        onnx: Also write the clean backbone as ONNX and check it in ONNX Runtime (extra onnx).
        hdf5: Also write the levels as HDF5 (extra hdf5).
        chips: Draws of simulated chips whose conductances are written too, and as ONNX with --onnx; 0 is the first. They are
            those that evaluate --path device tests.
        sigma_d: σ_d of those chips; that of the training by default.
        seed: Seed of those chips.
        out: Folder for the files.
        overwrite: Empty the folder if it already holds results.
    """

    run: str | None = None
    onnx: bool = False
    hdf5: bool = False
    chips: list[int] | None = None
    sigma_d: float | None = None
    seed: int = 0
    out: str = "export"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.run is None:
            raise SteadyNetError("name what to export: steadynet export RUN, a run's folder or a file")
        if self.onnx:
            require_extra("onnx", "--onnx")
        if self.hdf5:
            require_extra("hdf5", "--hdf5")
        for draw in self.chips or ():
            check_integer("--chips", draw, at_least=0)
        if self.sigma_d is not None:
            check_number("--sigma-d", self.sigma_d, at_least=0)
            if self.chips is None:
                raise SteadyNetError(
                    "--sigma-d is that of simulated chips: name some by --chips, or leave it out"
                )
        check_integer("--seed", self.seed, at_least=0)


@dataclass(frozen=True)
class CompareOptions:
    """Comparison.

    Args:
        recipes: Recipes to compare, on the same network, data, epochs and chips.
        recipe_options: Changes to one recipe, each as --recipe.NAME.OPTION VALUE, as in
            --recipe.ovf.beta 0.01; of a recipe named by its import path, OPTION may be a field of its parts too.
        sigma_d: σ_d values to test at; one or more.
        train_sigma_d: matched trains once for each σ_d and tests there; a number trains once, at that σ_d,
            and tests at all of them.
        seeds: Seeds of trainings, several or one number S for 0 to S − 1; with more than one, intervals
            are over trainings.
        draws: R, simulated chips for each trained network and σ_d.
        processes: Trainings at a time.
        hand_over: Export the network that keeps the best accuracy on noisy chips over validation images, of those trained for the
            largest σ_d, as `steadynet export` does: weights, and the target level of every device.
        out: Folder for all trainings, the table as JSON and CSV, and the figures.
        overwrite: Empty the folder if it already holds results.
        resume: Carry on a comparison that was interrupted; finished trainings are not run again.
    """

    recipes: list[str] = field(default_factory=lambda: list(COMPARED))
    recipe_options: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    sigma_d: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3])
    train_sigma_d: float | Literal["matched"] = "matched"
    seeds: list[int] = field(default_factory=lambda: [1])
    draws: int = 200
    processes: int = 1
    hand_over: bool = False
    out: str = "runs/compare"
    overwrite: bool = False
    resume: bool = False

    def __post_init__(self) -> None:
        check_sigmas(self.sigma_d)
        if self.train_sigma_d != "matched":
            check_number("--train-sigma-d", self.train_sigma_d, at_least=0)
        if not self.recipes:
            raise SteadyNetError("--recipes needs at least one recipe")
        if twice := [name for name in self.recipes if self.recipes.count(name) > 1]:
            raise SteadyNetError(f"--recipes names {twice[0]!r} more than once: name each once")
        for name in self.recipe_options:
            if name not in self.recipes and self._owner(name) not in self.recipes:
                raise unknown("recipe in --recipe.NAME.OPTION", name, self.recipes)
        self.build()
        self.seed_list  # noqa: B018 (a property that refuses what is no list of seeds)
        check_integer("--draws", self.draws, at_least=1)
        check_integer("--processes", self.processes, at_least=1)
        check_resume(self.resume, self.overwrite)

    def build(self) -> tuple[Recipe, ...]:
        """Return the recipes with their changes; those by import path are left out until torch may load."""
        options = (self.options_of(name) for name in self.recipes)
        return tuple(option.build() for option in options if option.recipe in RECIPES)

    def build_all(self) -> tuple[Recipe, ...]:
        """Return all the recipes, those by import path too."""
        return tuple(self.options_of(name).build() for name in self.recipes)

    def options_of(self, name: str) -> RecipeOptions:
        """Return the options of one of the recipes.

        Raises:
            SteadyNetError: If it has an option that is not known, or of another type.
        """
        known = {f.name for f in fields(RecipeOptions)} - {"recipe", "recipe_options", "train_sigma_d"}
        given = {key.replace("-", "_"): value for key, value in self.recipe_options.get(name, {}).items()}
        for other, values in self.recipe_options.items():
            if self._owner(other) == name:
                given |= {f"{other.rpartition('.')[2]}.{key}": value for key, value in values.items()}
        changes = {key: value for key, value in given.items() if key in known}
        own = {key: value for key, value in given.items() if key not in known}
        if own and name in RECIPES:
            raise unknown(f"option of recipe {name!r}", next(iter(own)), known)
        hints = get_type_hints(RecipeOptions)
        for key, value in changes.items():
            if isinstance(value, str) and key in ("taps", "feedback_layers"):
                changes[key] = value = [part for part in value.split(",") if part]
            if value is not None and not fits(value, hints[key]):
                raise SteadyNetError(
                    f"option --recipe.{name}.{key.replace('_', '-')} takes {expected(hints[key])}, got {value!r}"
                )
        return RecipeOptions(recipe=name, recipe_options=own, **changes)

    def _owner(self, name: str) -> str:
        """Return the recipe whose part `name` is, as in my_pkg.recipes.mine.objective; "" if it is none of an import path."""
        recipe = name.rpartition(".")[0]
        return "" if name in self.recipes or recipe in RECIPES else recipe

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds of the trainings."""
        if len(self.seeds) == 1:
            check_integer("--seeds", self.seeds[0], at_least=1, at_most=MOST_SEEDS)
            return tuple(range(self.seeds[0]))
        for seed in self.seeds:
            check_integer("--seeds", seed, at_least=0)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SteadyNetError(f"--seeds must be one count or seeds that differ, got {self.seeds}")
        return tuple(self.seeds)


def check_resume(resume: bool, overwrite: bool) -> None:
    """Raise if both are asked for."""
    if resume and overwrite:
        raise SteadyNetError("--resume keeps what --overwrite would remove: give one of them")
