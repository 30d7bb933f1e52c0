"""Fields of an own recipe's parts in studies: in base, on axes, in rules and searches, and in what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.own import Agreement
from steadynet.cli.main import main
from steadynet.errors import SteadyNetError
from steadynet.recipes import Clip
from steadynet.study.cells import Cell, cells_of
from steadynet.study.search import Range
from steadynet.study.search_points import sought
from steadynet.study.specification import study
from study.small import WRITTEN, write, written

MINE = "recipes.own.mine"
BASE = {**WRITTEN["base"], "recipe": MINE}
ONE = {"seed": [0]}


def cells(**changes: Any) -> tuple[Cell, ...]:
    return cells_of(study(written(**{"base": BASE, "axes": ONE, **changes})))


def objectives(**changes: Any) -> list[Any]:
    return [cell.training.recipe.objective for cell in cells(**changes)]


def test_base_axes_and_rules_set_fields_and_cells_differ_by_them() -> None:
    assert objectives(base={**BASE, "recipe.weight": "3e-1"}) == [Agreement(4.0, weight=0.3)]
    assert objectives(base={**BASE, "recipe_options": {"weight": "3e-1"}}) == [Agreement(4.0, weight=0.3)]
    axes = {"recipe.weight": [0.1, 0.3], "seed": [0, 1]}
    made = cells(base={**BASE, "recipe.times": 2}, axes=axes)
    assert made[0].points[0].labels == {"recipe.weight": 0.1, "seed": 0}
    assert {cell.training.recipe.objective.weight for cell in made} == {0.1, 0.3}  # pyright: ignore[reportAttributeAccessIssue]
    assert {cell.training.recipe.objective.times for cell in made} == {2}  # pyright: ignore[reportAttributeAccessIssue]
    assert len({cell.folder("") for cell in made}) == 4
    rules = [{"when": {"recipe.weight": 0.3, "seed": 1}, "set": {"recipe.alpha": 3.0}}]
    clips = [cell.training.recipe.constraint for cell in cells(axes=axes, rules=rules)]
    assert clips.count(Clip(3.0)) == 1
    assert clips.count(Clip(2.0)) == 3


def test_a_field_by_its_own_name_and_by_an_option_is_one_training() -> None:
    axes = {"mine": {"a": {"recipe.temperature": 8}, "b": {"temperature": 8.0}}, "seed": [0]}
    with pytest.raises(SteadyNetError, match="are the same training and test: a duplicate"):
        cells(axes=axes)


def test_a_training_starts_from_one_of_another_field_or_recipe() -> None:
    base = {**BASE, "recipe.weight": 0.3, "recipe.times": 2}
    [start, last] = cells(base={**base, "init_from": {"recipe.weight": 0.1}})
    assert start.training.recipe.objective == Agreement(4.0, weight=0.1, times=2)
    assert last.training.recipe.objective == Agreement(4.0, weight=0.3, times=2)
    assert cells(base={**base, "init_from": {"recipe": "vanilla"}})[0].training.recipe.name == "vanilla"


def test_an_axis_may_be_an_option_of_the_network() -> None:
    base = {name: value for name, value in BASE.items() if name != "model.width"}
    made = cells(base=base, axes={"model.width": [0.25, 0.5]})
    assert [cell.training.model.model_options for cell in made] == [{"width": 0.25}, {"width": 0.5}]


def test_fields_are_searched_for() -> None:
    search = {"over": {"recipe.weight": [0.1, "3e-1"], "recipe.objective.times": [1, 2]}}
    base = {**BASE, "recipe.weight": 5.0, "recipe.how": "sum"}
    [one] = sought(study(written(base=base, axes=ONE, search=[search])))
    found = [one.cell(values).training.recipe.objective for values in one.search.grid() or []]
    assert found == [Agreement(4.0, weight, how="sum", times=n) for weight in (0.1, 0.3) for n in (1, 2)]
    over = {
        "recipe.weight": {"low": "1e-3", "high": 1, "log": True},
        "recipe.times": {"low": 1, "high": 4, "int": True},
    }
    [one] = sought(study(written(base=BASE, axes=ONE, search=[{"over": over, "trials": 3}])))
    assert one.search.over["recipe.weight"] == Range(1e-3, 1.0, log=True)
    assert one.cell({"recipe.weight": 0.5, "recipe.times": 3}).training.recipe.objective == Agreement(
        4.0, weight=0.5, times=3
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": {**BASE, "recipe.wieght": 1}}, "unknown field of recipe recipes.own.mine 'wieght': did you mean 'weight'"),
        ({"base": {**BASE, "recipe.weight": "x"}}, "cell seed=0: recipe.weight takes a number, got 'x'"),
        ({"base": {**BASE, "recipe.weight": 1, "recipe_options": {"weight": 1}}}, "base: recipe.weight stands there twice"),
        ({"base": {**BASE, "recipe_options": 1}}, "base: recipe_options takes names with values, got 1"),
        ({"base": {**WRITTEN["base"], "recipe.temperature": 1}}, "'steady' is not: give --temperature"),
        ({"search": [{"over": {"recipe.wieght": [1, 2]}}]}, "unknown field of recipe recipes.own.mine 'wieght'"),
        ({"search": [{"over": {"recipe.times": {"low": 1, "high": 3}}, "trials": 2}]}, "recipe.times takes an integer, got 1.0"),
    ],
)  # fmt: skip
def test_what_is_no_field_is_refused_in_one_line(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as refused:
        cells(**changes)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_study_over_a_field_is_run_reported_and_its_cells_are_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    report = [
        {"view": "curve", "x": "recipe.weight", "where": {"recipe.weight": [0.1, 0.3]}},
        {"view": "table", "rows": "recipe.weight"},
    ]
    file = write(
        tmp_path,
        base={**BASE, "epochs": 1},
        axes={"recipe.weight": [0.1, 0.3], "seed": [0]},
        search=[{"over": {"recipe.times": [1, 2]}, "draws": 2}],
        report=report,
    )
    words = ["study", "run", str(file), "--out", "out", "--no-progress"]
    assert main(words) == 0
    again = capsys.readouterr()
    assert main([*words, "--only", "recipe.weight=0.3"]) == 0, again.err
    assert main(["study", "render", str(file), "--out", "out"]) == 0
    [table] = Path("out/report").rglob("*.csv")
    assert {"recipe.weight", "option_recipe.weight", "option_recipe.times"} <= set(
        table.read_text().split("\n")[0].split(",")
    )
    saved = [yaml.safe_load(path.read_text()) for path in sorted(Path("out/cells").glob("*/config.yaml"))]
    assert {one["recipe_options"]["weight"] for one in saved} == {0.1, 0.3}
    cell = next(path.parent for path in Path("out/cells").glob("*/config.yaml"))
    assert main(["evaluate", str(cell), "--draws", "2", "--no-progress"]) == 0
    assert main(["train", "--config", str(cell / "config.yaml"), "--out", "run", "--no-progress"]) == 0
