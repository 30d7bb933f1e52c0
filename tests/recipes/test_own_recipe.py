"""Fields of an own recipe's parts by `recipe.NAME`: which there are, what they take, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from recipes.own import Agreement, Decay, mine
from steadynet.errors import SteadyNetError
from steadynet.options.groups import RecipeOptions
from steadynet.recipes import Clip, Recipe, Several
from steadynet.recipes.recipe import RECIPES


def built(recipe: str, fields: dict[str, Any], **changes: Any) -> Recipe:
    return RecipeOptions(f"recipes.own.{recipe}", fields, **changes).build()


def test_fields_of_any_part_are_set_and_nothing_else_changes() -> None:
    assert built("mine", {}) == mine
    made = built("mine", {"weight": 0.3, "temperature": 2, "alpha": 1.5})
    assert made == Recipe(objective=Agreement(2.0, weight=0.3), constraint=Clip(1.5), name="agreement")
    assert isinstance(made.objective.temperature, float)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert mine.objective == Agreement(4.0), "the recipe itself is left as it was"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"layers": ["a", "b"]}, Agreement(4.0, layers=("a", "b"))),
        ({"layers": "b,a"}, Agreement(4.0, layers=("a", "b"))),
        ({"layers": "fc"}, Agreement(4.0, layers=("fc",))),
        ({"how": "sum", "times": 3}, Agreement(4.0, how="sum", times=3)),
        ({"how": "none"}, Agreement(4.0)),
        ({"how": None}, Agreement(4.0)),
        ({"objective.weight": 1}, Agreement(4.0, weight=1.0)),
        ({"Agreement.weight": 1}, Agreement(4.0, weight=1.0)),
    ],
)
def test_a_value_is_read_as_its_field_takes_it(fields: dict[str, Any], expected: Agreement) -> None:
    assert built("mine", fields).objective == expected


def test_each_of_several_constraints_has_its_fields() -> None:
    made = built("both", {"share": 0.5, "alpha": 3, "constraint.weight": 2.0})
    assert made.constraint == Several((Decay(0.5, 2.0), Clip(3.0)))
    assert made.objective == Agreement()


def test_options_of_all_recipes_go_beside_fields() -> None:
    made = built("mine", {"weight": 0.3}, temperature=8.0, clip="none", pace=2.0, censor=1.0)
    assert made.objective == Agreement(8.0, weight=0.3)
    assert built("mine", {"alpha": 3.0}, clip=3.0).constraint == Clip(3.0), (
        "the same twice is no contradiction"
    )
    assert built("mine", {"sigma_d": 0.1}, censor=1.0).variation.sigma_d == 0.1  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@pytest.mark.parametrize(
    ("recipe", "fields", "changes", "told"),
    [
        ("mine", {"wieght": 1}, {}, "unknown field of recipe recipes.own.mine 'wieght': did you mean 'weight'"),
        ("mine", {"wieght": 1}, {}, "known: alpha, chips, how, layers, per, scale, sigma_d, start, temperature, times"),
        ("mine", {"step.weight": 1}, {}, "unknown field of recipe recipes.own.mine 'step.weight'"),
        ("mine", {"weight": "x"}, {}, "recipe.weight takes a number, got 'x'"),
        ("mine", {"weight": None}, {}, "recipe.weight takes a number, got None"),
        ("mine", {"weight": True}, {}, "recipe.weight takes a number, got True"),
        ("mine", {"times": 1.0}, {}, "recipe.times takes an integer, got 1.0"),
        ("mine", {"how": "max"}, {}, "recipe.how takes 'mean' or 'sum' or none, got 'max'"),
        ("mine", {"layers": [1]}, {}, "recipe.layers takes a text, one or more, got [1]"),
        ("mine", {"scale": 1}, {}, "recipe.scale: Agreement has it as dict[str, float], which no option can be: set"),
        ("mine", {"chips": 2}, {}, "recipe.chips: DeviceVariation has it as Chips, which no option can be"),
        ("mine", {"times": 6}, {}, "recipe recipes.own.mine: Agreement does not take times 6 (ValueError: more than five)"),
        ("mine", {"alpha": -1}, {}, "clip (alpha) must be a finite number > 1, got -1"),
        ("mine", {"weight": 1, "objective.weight": 2}, {}, "recipe.weight, recipe.objective.weight are one field: give it once"),
        ("mine", {"temperature": 8}, {"temperature": 2.0}, "recipe.temperature 8 is changed again by --temperature: give one"),
        ("mine", {"alpha": 3}, {"clip": "none"}, "recipe.alpha 3 is changed again by --clip: give one of them"),
        ("both", {"weight": 1}, {}, "of recipe recipes.own.both have that field: give recipe.objective.weight or"),
        ("unknown", {"weight": 1}, {}, "recipe.weight: an annotation of Unknown cannot be resolved (NameError: name 'Nowhere'"),
        ("no_recipe", {"weight": 1}, {}, "recipe recipes.own.no_recipe must be a steadynet.Recipe, got Agreement("),
    ],
)  # fmt: skip
def test_what_is_no_field_or_no_value_of_it_is_refused(
    recipe: str, fields: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(SteadyNetError) as refused:
        built(recipe, fields, **changes)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("temperature", "give --temperature"),
        ("objective.awp_gamma", "give --awp-gamma"),
        ("weight", "steadynet recipes lists its options"),
    ],
)
def test_a_recipe_of_the_table_has_options_and_no_fields(name: str, mend: str) -> None:
    assert "steady" in RECIPES
    with pytest.raises(
        SteadyNetError, match=rf"recipe\.{name} is a field of a recipe .* 'steady' is not: {mend}"
    ):
        RecipeOptions("steady", {name: 1})
