"""The peer's virtual environment: made once, with pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from steadynet.errors import SteadyNetError

REQUIREMENTS = ("torch==2.13.0", "aihwkit-lightning==2.1.0")
DEFAULT = Path(__file__).resolve().parent.parent / ".peer-venv"
_STAMP = ".installed"


def peer_python(folder: Path, index: str | None = None) -> Path:
    """Return the Python of the environment in `folder`; it is made, with the peer in it, if it is not there yet.

    Args:
        folder: Where it lies.
        index: Where torch's wheels come from; pip's own places if None. Without a GPU
            https://download.pytorch.org/whl/cpu saves a large download.

    Raises:
        SteadyNetError: If the folder holds something else, or the peer cannot be installed.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / _STAMP
    wanted = "\n".join(REQUIREMENTS)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
            raise SteadyNetError(f"{folder} is no virtual environment: give another folder to --peer-venv")
        shutil.rmtree(folder)
    commands = [[sys.executable, "-m", "venv", str(folder)]]
    torch, *others = REQUIREMENTS
    source = [] if index is None else ["--index-url", index]
    commands.append([str(python), "-m", "pip", "install", "--quiet", torch, *source])
    commands.append([str(python), "-m", "pip", "install", "--quiet", torch, *others])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            told = (done.stderr or done.stdout).strip().splitlines()
            raise SteadyNetError(
                f"the peer's environment cannot be made: {' '.join(command)} says {told[-1] if told else 'nothing'}"
            )
    stamp.write_text(wanted, encoding="utf-8")
    return python
