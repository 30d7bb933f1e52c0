"""Training recipes: four independent parts, a file each, and the table of named ones."""

from steadynet.recipes.base import Constraint, Forwards, Objective, Pass, Step, TrainingVariation
from steadynet.recipes.constraint.clip import Clip
from steadynet.recipes.constraint.none import NoConstraint
from steadynet.recipes.objective.cross_entropy import CrossEntropy
from steadynet.recipes.objective.irs import IRS
from steadynet.recipes.objective.ovf import OVF
from steadynet.recipes.objective.self_feedback import SelfFeedback
from steadynet.recipes.recipe import RECIPES, NamedRecipe, Recipe, recipe
from steadynet.recipes.step.plain import Plain
from steadynet.recipes.variation import DeviceVariation, NoVariation, OtherVariation

__all__ = [
    "IRS",
    "OVF",
    "RECIPES",
    "Clip",
    "Constraint",
    "CrossEntropy",
    "DeviceVariation",
    "Forwards",
    "NamedRecipe",
    "NoConstraint",
    "NoVariation",
    "Objective",
    "OtherVariation",
    "Pass",
    "Plain",
    "Recipe",
    "SelfFeedback",
    "Step",
    "TrainingVariation",
    "recipe",
]
