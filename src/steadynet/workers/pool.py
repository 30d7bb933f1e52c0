"""What every pool of workers does, and which one is opened: this process, several, or a Ray cluster.

A worker calls `build(*arguments)` once, which returns the function that does jobs there, so what is large (a model, a
test set) is sent once for each worker and not with each job.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from steadynet.errors import SteadyNetError, check_integer

Job = TypeVar("Job")
Result = TypeVar("Result")

# So often may a job's worker die under it; a job that kills its worker would else be tried for ever.
DEATHS = 3


class JobDiedError(SteadyNetError):
    """A job's worker died under it as often as it may.

    Attributes:
        job: The job's number.
    """

    def __init__(self, message: str, job: int) -> None:
        super().__init__(message)
        self.job = job


class Pool(ABC, Generic[Job, Result]):
    """Workers that stay alive, with what they built, until the pool is closed."""

    _closed = False

    @property
    @abstractmethod
    def size(self) -> int:
        """How many jobs run at once."""

    @abstractmethod
    def _run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        """Yield (number, result) of each job, once, as it is finished."""

    @abstractmethod
    def _end(self) -> None:
        """End the workers and whatever they run."""

    def map(self, jobs: Sequence[Job], on_done: Callable[[int], None] | None = None) -> list[Result]:
        """Return the results of `jobs` in their order.

        A job whose worker died is done again by another, and stands once in the results.

        Args:
            jobs: What the workers' function takes.
            on_done: Called with a job's number as it is finished.

        Raises:
            JobDiedError: If a job's worker dies under it three times.
            SteadyNetError: If the pool is closed.
            Exception: What `build` or a job raised. After any exception, Ctrl-C included, the pool is closed.
        """
        results: dict[int, Result] = {}
        with closing(self.stream(jobs)) as finished:
            for index, result in finished:
                results[index] = result
                if on_done is not None:
                    on_done(index)
        return [results[index] for index in range(len(jobs))]

    def stream(self, jobs: Sequence[Job]) -> Generator[tuple[int, Result]]:
        """Yield (number, result) of each job, once, as it is finished; see `map`. If it is left early, the pool is closed."""
        if self._closed:
            raise SteadyNetError("these workers are closed: open others")
        try:
            yield from self._run(jobs)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_workers(
    build: Callable[..., Callable[[Job], Result]],
    arguments: Sequence[Any] = (),
    processes: int = 1,
    ray: str | None = None,
    gpus: float = 0,
) -> Pool[Job, Result]:
    """Return a pool whose workers do jobs by what `build(*arguments)` returns there.

    Example:
        >>> from functools import partial
        >>> with open_workers(partial, (divmod, 17)) as pool:
        ...     pool.map([2, 5])
        [(8, 1), (3, 2)]

    Args:
        build: Called once in each worker. It, the arguments, the jobs and the results must be picklable where workers
            are other processes, with tensors on the CPU; the arguments may be large, and build must not change them.
        arguments: Of `build`.
        processes: 1 works in this process. More are spawned, each with its share of this process's CPU threads.
        ray: None; "local" for a Ray of this machine's own, on `processes` CPUs, or on all if that is 1; or HOST:PORT of a
            cluster's head, where jobs run on all its CPUs, one thread each, and a node that dies is replaced by others.
        gpus: GPUs of each job on a Ray cluster, which hides all of them from a job that asks for none.

    Raises:
        SteadyNetError: If `processes` is less than 1, Ray is not installed, or the address cannot be reached.
        Exception: What `build` raises; by other processes it is raised at the first `map`.
    """
    check_integer("processes", processes, at_least=1)
    if ray is not None:
        from steadynet.workers.ray import RayPool

        return RayPool(build, tuple(arguments), ray, processes, gpus)
    if processes > 1:
        from steadynet.workers.processes import ProcessPool

        return ProcessPool(build, tuple(arguments), processes)
    from steadynet.workers.serial import SerialPool

    return SerialPool(build, tuple(arguments))
