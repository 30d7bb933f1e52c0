"""How other processes of this machine are started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext, SpawnContext

import torch


def start_context(preload: Sequence[str] = ()) -> ForkServerContext | SpawnContext:
    """Return what starts processes: a server that forks them where that is safe, else each by itself.

    An import of torch and Lightning takes seconds. The server has done it, so the processes begin at once, and share its memory.
    It computes nothing itself: a fork of a process that has would find torch's thread pools in an unknown state. Where there is
    a GPU each process starts by itself, since a driver that was asked anything does not outlive a fork.

    Args:
        preload: Modules that the processes will import. The server, which stays, loads those of the first call.
    """
    if sys.platform == "linux" and not torch.cuda.is_available():
        context = get_context("forkserver")
        context.set_forkserver_preload(["torch", *preload])
        return context
    return get_context("spawn")


def begin(environment: Mapping[str, str], threads: int) -> None:
    """Be as a process that was just started from one of that environment, which has changed since a server began."""
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(threads)
