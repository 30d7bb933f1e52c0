"""`steadynet` as a process: in a folder, with one thread, its output kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# A network and data so small that a training takes seconds.
SMALL = (
    "--model",
    "cnn",
    "--model.width",
    "0.25",
    "--train-images",
    "200",
    "--test-images",
    "50",
    "--no-progress",
)


class Process(Protocol):
    """What is started here, or forked."""

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        ...

    def communicate(self) -> tuple[Any, Any]:
        """Return what it wrote, once it has ended."""
        ...


def command(*words: str) -> list[str]:
    """Return the command line of a process."""
    return [sys.executable, "-m", "steadynet", *words]


def run(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run to the end, and check the exit code."""
    done = subprocess.run(
        command(*words), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    return checked(done, code)


def checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    """Check the exit code, and that there is no traceback."""
    assert done.returncode == code, f"{done.args} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start, in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        command(*words), cwd=folder, env=ENVIRONMENT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(what: Callable[[], bool], process: Process, seconds: float = 120) -> None:
    """Wait until `what` holds while the process runs."""
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, f"it ended too early: {process.communicate()}"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.005)
