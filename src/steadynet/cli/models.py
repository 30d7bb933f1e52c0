"""`steadynet models`: the named networks."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.cli.parser import Command, parse
from steadynet.cli.table import Row, print_table

COMMAND = Command("models", "List the named networks, for --model NAME.", groups=())


def main(argv: Sequence[str]) -> int:
    """Print the table."""
    if parse(COMMAND, argv) is None:
        return 0
    from steadynet.models.names import MODELS

    rows: list[Row] = [
        (name, ", ".join(f"--model.{option}" for option in model.options), model.summary)
        for name, model in MODELS.items()
    ]
    print_table(("name", "options", "network"), rows)
    print(
        "Networks of libraries by timm:NAME, torchvision:NAME and transformers:NAME, such as --model timm:mobilenetv3_small_050."
    )
    print("Any other network by the import path of its class: --model my_pkg.nets.Net --model.width 3.")
    return 0
