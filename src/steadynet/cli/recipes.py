"""`steadynet recipes`: the named recipes, and the options that change their parts."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.cli.parser import Command, parse
from steadynet.cli.table import Row, print_table
from steadynet.recipes import DEFAULT_RECIPE, RECIPES
from steadynet.recipes.flat import CONSTRAINTS, DETAILS, DISTILLATION, STEP, VARIATION

COMMAND = Command(
    "recipes", "List the named recipes, for --recipe NAME, and the options of their parts.", groups=()
)


def main(argv: Sequence[str]) -> int:
    """Print the tables."""
    if parse(COMMAND, argv) is None:
        return 0
    rows: list[Row] = [
        (name, "the default" if name == DEFAULT_RECIPE else "", row.summary) for name, row in RECIPES.items()
    ]
    print_table(("name", "", "recipe"), rows)
    parts: list[Row] = [
        ("variation", "what error the weights see", _words(VARIATION)),
        ("objective", "what is minimised", _words(("temperature", "beta", "n", *DISTILLATION)) + " …"),
        ("constraint", "what keeps the weights in shape", _words((*CONSTRAINTS, *DETAILS))),
        ("step", "how the gradient is taken", _words(STEP)),
    ]
    print_table(("part", "it says", "options"), parts)
    print(
        "Any option goes with any recipe that has its part, unless both would own the same thing: "
        "--recipe ovf --clip 2.5 --temperature 16."
    )
    print(
        "steadynet train --help tells each option. Any other recipe by the import path of a steadynet.Recipe, fields of its "
        "parts as --recipe.NAME VALUE."
    )
    return 0


def _words(names: Sequence[str]) -> str:
    return " ".join(f"--{name.replace('_', '-')}" for name in names)
