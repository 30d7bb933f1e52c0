"""Jobs in processes of their own, which Ctrl-C stops without loss."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from steadynet.errors import SteadyNetError

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

T = TypeVar("T")
# Each process starts by itself: a forked one would inherit torch's thread pools in an unknown state.
CONTEXT: SpawnContext | ForkServerContext = get_context("spawn")


def run_in_processes(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], processes: int
) -> Generator[tuple[int, T]]:
    """Yield (number, result) of each job as it is finished.

    Processes are spawned. Each has its share of this process's CPU threads. If the jobs are left early, by Ctrl-C or by an
    error, those that run are told by SIGINT, which a training heeds after its step; a process that does not train ends its
    job first.

    Args:
        function: What is run; it, its arguments and its result must be picklable.
        jobs: Its arguments.
        processes: How many run at once.

    Raises:
        SteadyNetError: If a process is killed.
    """
    threads = max(1, torch.get_num_threads() // processes)
    others = set(active_children())
    waiting = iter(enumerate(jobs))
    running: dict[Future[T], int] = {}
    with ProcessPoolExecutor(processes, CONTEXT, torch.set_num_threads, (threads,)) as pool:

        def start() -> None:
            # No more than can run: what the pool has queued cannot be taken back.
            with deaf_children():
                for index, job in itertools.islice(waiting, processes - len(running)):
                    running[pool.submit(function, *job)] = index

        try:
            start()
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index, result = running.pop(future), future.result()
                    start()
                    yield index, result
        except BrokenProcessPool as error:
            raise SteadyNetError(
                "a process was killed, perhaps for want of memory: take fewer processes; what is finished is kept"
            ) from error
        finally:
            if running:
                for child in set(active_children()) - others:
                    if child.pid is not None:
                        os.kill(child.pid, signal.SIGINT)


@contextmanager
def deaf_children() -> Generator[None]:
    """Let processes that are started meanwhile ignore SIGINT, which a terminal sends to them too, until they train."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
