"""The flat names by which a study sets the options of its trainings, and the objects that they make.

The names are those of `steadynet train`: data, model, device, recipe and training options, `sigma_d` of the device and
`seed`. Beside them stands `init_from`: options that differ in the training whose weights this one starts from.
Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args, get_type_hints

from steadynet.errors import SteadyNetError, check_integer, check_number, unknown
from steadynet.nvm.device import Device
from steadynet.options.augmented import check_augment
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions, RecipeOptions, TrainingOptions
from steadynet.options.types import expected, fits, members
from steadynet.recipes import Recipe
from steadynet.recipes.recipe import ROLES

Label = str | int | float
GROUPS = (DataOptions, ModelOptions, DeviceOptions, RecipeOptions, TrainingOptions)
INIT_FROM = "init_from"
# Options of the network, and fields of an own recipe's parts, by what stands before their dot.
OWN: Mapping[str, str] = {"model": "model_options", "recipe": "recipe_options"}
# The device's, where a study gives none.
DEFAULT_SIGMA_D = 0.2
# What says where and how a training runs and not what it computes, set for all cells by whoever runs the study.
RUN_OPTIONS = (
    "data_root",
    "accelerator",
    "devices",
    "nodes",
    "threads",
    "workers",
    "checkpoint_every",
    "memory",
)
# What a study's runner decides itself.
_OWN = ("progress", "loggers")


def option_types() -> dict[str, Any]:
    """Return the type of each option that a study may set, by its name."""
    types: dict[str, Any] = {}
    for group in GROUPS:
        hints = get_type_hints(group)
        types |= {f.name: hints[f.name] for f in dataclasses.fields(group) if f.name not in _OWN}
    return types | {"sigma_d": float, "seed": int}


def checked_options(where: str, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as written in a study, with `model.NAME` and `recipe.NAME` gathered and each value of its option's type.

    Raises:
        SteadyNetError: If there is no such option (the nearest are named), or a value is of another type.
    """
    types = option_types()
    options: dict[str, Any] = {}
    for written_name, written_value in written.items():
        if not isinstance(written_name, str):
            raise SteadyNetError(f"{where}: {written_name!r} is no option's name")
        name, _, rest = written_name.replace("-", "_").partition(".")
        value = written_value
        if name in OWN and rest:
            options[OWN[name]] = _joined(where, options, name, {rest: _number(value)})
            continue
        head = name.removesuffix("_options")
        if name == OWN.get(head) and isinstance(written_value, Mapping) and not rest:
            own = cast("Mapping[str, Any]", written_value)
            if head == "recipe":
                own = {key: _number(value) for key, value in own.items()}
            options[name] = _joined(where, options, head, own)
            continue
        if name == INIT_FROM and not rest:
            if not isinstance(value, Mapping):
                raise SteadyNetError(
                    f"{where}: init_from must hold options of the training to start from, got {value!r}"
                )
            options[name] = checked_options(f"{where}: init_from", cast("Mapping[str, Any]", value))
            continue
        if name not in types or rest:
            raise unknown(
                f"option in {where}", written_name, [*types, INIT_FROM, "model.width", "recipe.weight"]
            )
        kind = types[name]
        if str not in members(kind):
            value = _number(value)
        if value is None and type(None) not in get_args(kind):
            raise SteadyNetError(
                f"{where}: {name} takes {expected(kind)}, got null: leave it out for its default"
            )
        if value is not None and not fits(value, kind):
            raise SteadyNetError(f"{where}: {name} takes {expected(kind)}, got {value!r}")
        if members(kind) == (float,) and value is not None:
            value = float(value)
        options[name] = value
    return options


def value_of(options: Mapping[str, Any], name: str) -> Any:
    """Return the value of the option that a study writes as `name`, among options that are checked."""
    head, _, rest = name.replace("-", "_").partition(".")
    return options[OWN[head]][rest] if rest else options[head]


def _joined(where: str, options: Mapping[str, Any], head: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the network, or of the recipe, that are there, and more.

    Raises:
        SteadyNetError: If one is there already.
    """
    there = cast("Mapping[str, Any]", options.get(OWN[head], {}))
    twice = sorted(set(there) & set(more))
    if twice:
        raise SteadyNetError(f"{where}: {head}.{twice[0]} stands there twice: give it once")
    return {**there, **more}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with some changed; those of a network or recipe are changed one by one, unless it is changed itself."""
    result = {**base, **changes}
    for head, name in OWN.items():
        if name in base and name in changes and head not in changes:
            result[name] = {**base[name], **changes[name]}
    return result


def start_of(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the training that one with these options starts from.

    Another recipe takes none of this one's options with it.
    """
    own = {name: value for name, value in options.items() if name != INIT_FROM}
    if "recipe" in changes:
        parts = {f.name for f in dataclasses.fields(RecipeOptions)}
        own = {name: value for name, value in own.items() if name not in parts}
    return merged(own, changes)


@dataclass(frozen=True)
class Training:
    """The objects that one cell's options make.

    Attributes:
        data: Which images.
        model: Which network.
        device: The device that training sees and chooses its epoch on, at its σ_d.
        recipe: How it is trained.
        training: Epochs, optimiser, hardware.
        epochs: Passes over the training images; 0 leaves the initial weights as they are.
        seed: Of initial weights, order, augmentation and errors.
        tested: The device that the network is tested on, where that is more than the one above at another σ_d: training
            without noise is the same one for every device.
    """

    data: DataOptions
    model: ModelOptions
    device: Device
    recipe: Recipe
    training: TrainingOptions
    epochs: int
    seed: int
    tested: Device | None = None

    @property
    def train_sigma_d(self) -> float | None:
        """σ_d that the weights see in training; None where they see no variation."""
        trained = self.recipe.variation.device(self.device)
        return None if trained is None else trained.sigma_d


def training_of(options: Mapping[str, Any]) -> Training:
    """Return what a cell's options make.

    Raises:
        SteadyNetError: If an option is out of range, unknown to the recipe, or none of those that go together.
    """
    values = dict(options)
    sigma_d = values.pop("sigma_d", DEFAULT_SIGMA_D)
    seed = values.pop("seed", 0)
    start = values.pop(INIT_FROM, None)
    check_number("sigma_d", sigma_d, at_least=0)
    check_integer("seed", seed, at_least=0)
    epochs = values.get("epochs", 10)
    if epochs == 0:
        if start is None:
            raise SteadyNetError(
                "epochs 0 trains nothing: it needs init_from, the training whose weights are tested"
            )
        values["epochs"] = 1
    made = {
        group: group(**{f.name: values[f.name] for f in dataclasses.fields(group) if f.name in values})
        for group in GROUPS
    }
    data = cast("DataOptions", made[DataOptions])
    if values.get("augment"):
        check_augment("augment: true", data.data)
    recipe = cast("RecipeOptions", made[RecipeOptions]).build()
    device = cast("DeviceOptions", made[DeviceOptions]).build(float(sigma_d))
    tested = None
    if recipe.variation.device(device) is None:
        # Training that sees no noise chooses its epoch without any: it is the same training for every device.
        tested = device.at(0.0) if device.effects else None
        device = device.ideal if device.effects else device.at(0.0)
    _check_parts(recipe)
    trained = recipe.variation.device(device)
    recipe.objective.check(trained.sigma_d if trained else 0.0)
    return Training(
        data,
        cast("ModelOptions", made[ModelOptions]),
        device,
        recipe,
        cast("TrainingOptions", made[TrainingOptions]),
        epochs,
        seed,
        tested,
    )


def _check_parts(recipe: Recipe) -> None:
    """Refuse a user's own part with settings that are no fields: two that differ in them would pass for one training."""
    for role in ROLES:
        part: Any = getattr(recipe, role)
        fields = {f.name for f in dataclasses.fields(part)} if dataclasses.is_dataclass(part) else set[str]()
        hidden = sorted(set(getattr(part, "__dict__", {})) - fields)
        if hidden:
            raise SteadyNetError(
                f"recipe {recipe.name!r}: its {role} {type(part).__name__} keeps {', '.join(hidden)}, no field of a dataclass, "
                "so a study could not tell two of them apart: make it a frozen dataclass with these as fields"
            )


def _number(value: Any) -> Any:
    """Return a text such as 1e-3, which YAML 1.1 takes for text, as the number that it is."""
    if not isinstance(value, str):
        return [_number(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value
