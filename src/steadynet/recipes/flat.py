"""A recipe's options by the flat names that the command line, studies and `recipe(…)` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError, check_bool, check_choice, unknown
from steadynet.recipes.constraint.clip import Clip
from steadynet.recipes.constraint.learned_range import LearnedRange
from steadynet.recipes.constraint.none import NoConstraint
from steadynet.recipes.constraint.orthogonal import Orthogonal
from steadynet.recipes.constraint.pace import Pace
from steadynet.recipes.constraint.peak import Peak
from steadynet.recipes.constraint.saturate import Saturate
from steadynet.recipes.constraint.several import Several
from steadynet.recipes.constraint.sparse import Sparse
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
    OtherVariation,
)

if TYPE_CHECKING:
    from steadynet.recipes.recipe import Recipe

# Objectives whose options are none of other recipes.
_FEEDBACK: Mapping[str, type] = {"ovf": OVF, "irs": IRS, "self-feedback": SelfFeedback}
# Each constraint by the option that asks for it, which is one of its fields.
CONSTRAINTS: Mapping[str, tuple[type, str]] = {
    "clip": (Clip, "alpha"),
    "peak": (Peak, "ratio"),
    "saturate": (Saturate, "tau"),
    "learned_range": (LearnedRange, "start"),
    "orthogonal": (Orthogonal, "strength"),
    "sparsity": (Sparse, "strength"),
    "pace": (Pace, "speed"),
}
# Options of one part, and the option that asks for it.
DETAILS: Mapping[str, tuple[str, str]] = {
    "clip_per": ("clip", "per"),
    "clip_start": ("clip", "start"),
    "clip_until": ("clip", "until"),
    "stride": ("peak", "stride"),
    "range_strength": ("learned_range", "strength"),
    "lipschitz": ("orthogonal", "lipschitz"),
    "orthogonal_sigma": ("orthogonal", "sigma"),
}
BOUNDS = ("clip", "peak", "saturate", "learned_range")
VARIATION = ("train_sigma_d", "censor", "mean_corrected", "log_normal", "chips", "mirrored")
STEPS: Mapping[str, Callable[[], Any]] = {
    "plain": Plain,
    "sam": SAM,
    "asam": lambda: SAM(rho=0.5, adaptive=True),
    "awp": AWP,
}
STEP = ("step", "rho", "awp_gamma")
DISTILLATION: Mapping[str, str] = {
    "teacher": "teacher",
    "distill_weight": "weight",
    "softness": "softness",
    "teacher_noise": "teacher_noise",
}
NAMES = (*CONSTRAINTS, *DETAILS, *VARIATION, *STEP, *DISTILLATION)


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with some options changed; see `Recipe.replace`.

    Raises:
        SteadyNetError: If there is no such option, or parts contradict one another.
    """
    given = dict(changes)

    def taken(names: Any) -> dict[str, Any]:
        return {name: given.pop(name) for name in names if name in given}

    constraint = _constraint(recipe, taken((*CONSTRAINTS, *DETAILS)))
    variation = _variation(recipe, taken(VARIATION))
    step = _step(recipe, taken(STEP))
    objective = _objective(recipe, taken(DISTILLATION), given)
    if isinstance(variation, NoVariation) and getattr(objective, "teacher_noise", False):
        raise SteadyNetError(
            f"teacher_noise asks for a teacher with noise, and recipe {recipe.name!r} trains without any variation: "
            "leave it out, or take a recipe with noise"
        )
    return dataclasses.replace(
        recipe, variation=variation, objective=objective, constraint=constraint, step=step
    )


def _constraint(recipe: Recipe, given: Mapping[str, Any]) -> Any:
    if not given:
        return recipe.constraint
    parts: dict[Any, Any] = {type(part): part for part in _each(recipe.constraint)}
    known: set[Any] = {kind for kind, _ in CONSTRAINTS.values()}
    for name, (kind, field) in CONSTRAINTS.items():
        if name in given and given[name] is None:
            parts.pop(kind, None)
        elif name in given:
            parts[kind] = _with(parts[kind], **{field: given[name]}) if kind in parts else kind(given[name])
    for name, (owner, field) in DETAILS.items():
        if name not in given:
            continue
        kind = CONSTRAINTS[owner][0]
        if kind not in parts:
            raise SteadyNetError(
                f"{name} is an option of {owner}, which recipe {recipe.name!r} lacks: give {owner} too"
            )
        parts[kind] = _with(parts[kind], **{field: given[name]})
    bounds = [name for name in BOUNDS if CONSTRAINTS[name][0] in parts]
    if len(bounds) > 1:
        own = [name for name in bounds if name not in given]
        mend = f"take {own[0]} none beside it" if own else "take one"
        raise SteadyNetError(
            f"{bounds[0]} and {bounds[1]} contradict each other: both bound the weights, so {mend}"
        )
    # A user's own constraints stay where they stand; ours follow in the order of their options.
    ordered = [part for kind, part in parts.items() if kind not in known]
    ordered += [parts[kind] for kind, _ in CONSTRAINTS.values() if kind in parts]
    if not ordered:
        return NoConstraint()
    return ordered[0] if len(ordered) == 1 else Several(tuple(ordered))


def _each(constraint: Any) -> list[Any]:
    if isinstance(constraint, NoConstraint):
        return []
    return list(constraint.constraints) if isinstance(constraint, Several) else [constraint]


def _variation(recipe: Recipe, given: dict[str, Any]) -> Any:
    variation: Any = recipe.variation
    if not given:
        return variation
    if isinstance(variation, NoVariation):
        raise SteadyNetError(
            f"recipe {recipe.name!r} trains without the device's variation: it has no {next(iter(given))}"
        )
    _check_law(recipe, given)
    if "censor" in given:
        cutoff = given.pop("censor")
        if cutoff is None:
            if isinstance(variation, CensoredVariation):  # Any other law is not censored as it is.
                variation = DeviceVariation(variation.sigma_d, variation.chips)
        elif isinstance(variation, CensoredVariation):
            variation = _with(variation, cutoff=cutoff)
        else:
            variation = CensoredVariation(cutoff, variation.sigma_d, chips=variation.chips)
    if "log_normal" in given:
        log_normal = given.pop("log_normal")
        if log_normal != isinstance(variation, LogNormalVariation):
            law = LogNormalVariation if log_normal else DeviceVariation
            variation = law(variation.sigma_d, variation.chips)
    if "mean_corrected" in given:
        if not isinstance(variation, CensoredVariation):
            raise SteadyNetError(
                f"mean_corrected is an option of censor, which recipe {recipe.name!r} lacks: give censor too"
            )
        variation = _with(variation, mean_corrected=given.pop("mean_corrected"))
    if "train_sigma_d" in given:
        wanted = given.pop("train_sigma_d")
        if isinstance(variation, OtherVariation):
            variation = _with(variation, variation=variation.variation.at(wanted))
        else:
            _check_field(recipe, variation, "sigma_d", "train_sigma_d")
            variation = _with(variation, sigma_d=wanted)
    if given:
        _check_field(recipe, variation, "chips", next(iter(given)))
        chips = Chips(
            given.get("chips", variation.chips.count), given.get("mirrored", variation.chips.mirrored)
        )
        variation = _with(variation, chips=chips)
    return variation


def _check_law(recipe: Recipe, given: Mapping[str, Any]) -> None:
    """Raise `SteadyNetError` if training would see two laws: of the options, or of one and the recipe's own."""
    if "log_normal" in given:
        check_bool("log_normal", given["log_normal"])
    censor, log_normal = given.get("censor") is not None, bool(given.get("log_normal"))
    if censor and log_normal:
        raise SteadyNetError(
            "censor and log_normal contradict each other: both are the law of training, so take one"
        )
    asked = "censor" if censor else "log_normal"
    if not (censor or log_normal):
        return
    variation: Any = recipe.variation
    if not isinstance(variation, DeviceVariation | CensoredVariation | LogNormalVariation):
        own = getattr(variation, "variation", variation)
        raise SteadyNetError(
            f"{asked} and the recipe's own law {own} contradict each other: start from a recipe without one"
        )
    if log_normal and isinstance(variation, CensoredVariation) and "censor" not in given:
        raise SteadyNetError(
            f"log_normal contradicts censor, the law of recipe {recipe.name!r}: take censor none beside it"
        )
    if censor and isinstance(variation, LogNormalVariation) and "log_normal" not in given:
        raise SteadyNetError(
            f"censor contradicts log_normal, the law of recipe {recipe.name!r}: take log_normal false beside it"
        )


def _with(part: Any, **values: Any) -> Any:
    """Return a dataclass with some fields changed."""
    changed: Any = dataclasses.replace(part, **values)
    return changed


def _check_field(recipe: Recipe, variation: Any, field: str, option: str) -> None:
    """Raise `SteadyNetError` unless a variation, which may be a user's own, has a field that an option sets."""
    if not dataclasses.is_dataclass(variation) or field not in {
        f.name for f in dataclasses.fields(variation)
    }:
        raise SteadyNetError(
            f"{option} sets {field}, which is no field of the variation of recipe {recipe.name!r} "
            f"({type(variation).__name__}): make it a dataclass with that field, or leave {option} out"
        )


def _step(recipe: Recipe, given: Mapping[str, Any]) -> Any:
    step: Any = recipe.step
    if "step" in given:
        check_choice("step", given["step"], tuple(STEPS))
        step = STEPS[given["step"]]()
    for name, kind, owner, field in (("rho", SAM, "sam or asam", "rho"), ("awp_gamma", AWP, "awp", "gamma")):
        if name in given:
            if not isinstance(step, kind):
                raise SteadyNetError(f"{name} is an option of step {owner}: give that step too")
            step = _with(step, **{field: given[name]})
    return step


def _objective(recipe: Recipe, distillation: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    objective: Any = recipe.objective
    if distillation and "teacher" in distillation and distillation["teacher"] is None:
        others = [name for name in distillation if name != "teacher"]
        if others:
            raise SteadyNetError(
                f"{others[0]} is an option of distillation, and there is no teacher: name one, or leave it out"
            )
        if isinstance(objective, Distillation):
            objective = CrossEntropy(objective.temperature)
    elif distillation:
        if isinstance(objective, CrossEntropy) and "teacher" in distillation:
            objective = Distillation(temperature=objective.temperature)
        elif not isinstance(objective, Distillation):
            name = next(iter(distillation))
            if isinstance(objective, CrossEntropy):
                raise SteadyNetError(f"{name} is an option of distillation: give teacher too")
            raise SteadyNetError(
                f"recipe {recipe.name!r} ({type(objective).__name__}) and {name} contradict each other: both own the "
                "logits, so take one"
            )
        values = {DISTILLATION[name]: value for name, value in distillation.items()}
        objective = _with(objective, **values)
    fields = (
        {f.name for f in dataclasses.fields(objective)} if dataclasses.is_dataclass(objective) else set[str]()
    )
    known = fields - (set(DISTILLATION.values()) if isinstance(objective, Distillation) else set[str]())
    for name in given:
        if name not in known:
            owners = [
                label
                for label, kind in _FEEDBACK.items()
                if name in {f.name for f in dataclasses.fields(kind)}
            ]
            if owners:
                raise SteadyNetError(
                    f"{name} is an option of {', '.join(owners)}, which recipe {recipe.name!r} (objective "
                    f"{type(objective).__name__}) is not: take --recipe {owners[0]}, or leave {name} out"
                )
            raise unknown(
                f"option of recipe {recipe.name!r} (objective {type(objective).__name__})",
                name,
                {*known, *NAMES},
            )
    return _with(objective, **given) if given else objective
