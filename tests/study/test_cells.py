"""From a grid to cells: which trainings there are, what they share, and what their identity holds."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.study.cells import Cell, all_cells, cells_of, grid, point_key
from steadynet.study.specification import study
from study.small import WRITTEN, written


def cells(**changes: Any) -> tuple[Cell, ...]:
    return cells_of(study(written(**changes)))


def identities(made: tuple[Cell, ...]) -> set[str]:
    return {cell.folder("images").rpartition("-")[2] for cell in made}


def test_every_point_of_the_grid_is_tested_once_and_noise_free_training_is_shared() -> None:
    made = cells()
    # Per seed: vanilla once for both sigma_d, noise and OVF at each.
    assert len(made) == 2 * (1 + 2 + 2)
    tested = [
        (point.labels["recipe"], sigma_d, point.labels["seed"])
        for cell in made
        for point in cell.points
        for sigma_d in point.sigma_d
    ]
    assert sorted(tested) == sorted(itertools.product(["W/O", "W/", "OVF"], [0.1, 0.2], [0, 1]))
    [shared] = [cell for cell in made if cell.training.recipe.name == "vanilla" and cell.training.seed == 0]
    assert [wanted.sigma_d for wanted in shared.tests] == [0.1, 0.2]
    assert shared.training.device.sigma_d == 0, "its epoch is chosen without noise, so it is one training"


def test_the_first_seed_of_all_recipes_comes_first() -> None:
    assert [cell.training.seed for cell in cells()] == [0] * 5 + [1] * 5


def test_networks_trained_once_can_be_tested_at_many_sigma_d() -> None:
    test = {"sigma_d": [0, 0.3], "draws": 2}
    trained = {"low": {"sigma_d": 0.1}, "high": {"sigma_d": 0.2}}
    axes = {**{k: v for k, v in WRITTEN["axes"].items() if k != "sigma_d"}, "trained": trained}
    rules = [{"when": {"recipe": "W/O", "trained": "high"}, "skip": True}]
    made = cells(test=test, axes=axes, rules=rules)
    assert all([wanted.sigma_d for wanted in cell.tests] == [0, 0.3] for cell in made)
    # What sees no noise in training is the same training at every sigma_d.
    with pytest.raises(
        SteadyNetError, match=r"W/O seed=0 trained=low and recipe=W/O seed=0 trained=high are the same"
    ):
        cells(test=test, axes=axes)


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 3},
        {"lr": 2e-3}, {"weight_bits": 6}, {"model.width": 0.5}, {"batch_size": 61}, {"validation": 0.2},
        {"precision": "bf16"},
        {"data_seed": 1}, {"val_draws": 2}, {"channels_last": True}, {"size": 16},
        {"exclude": ["fc2.weight"]}, {"crossbars": "both"},
        {"clip": 2.0}, {"device": "fefet2"},
    ],
)  # fmt: skip
def test_whatever_changes_numbers_changes_the_identity(changed: dict[str, Any]) -> None:
    base = written()["base"]
    one = {"recipe": {"W/": {"recipe": "noise"}}, "seed": [0]}
    assert not identities(cells(axes=one)) & identities(cells(axes=one, base={**base, **changed}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"recipe": "noise", "clip": 2}, {"recipe": "noise", "clip": 2.0}),
        ({"recipe": "trice"}, {"recipe": "noise", "censor": 1}),
        ({"recipe": "noise", "peak": 2, "stride": 1}, {"recipe": "noise", "peak": 2.0, "stride": 1.0}),
    ],
)
def test_a_number_written_in_two_ways_is_one_training(one: dict[str, Any], other: dict[str, Any]) -> None:
    with pytest.raises(SteadyNetError, match="are the same training and test: a duplicate"):
        cells(axes={"recipe": {"a": one, "b": other}, "seed": [0]})


def test_what_a_device_does_not_use_is_not_in_its_identity() -> None:
    told: Any = next(cell for cell in cells() if cell.training.recipe.name == "noise").config()["device"]
    # Else a later field of devices would make every training that lacks it another one.
    assert not told.keys() & {field.name for field in dataclasses.fields(Device)} - {"variation"}
    tiled = cells(base={**written()["base"], "tile": [64, 64]})
    assert any(cell.config()["device"].get("tile") == [64, 64] for cell in tiled)
    whole = cells(base={**written()["base"], "crossbars": "one"})
    assert identities(whole) == identities(cells())


@pytest.mark.parametrize(
    "changed",
    [
        {"data_root": "/elsewhere"}, {"threads": 1}, {"workers": 2}, {"checkpoint_every": 7}, {"accelerator": "cpu"},
        {"devices": 2},
        {"nodes": 2}, {"test_images": 60},
    ],
)  # fmt: skip
def test_what_only_says_where_and_how_does_not_change_it(changed: dict[str, Any]) -> None:
    assert identities(cells()) == identities(cells(base={**written()["base"], **changed}))


def test_images_code_and_memory_form_count_as_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cells()[0]
    assert cell.folder("one") != cell.folder("other")
    before = cell.folder("one")
    monkeypatch.setattr(Cell, "code", lambda self: {"training.module": "changed"})
    assert cell.folder("one") != before
    lean = {"recipe": {"OVF": {"recipe": "ovf", "memory": "lean"}}, "seed": [0]}
    fast = {"recipe": {"OVF": {"recipe": "ovf", "memory": "fast"}}, "seed": [0]}
    assert [c.config() for c in cells(axes=lean)] == [c.config() for c in cells(axes=fast)]


def test_a_named_recipe_and_the_same_parts_by_options_are_one_training() -> None:
    named = cells(axes={"recipe": {"a": {"recipe": "noise-t4"}}, "seed": [0]})
    built = cells(axes={"recipe": {"b": {"recipe": "noise", "temperature": 4}}, "seed": [0]})
    assert identities(named) != set()
    assert named[0].config() == built[0].config()


def test_two_points_that_are_the_same_training_and_test_are_refused() -> None:
    axes = {"recipe": {"a": {"recipe": "noise-t4"}, "b": {"recipe": "noise", "temperature": 4}}, "seed": [0]}
    with pytest.raises(
        SteadyNetError,
        match="cells recipe=a seed=0 and recipe=b seed=0 are the same training and test: a duplicate",
    ):
        cells(axes=axes)


def test_rules_set_options_for_their_cells_alone_and_skip_others() -> None:
    rules = [
        {"when": {"recipe": ["OVF", "W/"], "sigma_d": 0.2}, "set": {"temperature": 2}},
        {"when": {"recipe": "OVF", "sigma_d": 0.2}, "set": {"temperature": 3}},
        {"when": {"recipe": "W/O", "seed": 1}, "skip": True},
    ]
    made = cells(rules=rules)
    found: dict[tuple[str, float], float] = {}
    for cell in made:
        objective: Any = cell.training.recipe.objective
        found[cell.training.recipe.name, cell.training.device.sigma_d] = objective.temperature
    assert found == {
        ("vanilla", 0.0): 1,
        ("noise", 0.1): 1,
        ("noise", 0.2): 2,
        ("ovf", 0.1): 1,
        ("ovf", 0.2): 3,
    }
    assert [cell.training.seed for cell in made if cell.training.recipe.name == "vanilla"] == [0]
    with pytest.raises(SteadyNetError, match="the rules leave no cell: the grid is empty"):
        cells(rules=[{"when": {}, "skip": True}])


def test_a_training_that_starts_from_another_brings_it_along_without_its_recipe_options() -> None:
    axes = {
        "recipe": {"OVF": {"recipe": "ovf", "beta": 0.1}, "W/": {"recipe": "noise"}},
        "epochs": [0, 2],
        "seed": [0],
    }
    rules = [{"when": {"recipe": "W/", "epochs": 0}, "skip": True}]
    made = cells(
        base={**written()["base"], "sigma_d": 0.2, "init_from": {"recipe": "vanilla", "epochs": 5}},
        axes=axes,
        rules=rules,
    )
    [start] = [cell for cell in made if cell.parent is None]
    assert made[0] is start
    assert (start.training.recipe.name, start.training.epochs, start.points, start.tests) == (
        "vanilla",
        5,
        (),
        (),
    )
    assert all(cell.parent is not None and cell.parent.config() == start.config() for cell in made[1:])
    assert [cell.training.epochs for cell in made[1:]] == [0, 2, 2]
    # What it starts from is part of what it is.
    other = cells(
        base={**written()["base"], "sigma_d": 0.2, "init_from": {"recipe": "vanilla", "epochs": 6}},
        axes=axes,
        rules=rules,
    )
    assert not identities(made) & identities(other)
    with pytest.raises(SteadyNetError, match="epochs 0 trains nothing: it needs init_from"):
        cells(axes=axes, rules=rules)


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ({"beta": 0.1}, "cell recipe=W/O sigma_d=0.1 seed=0: beta is an option of ovf"),
        ({"model": "vgg9"}, "cell recipe=W/O sigma_d=0.1 seed=0: unknown model 'vgg9': did you mean 'vgg8'"),
        ({"epochs": -1}, "cell recipe=W/O sigma_d=0.1 seed=0: --epochs must be an integer ≥ 1"),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_their_cell(base: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        cells(base={**written()["base"], **base})
    assert told in str(raised.value)


def test_studies_share_cells_and_what_each_tests_of_them() -> None:
    one = cells_of(study(written(name="one")))
    two = cells_of(study(written(name="two", test={"draws": 7})))
    joined = all_cells([one, two])
    assert len(joined) == len(one)
    assert all(
        len(cell.tests) == len(a.tests) + len(b.tests) for cell, a, b in zip(joined, one, two, strict=True)
    )
    assert {point.study for cell in joined for point in cell.points} == {"one", "two"}


@given(
    st.dictionaries(
        st.sampled_from(["epochs", "batch_size", "val_draws", "seed"]),
        st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_the_grid_is_the_product_of_its_axes(axes: dict[str, list[int]]) -> None:
    made = study(written(axes=axes))
    labels = grid(made)
    assert [list(point) for point in labels] == [list(axes)] * len(labels)
    assert sorted(tuple(point.values()) for point in labels) == sorted(itertools.product(*axes.values()))
    assert len(cells_of(made)) == len(labels)


def test_a_cell_can_be_told_apart_from_its_points() -> None:
    cell = cells()[0]
    assert dataclasses.replace(cell, points=()).folder("x") == cell.folder("x")


def test_a_search_may_find_what_another_point_has_written() -> None:
    axes = {"recipe": {"a": {"recipe": "noise"}, "b": {"recipe": "noise", "temperature": 2}}, "seed": [0]}
    made = study(written(axes=axes))
    (labels,) = [labels for labels in grid(made) if labels["recipe"] == "b"]
    [cell] = cells_of(made, {point_key(labels): {"temperature": 1.0}})
    assert [point.labels["recipe"] for point in cell.points] == ["a", "b"], "both show one training"
