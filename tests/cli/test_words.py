"""The words of a command line, brought into one form."""

from __future__ import annotations

import pytest

from steadynet.cli.words import OptionKind, normalise
from steadynet.errors import SteadyNetError

KINDS: dict[str, OptionKind] = {
    "lr": "value",
    "train-sigma-d": "value",
    "sigma-d": "list",
    "taps": "list",
    "model": "value",
    "model-options": "dict",
    "recipe-options": "nested",
    "augment": "switch",
    "help": "bare",
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--lr 1e-3", ["--lr=1e-3"]),
        ("--lr=1e-3", ["--lr=1e-3"]),
        ("--lr -5e-2", ["--lr=-5e-2"]),
        ("--train_sigma_d matched", ["--train-sigma-d=matched"]),
        ("--sigma-d 0.1 0.2 --lr 1", ["--sigma-d=[0.1, 0.2]", "--lr=1"]),
        ("--sigma-d 0.1,0.2", ["--sigma-d=[0.1, 0.2]"]),
        ("--sigma-d=0.1,0.2", ["--sigma-d=[0.1, 0.2]"]),
        ("--sigma-d [0.1,0.2]", ["--sigma-d=[0.1,0.2]"]),
        ("--sigma-d nan x", ['--sigma-d=["nan", "x"]']),
        ("--taps a.b layer1", ['--taps=["a.b", "layer1"]']),
        ("--model my.Net --model.width 3", ["--model=my.Net", "--model-options.width=3"]),
        ("--model.width=3", ["--model-options.width=3"]),
        ("--model_options.deep_net 3", ["--model-options.deep_net=3"]),
        ("--recipe.ovf.beta 1e-1", ['--recipe-options={"ovf": {"beta": 0.1}}']),
        (
            "--recipe.ovf.n 3 --recipe.ovf.gamma reversed",
            ['--recipe-options={"ovf": {"n": 3, "gamma": "reversed"}}'],
        ),
        (
            "--recipe.noise-t16-clip1.5.clip none",
            ['--recipe-options={"noise-t16-clip1.5": {"clip": "none"}}'],
        ),
        ("--augment", ["--augment"]),
        ("--no-augment", ["--no-augment"]),
        ("--augment=false", ["--no-augment"]),
        ("--no-augment=false", ["--augment"]),
        ("-h", ["--help"]),
    ],
)
def test_forms(words: str, expected: list[str]) -> None:
    assert normalise(words.split(), KINDS) == expected


def test_fields_of_one_recipe_are_gathered_by_their_names_which_may_hold_dots() -> None:
    words = "--recipe.weight 1e-1 --recipe.objective.my-tag x --recipe.on true --recipe.weight=2"
    assert normalise(words.split(), {**KINDS, "recipe-options": "dict"}) == [
        '--recipe-options={"weight": 2, "objective.my_tag": "x", "on": true}'
    ]
    with pytest.raises(SteadyNetError, match=r"option --recipe\.weight needs a value"):
        normalise(["--recipe.weight"], {**KINDS, "recipe-options": "dict"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--learning-rat 1", "unknown option '--learning-rat': see --help"),
        ("--agment", "unknown option '--agment': did you mean --augment"),
        ("--no-lr", "unknown option '--no-lr'"),
        ("--lr.x 1", "unknown option '--lr.x'"),
        ("-l 1", "unknown option '-l'"),
        ("--lr", "option --lr needs a value"),
        ("--lr --augment", "option --lr needs a value"),
        ("--model.width", "option --model.width needs a value"),
        ("--sigma-d", "option --sigma-d needs at least one value"),
        ("--sigma-d --lr 1", "option --sigma-d needs at least one value"),
        ("--augment=maybe", "option --augment takes true or false, got 'maybe'"),
        ("--recipe.ovf 1", "option --recipe.ovf must name an option too"),
        ("stray", "unexpected word 'stray'"),
    ],
)
def test_refusals(words: str, message: str) -> None:
    with pytest.raises(SteadyNetError) as refused:
        normalise(words.split(), KINDS)
    assert message in str(refused.value)


def test_a_word_without_dashes_is_the_positional_option_once() -> None:
    assert normalise(["runs/x", "--lr", "1"], KINDS, positional="model") == ["--model=runs/x", "--lr=1"]
    with pytest.raises(SteadyNetError, match="unexpected word 'b'"):
        normalise(["a", "b"], KINDS, positional="model")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("recipe=W/, T = 4|OVF, beta 0.1", '--taps=["recipe=W/, T = 4|OVF, beta 0.1"]'),
        ("a.b,layer1", '--taps=["a.b", "layer1"]'),
        ("recipe=noise,clip", '--taps=["recipe=noise,clip"]'),
        ("recipe=OVF,seed=1", '--taps=["recipe=OVF", "seed=1"]'),
    ],
)
def test_a_text_with_a_comma_and_a_space_is_one_value(word: str, expected: str) -> None:
    assert normalise(["--taps", word], KINDS) == [expected]


def test_numbers_are_told_apart_whatever_stands_behind_their_commas() -> None:
    assert normalise(["--sigma-d", "0.1, 0.2"], KINDS) == ["--sigma-d=[0.1,  0.2]"]
