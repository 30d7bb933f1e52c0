"""What a report says of where its numbers come from."""

from __future__ import annotations

import shlex
from pathlib import Path

from steadynet.cli.parser import CONFIG_NAME


def again(command: str, out: Path) -> str:
    """Return the command line that does the work in `out` again, into a folder of its own."""
    return shlex.join(["steadynet", command, "--config", str(out / CONFIG_NAME), "--out", f"{out}-again"])


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    import platform

    import torch

    from steadynet import __version__

    return {"steadynet": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
