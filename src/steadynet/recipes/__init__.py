"""Training recipes: four independent parts, a file each, and the table of named ones."""

from steadynet.recipes.base import (
    Constraint,
    Evaluation,
    Forwards,
    FreeWeights,
    Objective,
    Pass,
    Step,
    TrainingVariation,
)
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
from steadynet.recipes.recipe import DEFAULT_RECIPE, RECIPES, NamedRecipe, Recipe, recipe
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

__all__ = [
    "AWP",
    "DEFAULT_RECIPE",
    "IRS",
    "OVF",
    "RECIPES",
    "SAM",
    "CensoredVariation",
    "Chips",
    "Clip",
    "Constraint",
    "CrossEntropy",
    "DeviceVariation",
    "Distillation",
    "Evaluation",
    "Forwards",
    "FreeWeights",
    "LearnedRange",
    "LogNormalVariation",
    "NamedRecipe",
    "NoConstraint",
    "NoVariation",
    "Objective",
    "Orthogonal",
    "OtherVariation",
    "Pace",
    "Pass",
    "Peak",
    "Plain",
    "Recipe",
    "Saturate",
    "SelfFeedback",
    "Several",
    "Sparse",
    "Step",
    "TrainingVariation",
    "recipe",
]
