"""A study as it is written: what its words come to, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from steadynet.errors import SteadyNetError
from steadynet.study.cells import cells_of, grid
from steadynet.study.report.check import check_views
from steadynet.study.search_points import sought
from steadynet.study.specification import read_study, study
from study.small import write, written

RECIPES = {"A": {"recipe": "noise"}}


def test_axes_labels_and_numbers_are_read_as_written() -> None:
    made = study(written())
    assert [axis.name for axis in made.axes] == ["recipe", "sigma_d", "seed"]
    assert made.axis("recipe").labels == ("W/O", "W/", "OVF")
    assert made.axis("sigma_d").labels == (0.1, 0.2)
    # YAML 1.1 takes 1e-2 for a text.
    assert dict(made.axis("recipe").values)["OVF"] == {"recipe": "ovf", "beta": 0.01}
    assert made.base["model_options"] == {"width": 0.25}
    assert made.test.sigma_d == "matched"


def test_a_preset_changes_options_by_name_picks_labels_and_adds_rules() -> None:
    rule = {"when": {"recipe": "OVF"}, "set": {"beta": 0.1}}
    late = {"when": {"recipe": "OVF", "seed": 1}, "set": {"beta": 0.2}}
    presets = {
        "small": {
            "base": {"epochs": 1},
            "axes": {"recipe": ["OVF"], "seed": [5]},
            "rules": [],
            "test": {"draws": 2},
        },
        "paper": {"base": {"epochs": 200}, "rules": [late]},
    }
    first = study(written(rules=[rule], presets=presets))
    assert (first.preset, first.base["epochs"], first.base["data"], first.test.draws) == (
        "small",
        1,
        "digits",
        2,
    )
    assert first.axis("recipe").labels == ("OVF",)
    assert first.axis("seed").labels == (5,)
    paper = study(written(rules=[rule], presets=presets), "paper")
    assert [dict(r.options) for r in paper.rules] == [{"beta": 0.1}, {"beta": 0.2}]
    assert (paper.preset, paper.base["epochs"], paper.test.draws) == ("paper", 200, 3)


def test_rules_and_searches_may_speak_of_labels_that_a_preset_leaves_out() -> None:
    rules = [
        {"when": {"recipe": "OVF", "seed": 1}, "skip": True},
        {"when": {"seed": [0, 1]}, "set": {"lr": 0.1}},
    ]
    search = [{"over": {"beta": [0.1, 0.2]}, "when": {"recipe": "OVF"}, "draws": 2}]
    presets = {"small": {"axes": {"recipe": ["W/O", "W/"], "seed": [0]}}, "paper": {}}
    small = study(written(rules=rules, search=search, presets=presets))
    assert {(labels["recipe"], labels["seed"]) for labels in grid(small)} == {("W/O", 0), ("W/", 0)}
    assert sought(small) == ()
    assert len(sought(study(written(rules=rules, search=search, presets=presets), "paper"))) == 2
    with pytest.raises(SteadyNetError, match="rule 1: seed has no label 7: known: 0, 1"):
        study(written(rules=[{"when": {"seed": 7}, "skip": True}], presets=presets))
    with pytest.raises(SteadyNetError, match="is for no point of the grid"):
        study(written(rules=[{"when": {"recipe": "OVF"}, "skip": True}], search=search))


def test_the_study_in_the_documentation_can_be_planned() -> None:
    text = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    block = text.partition("## What stands in the file")[2].partition("```yaml\n")[2].partition("```")[0]
    held = yaml.safe_load(block)
    for preset in held["presets"]:
        made = study({"name": "documented", **held}, preset)
        assert len(cells_of(made)) > 1
        check_views(made, [point for cell in cells_of(made) for point in cell.points])


def test_a_file_names_its_study_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert read_study(write(tmp_path, "mine")).name == "mine"
    path = tmp_path / "own.yaml"
    path.write_text("name: other\naxes: {seed: [0]}\n")
    assert read_study(path).name == "other"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tests": {}}, "unknown key of a study 'tests': did you mean 'test'"),
        ({"base": {"epoch": 3}}, "unknown option in base 'epoch': did you mean 'epochs'"),
        ({"base": {"epochs": "many"}}, "base: epochs takes an integer, got 'many'"),
        ({"base": {"epochs": True}}, "base: epochs takes an integer, got True"),
        ({"base": {"progress": True}}, "unknown option in base 'progress'"),
        ({"base": {"init_from": "runs/x"}}, "init_from must hold options"),
        ({"base": [1]}, "base must hold names with values"),
        ({"axes": {}}, "the study has no axes: the grid is empty"),
        ({"axes": {"seed": []}}, "axis seed has no values: the grid is empty"),
        ({"axes": {"seed": 3}}, "axis seed must be a list"),
        ({"axes": {"seed": [1, 1]}}, "axis seed has 1 twice"),
        ({"axes": {"sigma": [0.1]}}, "unknown option in axis sigma 'sigma': did you mean 'sigma_d'"),
        ({"axes": {"taps": [["a"], ["b"]]}}, "axis taps must be a text or a number"),
        (
            {"axes": {"recipe": {"A": {"recipes": "noise"}}}},
            "unknown option in axis recipe, label A 'recipes'",
        ),
        (
            {"rules": [{"when": {"recipes": "W/"}, "skip": True}]},
            "unknown axis in rule 1 'recipes': did you mean 'recipe'",
        ),
        (
            {"rules": [{"when": {"recipe": "OVV"}, "skip": True}]},
            "rule 1: recipe has no label 'OVV': did you mean OVF",
        ),
        ({"rules": [{"when": {"recipe": "OVF"}}]}, "rule 1 does nothing"),
        ({"rules": [{"when": {}, "set": {}, "skip": True}]}, "skip: true stands alone"),
        ({"rules": {"a": 1}}, "rules must be a list"),
        ({"test": {"draw": 3}}, "unknown key of test 'draw': did you mean 'draws'"),
        ({"test": {"draws": 0}}, "test.draws must be an integer ≥ 1"),
        ({"test": {"sigma_d": "all"}}, "test.sigma_d must be numbers or 'matched'"),
        ({"test": {"sigma_d": [0.2, 0.1]}}, "test.sigma_d must grow"),
        (
            {"test": {"sigma_d": [0.1, 0.3]}},
            "axis sigma_d has 2 labels and test.sigma_d is a list",
        ),
        ({"test": {"sigma_d": [-0.1]}}, "test.sigma_d must be a finite number ≥ 0"),
        ({"presets": {"a": {"bases": {}}}}, "unknown key of preset a 'bases'"),
        ({"presets": {"a": {"axes": {"recipe": ["OVV"]}}}}, "unknown label of axis recipe 'OVV'"),
        ({"name": "a/b"}, "cannot name a folder"),
        ({"report": {"view": "curve"}}, "report must be a list"),
    ],
)
def test_what_no_study_has_is_refused_in_one_line(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        study(written(**changes))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_preset_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="this study has no presets"):
        study(written(), "small")
    path = write(tmp_path, presets={"small": {}, "paper": {}})
    with pytest.raises(
        SteadyNetError, match=r"study .*small.yaml: unknown preset 'papr': did you mean 'paper'"
    ):
        read_study(path, "papr")


@pytest.mark.parametrize("text", ["", "- a", "a: [", "base: {a: 1, a: 2}", "1: 2"])
def test_a_file_that_holds_no_study_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SteadyNetError, match=r"study .*x\.yaml"):
        read_study(path)
    with pytest.raises(SteadyNetError, match="there is no such file"):
        read_study(tmp_path / "y.yaml")


def test_augmentation_is_refused_where_there_is_none_and_told_by_no_identity() -> None:
    axes = {"recipe": RECIPES}
    [plain] = cells_of(study(written(axes=axes)))
    assert plain.config()["data"]["augment"] is True
    base = {**written()["base"], "augment": True}
    with pytest.raises(
        SteadyNetError, match=r"cell recipe=A: augment: true does nothing for digits, .*: leave it out"
    ):
        cells_of(study(written(axes=axes, base=base)))
    keys = [
        cells_of(study(written(axes=axes, base={**written()["base"], "data": "cifar10", **more})))[0].key()
        for more in ({}, {"augment": True}, {"augment": False})
    ]
    assert keys[0] == keys[1] != keys[2]
