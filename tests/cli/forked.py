"""`steadynet` as a process that does not import torch and Lightning anew: forked from one that has.

For tests of what processes do to each other, which need many: an import takes longer than what they train. Each is a process of
its own, in a folder and a process group of its own. Whether the command starts by itself is for tests that start it so.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from cli.processes import ENVIRONMENT, checked

_PRELOADED = ("steadynet.cli.study_run", "steadynet.study.search_run", "steadynet.training", "optuna")


class Forked:
    """What `subprocess.Popen` tells of a process, of one that was forked.

    Attributes:
        pid: Its number, also its process group's.
        returncode: Its exit code, or minus the signal that ended it; None while it runs.
    """

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        told = Path(mkdtemp(dir=_folder()))
        self._words = words
        self._files = [told / "stdout", told / "stderr"]
        files = [str(file) for file in self._files]
        self.pid: int = _ask({"start": words, "folder": str(folder), "files": files})
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        if self.returncode is None:
            self.returncode = _ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """Wait for its end, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: If it takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(self._words), timeout)
            time.sleep(0.02)
        return code

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """Wait for its end, and return what it wrote to standard output and to standard error."""
        self.wait(timeout)
        out, err = (file.read_text(encoding="utf-8") for file in self._files)
        return out, err


def start(folder: Path, *words: str) -> Forked:
    """Start the command in a folder, in a process group of its own, as a terminal does."""
    return Forked(folder, words)


def run(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run to the end, and check the exit code."""
    process = start(folder, *words)
    out, err = process.communicate()
    return checked(subprocess.CompletedProcess(list(words), process.wait(), out, err), code)


@cache
def _folder() -> str:
    """Return a folder for what processes write, which is removed at the end."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    return folder.name


@cache
def _server() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.forked"], cwd=Path(__file__).parents[1], env=ENVIRONMENT, text=True,
        start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(process.communicate)  # It ends when nothing more can be asked.
    return process


def _ask(request: dict[str, Any]) -> Any:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps(request), file=server.stdin, flush=True)
    line = server.stdout.readline()
    assert line, f"the process that forks ended with {server.wait()} at {request}: see standard error"
    return json.loads(line)


def _serve() -> None:
    """Answer requests until there are no more; then end what still runs. A forked process runs its command, and ends."""
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            ready, told = os.pipe()
            answer = os.fork()
            if not answer:
                _become(request["start"], request["folder"], request["files"])
                os.close(ready)
                os.close(told)
                runpy.run_module("steadynet", run_name="__main__", alter_sys=True)
            os.close(told)
            os.read(ready, 1)  # It is closed once the process leads a group of its own, or has ended.
            os.close(ready)
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:
        with suppress(ProcessLookupError, PermissionError):  # It has ended, and nobody has asked.
            os.killpg(pid, signal.SIGKILL)


def _become(words: list[str], folder: str, files: list[str]) -> None:
    """Be as a process that was just started in a folder, its output going to files."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.path[0] = folder
    sys.argv = ["steadynet", *words]


if __name__ == "__main__":
    import importlib

    for name in _PRELOADED:
        importlib.import_module(name)
    _serve()
