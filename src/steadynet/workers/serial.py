"""Jobs one after the other in this process: the plain twin of the pools that spread them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from steadynet.workers.pool import Job, Pool, Result


class SerialPool(Pool[Job, Result]):
    """This process as the one worker."""

    def __init__(self, build: Callable[..., Callable[[Job], Result]], arguments: tuple[Any, ...]) -> None:
        self._function: Callable[[Job], Result] | None = build(*arguments)

    @property
    def size(self) -> int:
        """1."""
        return 1

    def _run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        assert self._function is not None  # map refuses once it is closed
        for index, job in enumerate(jobs):
            yield index, self._function(job)

    def _end(self) -> None:
        self._function = None
