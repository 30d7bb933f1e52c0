"""Entry of the command `steadynet`: runs the subcommand, turns errors into one line and exit 2."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from steadynet import __version__
from steadynet.errors import SteadyNetError, unknown

COMMANDS = {
    "train": "train a network for a noisy device by one recipe",
    "evaluate": "simulate chips that hold a trained network: what accuracy it keeps",
    "compare": "train and evaluate by several recipes: one table, one pair of figures",
    "study": "run, look at and render studies: grids of trainings, resumable, on one machine or many",
    "demo": "compare on digits within minutes, then hand over the best network",
    "export": "hand over a trained network: weights, conductance levels, ONNX",
    "import": "tell what accuracy a chip has whose conductances were measured",
    "write-verify": "write-verify a part of the weights, and tell what accuracy that buys",
    "layers": "tell which layer's errors cost the accuracy",
    "recalibrate": "recalibrate BatchNorm on each chip, and tell how many images that needs",
    "calibrate": "find the temperature at which confidence tells how often the network is right on chips",
    "worst-case": "search the errors within a bound that cost the most accuracy",
    "inspect": "tell which of a network's weights lie on devices, on how many crossbars, and what stays digital",
    "devices": "list the named devices, or make one of measurements",
    "models": "list the named networks",
    "recipes": "list the named recipes and the options of their parts",
}

INTERRUPTED = 130
_PACKAGE = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (that of the process if None) and return its exit code.

    0 is success, 2 input that is refused, 130 Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except SteadyNetError as error:
        print("steadynet: error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        told = " ".join(str(interrupt).split())
        print(f"\nsteadynet: interrupted{': ' + told if told else ''}", file=sys.stderr)
        return INTERRUPTED


def entry() -> None:
    """Run as a process: exit with `main`'s code."""
    warnings.showwarning = _show(warnings.showwarning)
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has left. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _show(others: Callable[..., None]) -> Callable[..., None]:
    """Return what prints a warning of ours in one line, as errors are, and leaves those of others to `others`."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any, **named: Any
    ) -> None:
        if Path(filename).is_relative_to(_PACKAGE):
            print("steadynet: warning:", " ".join(str(message).split()), file=sys.stderr)
        else:
            others(message, category, filename, lineno, *rest, **named)

    return show


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"steadynet {__version__}")
        return 0
    if words[0] not in COMMANDS:
        kind = "option" if words[0].startswith("-") else "command"
        raise unknown(kind, words[0], ("--help", "--version") if kind == "option" else COMMANDS)
    # A module cannot be called import.
    module = "import_chip" if words[0] == "import" else words[0].replace("-", "_")
    command = importlib.import_module(f"steadynet.cli.{module}")
    code: int = command.main(words[1:])
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: steadynet COMMAND [options]",
            "",
            "Train neural networks that keep their accuracy on noisy non-volatile memory, and prove it.",
            "",
            "commands:",
            *(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()),
            "",
            "steadynet COMMAND --help tells a command's options; steadynet --version the version.",
            "Every option can also come from a YAML file: steadynet COMMAND --config FILE.",
        ]
    )
