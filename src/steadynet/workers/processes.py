"""Jobs in spawned processes that stay alive; one that dies is replaced and its job done again.

Processes and pipes of our own rather than `concurrent.futures`, whose pool breaks as a whole when a process dies, does
not tell which job killed it, and leaves its processes behind when the parent is killed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from steadynet import parallel
from steadynet.errors import SteadyNetError
from steadynet.parallel import deaf_children
from steadynet.workers.pool import DEATHS, Job, JobDiedError, Pool, Result
from steadynet.workers.transport import attempt, dump_job, failure, load_bundle, outcome, save_bundle, success

# An idle process ends by itself when its pipe is closed; it is killed if that takes longer, in seconds.
_PATIENCE = 2.0


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    ready: bool = False
    job: int | None = None


class ProcessPool(Pool[Job, Result]):
    """Processes of this machine."""

    def __init__(
        self, build: Callable[..., Callable[[Job], Result]], arguments: tuple[Any, ...], processes: int
    ) -> None:
        self._threads = max(1, torch.get_num_threads() // processes)
        self._stillborn = 0
        self._workers: list[_Worker] = []
        self._folder = TemporaryDirectory(prefix="steadynet-workers-")
        self._bundle = Path(self._folder.name) / "bundle"
        try:
            save_bundle((build, arguments), self._bundle)
            for _ in range(processes):
                self._workers.append(self._start())
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """The number of processes."""
        return len(self._workers)

    def _run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        waiting = deque(range(len(jobs)))
        deaths: Counter[int] = Counter()
        left = len(jobs)
        while left:
            for place, worker in enumerate(self._workers):
                if waiting and worker.ready and worker.job is None:
                    worker.job = waiting.popleft()
                    content = dump_job(worker.job, jobs[worker.job])
                    try:
                        worker.connection.send_bytes(content)
                    except OSError:
                        self._replace(place, waiting, deaths)
            places = {worker.connection: place for place, worker in enumerate(self._workers)}
            for connection in wait(list(places)):
                place = places[connection]  # pyright: ignore[reportArgumentType] (wait returns what it was given)
                worker = self._workers[place]
                try:
                    content = worker.connection.recv_bytes()
                except (EOFError, OSError):
                    self._replace(place, waiting, deaths)
                    continue
                result = outcome(content)
                if worker.job is None:
                    worker.ready, self._stillborn = True, 0
                    continue
                index, worker.job = worker.job, None
                left -= 1
                yield index, result

    def _start(self) -> _Worker:
        ours, theirs = parallel.CONTEXT.Pipe()
        # A daemon, so that a pool which was never closed does not keep this process from its end.
        process = parallel.CONTEXT.Process(
            target=_serve, args=(theirs, self._bundle, self._threads), name="steadynet-worker", daemon=True
        )
        with theirs, deaf_children():
            process.start()
        return _Worker(process, ours)

    def _replace(self, place: int, waiting: deque[int], deaths: Counter[int]) -> None:
        """Start another worker for one that died, and let its job be done again."""
        worker = self._workers[place]
        worker.connection.close()
        worker.process.join(_PATIENCE)
        worker.process.kill()
        worker.process.join()
        code = worker.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if worker.job is not None:
            deaths[worker.job] += 1
            if deaths[worker.job] >= DEATHS:
                raise JobDiedError(
                    f"the process of job {worker.job} died {DEATHS} times ({how}), "
                    "perhaps for want of memory: take fewer processes",
                    worker.job,
                )
            waiting.appendleft(worker.job)
        elif not worker.ready:
            self._stillborn += 1
            if self._stillborn >= DEATHS:
                raise SteadyNetError(
                    f"a worker process died {DEATHS} times before its first job ({how}): "
                    + (
                        "perhaps for want of memory; take fewer processes"
                        if code < 0
                        else "see its own words above; a script must begin its work below if __name__ == '__main__'"
                    )
                )
        self._workers[place] = self._start()

    def _end(self) -> None:
        for worker in self._workers:
            worker.connection.close()
            # One that is idle ends by itself, as its pipe is closed; one that works would not notice.
            if worker.job is not None or not worker.ready:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()
            worker.process.close()
        self._folder.cleanup()


def _serve(connection: Connection, bundle: Path, threads: int) -> None:
    """Build once, then do jobs until the pipe is closed: the life of a worker."""
    # A terminal sends Ctrl-C to every process; the parent decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        try:
            build, arguments = load_bundle(bundle)
            function = build(*arguments)
        except Exception as error:
            connection.send_bytes(failure(error))
            return
        connection.send_bytes(success(None))
        while True:
            connection.send_bytes(attempt(function, connection.recv_bytes()))
    except (EOFError, OSError):
        return


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
