"""`steadynet study`: run, look at, render, pack, unpack and confirm studies."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from steadynet.errors import unknown

ACTIONS = {
    "run": "train and test the cells of studies, and go on where they were left",
    "status": "list the cells of studies: what is finished, running, failed or left",
    "render": "write tables, figures and one report of what is finished",
    "pack": "write all results to one file, without weights",
    "unpack": "write the results in such a file into a folder of studies",
    "confirm": "find out whether an older version's results are this one's too, so that they count on",
}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    words = list(argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] not in ACTIONS:
        raise unknown("word after steadynet study", words[0], ACTIONS)
    action = importlib.import_module(f"steadynet.cli.study_{words[0]}")
    code: int = action.main(words[1:])
    return code


def _help() -> str:
    return "\n".join(
        [
            f"usage: steadynet study {'|'.join(ACTIONS)} FILE ... [options]",
            "",
            "A study is a YAML file: a grid of trainings, how they are tested, and what is reported of them.",
            "",
            *(f"  {name:<9}{summary}" for name, summary in ACTIONS.items()),
            "",
            "steadynet study run --help tells the options. The paper's studies lie in the folder studies of the repository.",
        ]
    )
