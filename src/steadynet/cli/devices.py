"""`steadynet devices`: the named devices, and the fit of measured ones."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from steadynet.errors import unknown

ACTIONS = {
    "list": "list the named devices and draw them; so does steadynet devices alone",
    "fit": "make a device file of measurements",
}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    words = list(argv)
    if words and words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words and not words[0].startswith("-"):
        if words[0] not in ACTIONS:
            raise unknown("word after steadynet devices", words[0], ACTIONS)
        action = words.pop(0)
    else:
        action = "list"
    code: int = importlib.import_module(f"steadynet.cli.devices_{action}").main(words)
    return code


def _help() -> str:
    return "\n".join(
        [
            "usage: steadynet devices [list|fit FILE] [options]",
            "",
            "Devices are named by --device NAME, wherever a command takes one; a device file (.yaml) is named by its path.",
            "",
            *(f"  {name:<6}{summary}" for name, summary in ACTIONS.items()),
            "",
            "steadynet devices list --help and steadynet devices fit --help tell the options.",
        ]
    )
