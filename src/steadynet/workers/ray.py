"""Jobs as tasks of a Ray cluster: of this machine's own, or of one that runs already.

Ray runs a task again when its worker or its node dies, and moves what the workers build from to each node once. A worker
keeps what it built until it serves another pool.
"""

from __future__ import annotations

import io
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.workers.pool import DEATHS, Job, JobDiedError, Pool, Result
from steadynet.workers.transport import attempt, dump_job, failure, load_bundle, outcome, save_bundle

# Seconds between looks at a cluster that gives nothing back, and how many of them it may have no CPUs at all.
_LOOK = 10.0
_PATIENCE = 6


class RayPool(Pool[Job, Result]):
    """The CPUs of a Ray cluster, or its GPUs where jobs ask for some."""

    def __init__(
        self,
        build: Callable[..., Callable[[Job], Result]],
        arguments: tuple[Any, ...],
        address: str,
        processes: int,
        gpus: float = 0,
    ) -> None:
        require_extra("ray", "work on a Ray cluster")
        from steadynet.workers.ray_cluster import connect

        self._gpus = gpus
        self._owned = connect(address, processes)
        import ray

        self._ray: Any = ray
        self._running: dict[Any, int] = {}
        try:
            if self.size < 1:
                lacks = f"{gpus:g} GPUs for a job" if gpus else "CPUs"
                raise SteadyNetError(
                    f"the Ray cluster at {address} has no {lacks}: join a machine to it by 'ray start --address={address}'"
                )
            packed = io.BytesIO()
            save_bundle((build, arguments), packed, _cloudpickle())
            # As an array, which Ray lays into shared memory as it is.
            self._bundle: Any = ray.put(np.frombuffer(packed.getbuffer(), dtype=np.uint8))
            self._origin = _Origin(uuid.uuid4().hex, tuple(sys.path), _versions())
            self._task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=DEATHS - 1)(_do)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """How many jobs the cluster's CPUs, and GPUs if jobs ask for some, run at once now."""
        has = self._ray.cluster_resources()
        cpus = int(has.get("CPU", 0))
        return min(cpus, int(has.get("GPU", 0) / self._gpus)) if self._gpus else cpus

    def _run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        from ray.exceptions import RayError

        try:
            yield from self._done(jobs)
        except (RayError, ConnectionError) as error:
            raise SteadyNetError(
                f"the Ray cluster was lost ({_last_line(error)}): start it again, and the work anew"
            ) from error

    def _done(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        dumps = _cloudpickle().dumps
        waiting = deque(enumerate(jobs))
        idle = 0
        while waiting or self._running:
            # One more for each CPU than it can run, so that none waits for this loop.
            while waiting and len(self._running) < 2 * max(1, self.size):
                index, job = waiting.popleft()
                content = dump_job(index, job, dumps)
                self._running[self._task.remote(self._origin, self._bundle, content)] = index
            done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_LOOK)
            idle = 0 if done or self.size else idle + 1
            if idle > _PATIENCE:
                raise SteadyNetError(
                    f"the Ray cluster has had no CPUs for {idle * _LOOK:g} s: join a machine to it, and start the work anew"
                )
            for task in done:
                index = self._running.pop(task)
                yield index, outcome(self._fetch(task, index))

    def _fetch(self, task: Any, index: int) -> bytes:
        from ray.exceptions import RayError, RayTaskError

        try:
            return self._ray.get(task)
        except RayTaskError as error:
            # Jobs' own exceptions come as results: this one arose before, as where SteadyNet is missing.
            raise SteadyNetError(
                f"a machine of the Ray cluster cannot do jobs ({_last_line(error)}): "
                "install the same SteadyNet on all of them"
            ) from error
        except RayError as error:
            raise JobDiedError(
                f"the worker of job {index} died {DEATHS} times ({type(error).__name__}), perhaps for want of memory: "
                "start Ray with fewer CPUs on each machine",
                index,
            ) from error

    def _end(self) -> None:
        from ray.exceptions import RayError

        for task in self._running:
            try:
                self._ray.cancel(task, force=True)
            except (RayError, ValueError):  # it has ended meanwhile
                continue
        self._running.clear()
        self._bundle = None
        if self._owned:
            self._ray.shutdown()


@dataclass(frozen=True)
class _Origin:
    """Whose jobs they are: the pool, where its process finds modules, and its versions."""

    pool: str
    paths: tuple[str, ...]
    versions: tuple[str, ...]


# What this process built, by pool: of the last two, as where two networks are held against each other in turn.
_built: dict[str, Callable[[Any], object]] = {}


def _do(origin: _Origin, bundle: Any, job: bytes) -> bytes:
    """Do a job in a worker of the cluster."""
    dumps = _cloudpickle().dumps
    try:
        if origin.pool not in _built:
            while len(_built) > 1:
                del _built[next(iter(_built))]
            _built[origin.pool] = _build(origin, bundle)
    except Exception as error:
        return failure(error, dumps)
    return attempt(_built[origin.pool], job, dumps)


def _build(origin: _Origin, bundle: Any) -> Callable[[Any], object]:
    here = _versions()
    if here != origin.versions:
        raise SteadyNetError(
            f"a machine of the Ray cluster has {', '.join(here)}, this one {', '.join(origin.versions)}: "
            "install the same on all, or their numbers differ"
        )
    # Modules that the caller finds by its working folder or PYTHONPATH, on this machine or a shared file system.
    sys.path += [path for path in origin.paths if path not in sys.path]
    torch.set_num_threads(1)
    build, arguments = load_bundle(io.BytesIO(bundle))
    return build(*arguments)


def _cloudpickle() -> Any:
    from ray import cloudpickle

    return cloudpickle


def _versions() -> tuple[str, ...]:
    # Which accelerator torch was built for, after the +, is no matter of its CPU numbers.
    return tuple(f"{name} {version(name).partition('+')[0]}" for name in ("steadynet", "torch"))


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
