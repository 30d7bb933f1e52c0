"""Joining a Ray cluster, or starting one on this machine; an address that cannot be joined is refused within seconds.

Left to itself, Ray tries an address for a minute or more, and may then abort the whole process.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from typing import Any

from steadynet.errors import SteadyNetError

LOCAL = "local"
# In seconds: until a port answers, and until a cluster is joined.
_PORT_TIMEOUT, _JOIN_TIMEOUT = 5.0, 15.0
_TRIAL = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"
_START = "start a cluster by 'ray start --head' and give the HOST:PORT that it prints"


def connect(address: str, processes: int) -> bool:
    """Connect this process to Ray, unless it is; return whether a pool must disconnect it again.

    Args:
        address: "local", or HOST:PORT of a cluster's head.
        processes: CPUs of a local Ray; all if 1.

    Raises:
        SteadyNetError: If the address is none, cannot be joined, or this process is in another cluster.
    """
    # Before Ray is imported, which reads them then. Ray else sends a report of its use, and packs the working folder
    # when it is run by uv.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    host, port = _parse(address)
    if address != LOCAL and processes > 1:
        raise SteadyNetError(
            f"processes {processes} says nothing to a Ray cluster, whose CPUs all work: leave it out"
        )
    import ray

    theirs: Any = ray
    if theirs.is_initialized():
        joined = str(theirs.get_runtime_context().gcs_address)
        # Ray calls a cluster on this machine by another address than the one it was joined by.
        if address not in (LOCAL, joined, *_joined_by):
            raise SteadyNetError(
                f"this process is in the Ray cluster at {joined} already: leave it by ray.shutdown() to join {address}"
            )
        return False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options |= {"include_dashboard": False, "num_cpus": processes if processes > 1 else None}
    else:
        _try(address, host, port)
    try:
        theirs.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise SteadyNetError(
            f"Ray cannot be started or joined ({_last_line(str(error))}): address {address!r}"
        ) from error
    _joined_by.clear()
    _joined_by.add(address)
    return True


# The address that this process gave to join the cluster that it is in.
_joined_by: set[str] = set()


def _parse(address: str) -> tuple[str, int]:
    if address == LOCAL:
        return "", 0
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SteadyNetError(
            f"{address!r} is no address of a Ray cluster: give 'local' or HOST:PORT; {_START}"
        )
    return host.strip("[]"), int(port)


def _try(address: str, host: str, port: int) -> None:
    """Raise unless another process can join the cluster, which may take that process's life but not this one's."""
    try:
        socket.create_connection((host, port), timeout=_PORT_TIMEOUT).close()
    except OSError as error:
        raise SteadyNetError(f"no Ray cluster can be reached at {address} ({error}): {_START}") from error
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _TRIAL, address], capture_output=True, text=True, timeout=_JOIN_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise SteadyNetError(
            f"what answers at {address} lets no one join it as a Ray cluster within {_JOIN_TIMEOUT:g} s: "
            f"{_START}, from a machine that joined it by 'ray start --address={address}'"
        ) from error
    if tried.returncode != 0:
        raise SteadyNetError(
            f"the Ray cluster at {address} cannot be joined ({_last_line(tried.stderr)}): "
            f"join this machine to it by 'ray start --address={address}', with the same versions of Ray and Python"
        )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1].strip()
