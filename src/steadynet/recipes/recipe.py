"""A recipe: one part for each role, and the table of named ones."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from steadynet.errors import SteadyNetError, unknown
from steadynet.recipes.base import Constraint, Objective, Step, TrainingVariation
from steadynet.recipes.constraint.clip import Clip
from steadynet.recipes.constraint.none import NoConstraint
from steadynet.recipes.constraint.orthogonal import Orthogonal
from steadynet.recipes.constraint.peak import Peak
from steadynet.recipes.objective.cross_entropy import CrossEntropy
from steadynet.recipes.objective.distillation import Distillation
from steadynet.recipes.objective.irs import IRS
from steadynet.recipes.objective.ovf import OVF
from steadynet.recipes.objective.self_feedback import SelfFeedback
from steadynet.recipes.step.awp import AWP
from steadynet.recipes.step.plain import Plain
from steadynet.recipes.step.sam import SAM
from steadynet.recipes.variation import (
    CensoredVariation,
    Chips,
    DeviceVariation,
    LogNormalVariation,
    NoVariation,
)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: four independent parts, any of which can be changed by itself.

    Example:
        >>> from steadynet import Clip, CrossEntropy, Recipe
        >>> Recipe(objective=CrossEntropy(temperature=16.0), constraint=Clip(alpha=1.5)).constraint
        Clip(alpha=1.5, per='tensor', start=None, until=0.5)

    Args:
        variation: What error the weights see in training; the deployed device's own by default.
        objective: What is minimised; cross entropy by default.
        constraint: What keeps the weights in shape; nothing by default.
        step: How the gradient is taken; plainly by default.
        name: What tables call it; does not change anything.

    Raises:
        SteadyNetError: If a part does not have the methods of its role.
    """

    variation: TrainingVariation = field(default_factory=DeviceVariation)
    objective: Objective = field(default_factory=CrossEntropy)
    constraint: Constraint = field(default_factory=NoConstraint)
    step: Step = field(default_factory=Plain)
    name: str = "custom"

    def __post_init__(self) -> None:
        roles: dict[str, type] = {
            "variation": TrainingVariation,
            "objective": Objective,
            "constraint": Constraint,
            "step": Step,
        }
        for role, protocol in roles.items():
            part = getattr(self, role)
            # An objective has a method `loss` too, which takes something else: it is no step.
            mistaken = protocol is Step and isinstance(part, Objective)
            if isinstance(part, type) or not isinstance(part, protocol) or mistaken:
                raise SteadyNetError(f"a recipe's {role} must be a {protocol.__name__}, got {part!r}")

    def describe(self) -> dict[str, Any]:
        """Return name and parts as plain types, each part with its class under "class"."""
        return {"name": self.name, **{role: _describe(getattr(self, role)) for role in ROLES}}

    def identity(self) -> dict[str, Any]:
        """Return what `describe` does, without the options that change how a training is computed and not its numbers."""
        described = self.describe()
        for role in ROLES:
            for name in _same_numbers(getattr(self, role)):
                del described[role][name]
        return described

    def replace(self, **changes: Any) -> Recipe:
        """Return the recipe with some options changed, by the flat names that the command line uses.

        Any part can be added to any recipe: `clip`, `saturate`, `learned_range`, `orthogonal` and `sparsity` set a constraint or
        (None) remove it, several of them act together; `train_sigma_d`, `censor`, `log_normal`, `chips` and `mirrored`
        change the variation; `step` takes plain, sam, asam or awp; `teacher` makes cross entropy a distillation.
        `steadynet.recipes.flat` lists the options of each; every other name is a field of the objective.

        Raises:
            SteadyNetError: If the objective has no such option (the message names those it has), or parts contradict one
                another.
        """
        from steadynet.recipes.flat import changed

        return changed(self, changes)


ROLES = ("variation", "objective", "constraint", "step")


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe of the table, and a line on what it is."""

    recipe: Recipe
    summary: str


def _table(*rows: tuple[Recipe, str]) -> Mapping[str, NamedRecipe]:
    return MappingProxyType({recipe.name: NamedRecipe(recipe, summary) for recipe, summary in rows})


DEFAULT_RECIPE = "steady"

RECIPES: Mapping[str, NamedRecipe] = _table(
    (
        Recipe(
            variation=DeviceVariation(chips=Chips(2, mirrored=True)),
            objective=CrossEntropy(temperature=16.0),
            constraint=Peak(1.3, stride=0.1),
            name=DEFAULT_RECIPE,
        ),
        "noise on two mirrored chips a batch, at temperature 16, weights held at their size and clipped at 1.3 rms",
    ),
    (Recipe(variation=NoVariation(), name="vanilla"), "plain training, without any variation (W/O)"),
    (Recipe(name="noise"), "fresh variation at every step (W/)"),
    (
        Recipe(objective=CrossEntropy(temperature=4.0), name="noise-t4"),
        "noise with the logits divided by 4 in training: the control of OVF, and of IRS with three taps",
    ),
    (
        Recipe(objective=CrossEntropy(temperature=16.0), constraint=Clip(1.5), name="noise-t16-clip1.5"),
        "noise at temperature 16, weights clipped at 1.5 std after each step",
    ),
    (Recipe(objective=OVF(), name="ovf"), "negative feedback: forwards at larger variation (OVF)"),
    (Recipe(objective=IRS(), name="irs"), "negative feedback: heads on feature maps (IRS)"),
    (
        Recipe(constraint=Clip(2.5), name="noise-clip2.5"),
        "noise, weights clipped at 2.5 std: hardware-aware training",
    ),
    (
        Recipe(variation=CensoredVariation(), name="trice"),
        "right-censored noise (TRICE); c and σ_d are to be searched",
    ),
    (
        Recipe(variation=CensoredVariation(mean_corrected=True), name="trice-mc"),
        "right-censored noise with its mean subtracted",
    ),
    (
        Recipe(constraint=Orthogonal(), name="correctnet"),
        "noise with an orthogonal penalty, as the authors of negative feedback ran CorrectNet",
    ),
    (
        Recipe(
            variation=LogNormalVariation(), constraint=Orthogonal(lipschitz=1.0), name="correctnet-lognormal"
        ),
        "log-normal noise with CorrectNet's own penalty, without its digital compensation",
    ),
    (Recipe(objective=Distillation(), name="distill"), "noise, taught by the network's own clean weights"),
    (Recipe(step=SAM(), name="sam"), "noise with sharpness-aware minimisation"),
    (Recipe(step=SAM(0.5, adaptive=True), name="asam"), "noise with adaptive sharpness-aware minimisation"),
    (Recipe(step=AWP(), name="awp"), "noise with adversarial weight perturbation"),
    (
        Recipe(objective=SelfFeedback(), name="self-feedback"),
        "a scaled copy of the output as its own feedback: a control, which only rescales the logits",
    ),
)


def recipe(name: str, **changes: Any) -> Recipe:
    """Return a named recipe, with some options changed.

    Example:
        >>> recipe("ovf", beta=0.1).objective.beta
        0.1

    Args:
        name: One of `RECIPES`.
        **changes: See `Recipe.replace`.

    Raises:
        SteadyNetError: If there is no such recipe (the nearest are named) or option.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name].recipe.replace(**changes)


def _same_numbers(part: Any) -> list[str]:
    """Return the names of the part's fields that are marked as `SAME_NUMBERS`."""
    if not dataclasses.is_dataclass(part) or isinstance(part, type):
        return []
    return [f.name for f in dataclasses.fields(part) if f.metadata.get("same_numbers", False)]


def _describe(part: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(part) or isinstance(part, type):
        described = {"class": f"{type(part).__module__}.{type(part).__qualname__}"}
        # The default repr is a memory address, which says nothing and differs in every process.
        return described if type(part).__repr__ is object.__repr__ else {**described, "repr": repr(part)}
    values: dict[str, Any] = {"class": type(part).__name__}
    for f in dataclasses.fields(part):
        value: Any = getattr(part, f.name)
        # Clip(2) and Clip(2.0) are the same training, and must be told alike.
        types = set(re.findall(r"\w+", str(f.type)))
        whole = type(value) is int and "float" in types and "int" not in types
        values[f.name] = float(value) if whole else _described_value(value)
    return values


def _described_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_described_value(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return _describe(value) if dataclasses.is_dataclass(value) else value
