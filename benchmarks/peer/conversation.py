"""A process that works only when it is told to, so that two sides in two processes never run at once."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steadynet.errors import SteadyNetError

# Threads that have just computed spin for a while before they sleep, and would take time from the other side.
PAUSE = 0.3


class Worker:
    """A kept process that is sent one line and answers with one line of JSON after the word "answer".

    Args:
        command: What to run.
        environment: Variables on top of this process's own.

    Raises:
        SteadyNetError: If it ends, or answers what is no JSON, with the last line that it wrote to its error output.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line and return the answer; both sides are then idle for a moment."""
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            raise SteadyNetError("the worker has no pipes")
        try:
            sink.write(line + "\n")
            sink.flush()
        except BrokenPipeError:
            raise self._ended() from None
        for told in source:
            # Libraries print as they please.
            if told.startswith("answer "):
                time.sleep(PAUSE)
                return json.loads(told.removeprefix("answer "))
        raise self._ended()

    def _ended(self) -> SteadyNetError:
        code = self._process.wait(timeout=10)
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return SteadyNetError(f"the worker ended with {code}: {lines[-1] if lines else 'it said nothing'}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            # What a worker that has ended did not read.
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
