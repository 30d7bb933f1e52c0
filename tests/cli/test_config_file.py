"""A YAML file says all that words may, and is refused as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from steadynet.cli import compare, evaluate, export, train
from steadynet.cli.command_options import CompareOptions
from steadynet.cli.parser import Command, Options, build_parser, dump, option_kinds, parse
from steadynet.cli.words import normalise
from steadynet.errors import SteadyNetError
from steadynet.options.groups import DataOptions, ModelOptions, TrainingOptions
from steadynet.options.types import members
from steadynet.recipes import OVF, Clip

TRAIN, COMPARE, EVALUATE, EXPORT = train.COMMAND, compare.COMMAND, evaluate.COMMAND, export.COMMAND


def given(words: str, command: Command = TRAIN) -> Options:
    options = parse(command, words.split())
    assert options is not None
    return options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3\n", "unknown option in the configuration file 'epoch': did you mean epochs"),
        ("epochs: x\n", "option --epochs takes an integer, got 'x'"),
        ("epochs: [1, 2]\n", "option --epochs takes an integer, got '[1, 2]'"),
        ("epochs: {a: 1}\n", "option --epochs takes an integer"),
        ("epochs: true\n", "option --epochs takes an integer"),
        ("lr: .nan\n", "option --lr takes a number, got 'NaN'"),
        ("augment: maybe\n", "option --augment takes true or false, got 'maybe'"),
        ("augment: 1\n", "option --augment takes true or false, got 1"),
        ("model_options: 3\n", "option --model-options takes names with values, got 3"),
        ("recipe.ovf.beta: 3\n", "recipe.ovf.beta is a field of a recipe that is named by its import path"),
        (
            "augment: true\n",
            "--augment does nothing for digits, whose images are taken as they are: leave it out",
        ),
        ("help: true\n", "unknown option in the configuration file 'help'"),
        ("config: c.yaml\n", "unknown option in the configuration file 'config'"),
        ("print_config: true\n", "unknown option in the configuration file 'print_config'"),
        ("out: ''\n", "option --out takes a path, got ''"),
        ('out: "a\\0b"\n', "option --out: 'a\\x00b' is no usable path"),
        ("epochs: 1\nepochs: 2\n", "c.yaml: 'epochs' stands twice in it: name it once"),
        ("model_options: {width: 1, width: 2}\n", "c.yaml: 'width' stands twice in it"),
        ("1: 2\n", "c.yaml: 1 is no name"),
        ("epochs: [3\n", "c.yaml is no YAML"),
        ("epochs: !!python/object/apply:os.getcwd []\n", "c.yaml is no YAML: could not determine"),
        ("epochs: 2024-02-31\n", "c.yaml is no YAML"),
        ("a: \t1\n\tb: 2\n", "c.yaml is no YAML"),
        ("- a\n- b\n", "c.yaml must hold options, one a line"),
        ("", "c.yaml must hold options, one a line"),
        ("3\n", "c.yaml must hold options, one a line"),
    ],
)
def test_refusals_of_a_file(text: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    with pytest.raises(SteadyNetError) as refused:
        parse(TRAIN, ["--config", str(config)])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("data: é\n".encode("latin-1"))
    for name, told in (("latin", "is no text in UTF-8"), ("", "it is a folder"), ("none", "no such file")):
        with pytest.raises(SteadyNetError, match=told):
            parse(TRAIN, ["--config", str(tmp_path / name)])


def test_a_file_may_say_all_that_words_may(tmp_path: Path) -> None:
    """A single value for a list, dotted names, dashes; null is an option that is not given."""
    config = tmp_path / "c.yaml"
    config.write_text(
        "sigma-d: 0.3\nseeds: 3\nrecipes: ovf,noise\nmodel.width: 0.5\nrecipe.ovf.beta: 0.25\n"
        "recipe_options: {noise: {clip: 2}}\nlr: 1e-2\nprogress: no\nsize: null\nout: 2024-01-01\n"
    )
    options = given(f"--config {config} --recipe.ovf.n 2", COMPARE)
    asked = options[CompareOptions]
    assert (asked.sigma_d, asked.seed_list, asked.recipes) == ([0.3], (0, 1, 2), ["ovf", "noise"])
    assert options[ModelOptions].model_options == {"width": 0.5}
    first, second = asked.build_all()
    assert (first.objective, second.constraint) == (OVF(beta=0.25, n=2), Clip(2))
    assert (options[TrainingOptions].lr, options[TrainingOptions].progress) == (0.01, False)
    assert (options[DataOptions].size, asked.out) == (None, "2024-01-01")


def test_several_options_of_a_network_stay_whichever_way_they_are_written(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    for text in (
        "model: my.Net\nmodel.tag: a\nmodel.k: 5\n",
        "model: my.Net\nmodel_options: {tag: a}\nmodel.k: 5\n",
        "model: my.Net\nmodel.k: 5\nmodel_options: {tag: a}\n",
    ):
        config.write_text(text)
        assert given(f"--config {config}")[ModelOptions].model_options == {"tag": "a", "k": 5}
        both = given(f"--config {config} --model.k 7 --model.j 1")[ModelOptions].model_options
        assert both == {"tag": "a", "k": 7, "j": 1}
    config.write_text("model.k: 5\nmodel_options: {k: 6}\n")
    with pytest.raises(SteadyNetError, match="gives k of --model-options twice"):
        parse(TRAIN, ["--config", str(config)])


def test_the_later_of_two_files_comes_on_top(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("epochs: 3\nlr: 0.5\n")
    (tmp_path / "b.yaml").write_text("epochs: 4\n")
    options = given(f"--config {tmp_path / 'a.yaml'} --config {tmp_path / 'b.yaml'}")[TrainingOptions]
    assert (options.epochs, options.lr) == (4, 0.5)


def other(kind: Any, value: Any) -> Any:
    """A value of the type that is not the given one."""
    member = members(kind)[0]
    if get_origin(member) is Literal:
        return next(choice for choice in get_args(member) if choice != value)
    if get_origin(member) is list:
        inner = other(get_args(member)[0], None)
        return [inner] if [inner] != value else [inner, inner]
    if get_origin(member) is dict:
        return {}
    by_type = {bool: not value, int: 3, float: 1.5, str: "x"}
    return by_type[member]


@pytest.mark.parametrize("command", [TRAIN, COMPARE, EVALUATE, EXPORT], ids=lambda command: command.name)
def test_every_option_arrives_from_yaml(command: Command, tmp_path: Path) -> None:
    """All at once, each unlike its default, before they are checked against each other."""
    plain = build_parser(command).get_defaults().as_dict()
    wanted = {name: other(kind, plain[name]) for name, (_, _, kind) in command.fields().items()}
    (tmp_path / "c.yaml").write_text(dump(wanted))
    words = normalise(["--config", str(tmp_path / "c.yaml")], option_kinds(command))
    values = build_parser(command).parse_args(words).as_dict()
    assert {name: values[name] for name in wanted} == wanted
    assert all(value != plain[name] for name, value in wanted.items() if value != {})
