"""Fields of an own recipe's parts from words and files: trained, carried on, tested, handed over and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from recipes.own import Agreement, Decay, both
from steadynet.cli import compare, train
from steadynet.cli.command_options import CompareOptions
from steadynet.cli.main import main
from steadynet.cli.parser import Options, parse
from steadynet.errors import SteadyNetError
from steadynet.options.groups import RecipeOptions
from steadynet.recipes import OVF, Clip, Recipe, Several

_LOOK = "--model cnn --model.width 0.25 --train-images 200 --test-images 50 --epochs 1 --val-draws 1 --no-progress"
QUICK = _LOOK.split()
MINE = "recipes.own.mine"


def trained(words: str) -> Options:
    options = parse(train.COMMAND, words.split())
    assert options is not None
    return options


def compared(words: str) -> tuple[Recipe, ...]:
    options = parse(compare.COMMAND, words.split())
    assert options is not None
    return options[CompareOptions].build_all()


def test_a_file_and_the_words_after_it_give_fields(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    for text in (
        f"recipe: {MINE}\nrecipe.weight: 1e-1\nrecipe.objective.times: 2\n",
        f"recipe: {MINE}\nrecipe_options: {{weight: 0.1, objective.times: 2}}\n",
        f"recipe: {MINE}\nrecipe.weight: 0.1\nrecipe_options: {{objective.times: 2}}\nrecipe.how: null\n",
    ):
        config.write_text(text)
        options = trained(f"--config {config}")[RecipeOptions]
        assert options.recipe_options == {"weight": 0.1, "objective.times": 2}
        assert options.build().objective == Agreement(4.0, weight=0.1, times=2)
        words = f"--config {config} --recipe.weight 0.3 --recipe.layers a,b"
        made = trained(words)[RecipeOptions].build()
        assert made.objective == Agreement(4.0, weight=0.3, times=2, layers=("a", "b"))
    config.write_text(f"recipe: {MINE}\nrecipe.weight: 1\nrecipe_options: {{weight: 2}}\n")
    with pytest.raises(SteadyNetError, match="gives weight of --recipe-options twice"):
        parse(train.COMMAND, ["--config", str(config)])
    config.write_text("recipe_options: 3\n")
    with pytest.raises(SteadyNetError, match="option --recipe-options takes names with values, got 3"):
        parse(train.COMMAND, ["--config", str(config)])


def test_saved_options_give_the_same_recipe_again(tmp_path: Path) -> None:
    options = trained(f"--recipe {MINE} --recipe.weight 1e-5 --recipe.objective.how none --recipe.alpha 1.5")
    options.save(tmp_path)
    again = trained(f"--config {tmp_path / 'config.yaml'}")
    assert again.config() == options.config()
    assert again[RecipeOptions].build() == options[RecipeOptions].build()


def test_a_comparison_changes_fields_beside_options(tmp_path: Path) -> None:
    changes = ("share 0.3", "objective.weight 0.7", "temperature 3")
    line = " ".join(
        ["--recipes ovf recipes.own.both", *(f"--recipe.recipes.own.both.{one}" for one in changes)]
    )
    wanted = Recipe(
        objective=Agreement(3.0, weight=0.7), constraint=Several((Decay(0.3), Clip(2.0))), name="both"
    )
    assert compared(line) == (Recipe(objective=OVF(), name="ovf"), wanted)
    config = tmp_path / "c.yaml"
    config.write_text(
        "recipes: [recipes.own.both, noise-t4]\nrecipe.recipes.own.both.share: 0.3\nrecipe.noise-t4.clip: 2\n"
    )
    one, other = compared(f"--config {config}")
    assert one.constraint == Several((Decay(0.3), Clip(2.0)))
    assert (one.objective, other.constraint) == (both.objective, Clip(2.0))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--recipe.recipes.own.mine.wieght 1", "unknown field of recipe recipes.own.mine 'wieght': did you mean 'weight'"),
        ("--recipe.recipes.own.mien.weight 1", "unknown recipe in --recipe.NAME.OPTION 'recipes.own.mien'"),
        ("--recipe.ovf.weight 1", "unknown option of recipe 'ovf' 'weight'"),
        ("--recipe.ovf.objective.beta 1", "unknown recipe in --recipe.NAME.OPTION 'ovf.objective'"),
    ],
)  # fmt: skip
def test_what_no_compared_recipe_has_is_refused(words: str, told: str) -> None:
    with pytest.raises(SteadyNetError) as refused:
        compared(f"--recipes ovf {MINE} {words}")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--recipe steady --recipe.temperature 8", "'steady' is not: give --temperature"),
        (f"--recipe {MINE} --recipe.wieght 8", "did you mean 'weight'"),
        (f"--recipe {MINE} --recipe.weight", "option --recipe.weight needs a value"),
    ],
)
def test_train_refuses_in_one_line(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words.split()]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1


def test_a_run_is_trained_carried_on_tested_and_handed_over_and_a_comparison_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", *QUICK, "--recipe", MINE, "--recipe.weight", "0.3", "--recipe.objective.times", "2"]
    assert main([*words, "--out", "run"]) == 0
    saved = yaml.safe_load(Path("run/config.yaml").read_text())
    assert saved["recipe_options"] == {"weight": 0.3, "objective.times": 2}
    objective = json.loads(Path("run/result.json").read_text())["recipe"]["objective"]
    assert (objective["class"], objective["weight"], objective["times"]) == ("Agreement", 0.3, 2)
    assert main(["evaluate", "run", "--draws", "2", "--no-progress"]) == 0
    assert main(["export", "run", "--out", "handed"]) == 0
    Path("run/backbone.safetensors").unlink()
    capsys.readouterr()
    assert main(["train", "--out", "run", "--resume", "--recipe.weight", "0.4"]) == 2
    assert "was started with other options (--recipe-options {'weight': 0.3" in capsys.readouterr().err
    assert main(["train", "--out", "run", "--resume"]) == 0
    assert Path("run/backbone.safetensors").is_file()
    words = [
        "compare",
        *QUICK,
        "--recipes",
        "noise",
        MINE,
        f"--recipe.{MINE}.weight",
        "0.3",
        "--sigma-d",
        "0.1",
    ]
    assert main([*words, "--draws", "2", "--out", "c"]) == 0
    rows = json.loads(Path("c/results.json").read_text())["rows"]
    assert [row["recipe"] for row in rows] == ["noise", "agreement"]
    assert main(["compare", "--out", "c", "--resume"]) == 0
