"""What the tests' workers build and do; in a module of its own, since other processes import it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from steadynet.errors import SteadyNetError

PATIENCE = 60.0  # seconds until a test that waits gives up


class AwkwardError(Exception):
    """Can be pickled but not read again: its constructor takes two arguments, its args hold one."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} in {where}")


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Return once `condition` holds; raise if it does not within a minute."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (one that has ended but is not waited for does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def build_scaled(weights: torch.Tensor, log: Path) -> Callable[[int], tuple[float, int]]:
    """Note each build by a file; the jobs return (job times the weights' sum, the worker's process)."""
    (log / f"built-{os.getpid()}-{time.monotonic_ns()}").touch()

    def scaled(job: int) -> tuple[float, int]:
        return job * float(weights.sum()), os.getpid()

    return scaled


def build_writer(weights: torch.Tensor, alias: torch.Tensor) -> Callable[[float], tuple[float, float]]:
    """Return jobs that add to the weights in place, and see whether their alias follows."""

    def add(job: float) -> tuple[float, float]:
        weights.add_(job)
        return float(weights[0]), float(alias[0])

    return add


def build_raiser(log: Path) -> Callable[[str], str]:
    """Return jobs that raise what their name says."""

    def fail(job: str) -> str:
        if job == "refusal":
            raise SteadyNetError("draw 3: the logits are not finite")
        if job == "bug":
            raise ZeroDivisionError("by job 1")
        if job == "awkward":
            raise AwkwardError("a fault", "a job")
        if job == "wait":
            wait_for((log / "go").exists, "go")
        return job

    return fail


def build_failing() -> Callable[[int], int]:
    """Refuse to be built."""
    raise SteadyNetError("the model has no weights")


def build_dying(log: Path) -> Callable[[tuple[int, int]], int]:
    """Return jobs (number, deaths): each kills its worker that many times, then returns its number."""

    def die(job: tuple[int, int]) -> int:
        number, deaths = job
        before = len(list(log.glob(f"try-{number}-*")))
        (log / f"try-{number}-{os.getpid()}").touch()
        if before < deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return die


def build_stillborn() -> Callable[[int], int]:
    """Kill the worker before it is ready."""
    os._exit(7)


def build_gated(folder: Path) -> Callable[[int], tuple[int, str]]:
    """Return jobs that note where they run, wait for the file "go", and return (number squared, where)."""

    def gated(job: int) -> tuple[int, str]:
        where = os.environ.get("RAY_NODE_ID") or node()
        (folder / f"started-{job}-{where}-{os.getpid()}").touch()
        wait_for((folder / "go").exists, "go")
        return job**2, where

    return gated


def node() -> str:
    """Return the Ray node of this process; "here" outside of Ray."""
    import ray

    here: Any = ray
    return str(here.get_runtime_context().get_node_id()) if here.is_initialized() else "here"


def threads_of(_: int) -> int:
    """Return the CPU threads of torch in this worker."""
    return torch.get_num_threads()


def build_threads() -> Callable[[int], int]:
    """Return a job that tells its threads."""
    return threads_of


def build_gpus() -> Callable[[int], str]:
    """Return jobs that tell which GPUs they may see."""

    def seen(_: int) -> str:
        return os.environ.get("CUDA_VISIBLE_DEVICES", "all")

    return seen
