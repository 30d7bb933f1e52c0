"""`--memory` chooses OVF's form, and a run may be carried on with the other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadynet.cli import compare, train
from steadynet.cli.parser import Command, Options, parse
from steadynet.cli.runs import check_resumed
from steadynet.errors import SteadyNetError
from steadynet.options.groups import RecipeOptions
from steadynet.recipes import OVF

TRAIN, COMPARE = train.COMMAND, compare.COMMAND


def given(words: str, command: Command) -> Options:
    options = parse(command, words.split())
    assert options is not None
    return options


def test_the_form_is_an_option_of_ovf_alone() -> None:
    assert given("--recipe ovf --memory lean", TRAIN)[RecipeOptions].build().objective == OVF(memory="lean")
    assert given("--recipe ovf", TRAIN)[RecipeOptions].build().objective == OVF()
    with pytest.raises(SteadyNetError, match="memory is an option of ovf, which recipe 'noise'"):
        given("--recipe noise --memory lean", TRAIN)
    with pytest.raises(SteadyNetError, match="memory"):
        given("--recipe ovf --memory tiny", TRAIN)


@pytest.mark.parametrize(
    ("command", "before", "after", "refused"),
    [
        (TRAIN, "--recipe ovf", "--recipe ovf --memory lean", None),
        (TRAIN, "--recipe ovf --memory lean", "--recipe ovf --memory fast", None),
        (TRAIN, "--recipe ovf", "--recipe ovf --memory lean --beta 0.5", "--beta None there, 0.5 here"),
        (COMPARE, "--recipes ovf noise", "--recipes ovf noise --recipe.ovf.memory lean", None),
        (COMPARE, "--recipes ovf --recipe.ovf.n 2", "--recipes ovf --recipe.ovf.n 2 --recipe.ovf.memory lean", None),
        (COMPARE, "--recipes ovf", "--recipes ovf --recipe.ovf.n 2 --recipe.ovf.memory lean", "--recipe-options"),
        # A network's own option may bear any name.
        (TRAIN, "--model my.Net --model.memory 1", "--model my.Net --model.memory 2", "--model-options"),
    ],
)  # fmt: skip
def test_a_run_may_be_carried_on_in_the_other_form(
    command: Command, before: str, after: str, refused: str | None, tmp_path: Path
) -> None:
    given(before, command).save(tmp_path)
    if refused is None:
        check_resumed(given(after, command), tmp_path)
    else:
        with pytest.raises(SteadyNetError, match=refused):
            check_resumed(given(after, command), tmp_path)
