"""A comparison's grid has each cell once, in a folder of its own, and one that cannot be is refused."""

from __future__ import annotations

from typing import Any

import pytest

from steadynet.comparison import Cell, Plan
from steadynet.errors import SteadyNetError
from steadynet.recipes import Recipe, recipe

TWO = (recipe("vanilla"), recipe("noise"))


def test_matched_trains_once_for_each_sigma_and_tests_there() -> None:
    cells = list(Plan(TWO, sigma_d=(0.0, 0.1), seeds=(3, 1)).cells())
    assert [(c.recipe.name, c.train_sigma_d, c.sigma_d, c.seed) for c in cells] == [
        ("vanilla", 0.0, (0.0,), 3), ("vanilla", 0.1, (0.1,), 3),
        ("noise", 0.0, (0.0,), 3), ("noise", 0.1, (0.1,), 3),
        ("vanilla", 0.0, (0.0,), 1), ("vanilla", 0.1, (0.1,), 1),
        ("noise", 0.0, (0.0,), 1), ("noise", 0.1, (0.1,), 1),
    ]  # fmt: skip


def test_one_sigma_trains_once_and_tests_at_all() -> None:
    plan = Plan(TWO, sigma_d=(0.1, 0.3), train_sigma_d=0.2, seeds=(4, 5))
    assert [(c.recipe.name, c.train_sigma_d, c.sigma_d, c.seed) for c in plan.cells()] == [
        ("vanilla", 0.2, (0.1, 0.3), 4),
        ("noise", 0.2, (0.1, 0.3), 4),
        ("vanilla", 0.2, (0.1, 0.3), 5),
        ("noise", 0.2, (0.1, 0.3), 5),
    ]


def test_no_two_cells_share_a_folder() -> None:
    close = (0.1, 0.1000001, 0.10000011, 1.0, 10.0, 1e-7)
    names = {Cell(TWO[1], sigma_d, (sigma_d,), seed).folder for sigma_d in close for seed in (0, 1, 11)}
    assert len(names) == 18
    assert Cell(TWO[1], 0.2, (0.2,), 3).folder == "noise-sigma0.2-seed3"
    assert Cell(TWO[1], 0, (0.2,), 3).folder == "noise-sigma0-seed3"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recipes": ()}, "the comparison has no recipes"),
        ({"seeds": ()}, "the comparison has no seeds"),
        ({"sigma_d": ()}, "sigma_d is empty"),
        ({"recipes": (*TWO, Recipe(name="noise"))}, "recipe noise stands twice"),
        ({"seeds": (1, 2, 1)}, "seed 1 stands twice"),
        ({"sigma_d": (0.1, 0.1)}, "sigma_d must grow"),
        ({"sigma_d": (0.2, 0.1)}, "sigma_d must grow"),
        ({"sigma_d": (-0.1,)}, "sigma_d must be a finite number ≥ 0"),
        ({"sigma_d": (float("nan"),)}, "sigma_d must be a finite number"),
        ({"train_sigma_d": -1}, "train_sigma_d must be a finite number ≥ 0"),
        ({"train_sigma_d": "match"}, "train_sigma_d must be a finite number"),
        ({"draws": 0}, "draws must be an integer ≥ 1"),
        ({"seeds": (-1,)}, "seed must be an integer ≥ 0"),
        ({"evaluation_seed": -1}, "evaluation_seed must be an integer ≥ 0"),
        ({"batch_size": 0}, "batch_size must be an integer ≥ 1"),
        ({"recipes": (Recipe(name="../noise"),)}, "'../noise' cannot name a folder"),
        ({"recipes": (Recipe(name=""),)}, "'' cannot name a folder"),
        (
            {"recipes": (recipe("noise", train_sigma_d=0.4),)},
            "'noise' trains at a sigma_d of its own, 0.4, where the comparison trains at 0.1",
        ),
        ({"recipes": (recipe("ovf", delta_sigma=-0.1),)}, "is negative: raise delta_sigma, or lower n"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError, match=told):
        Plan(**{"recipes": TWO, "sigma_d": (0.1,), **options})
