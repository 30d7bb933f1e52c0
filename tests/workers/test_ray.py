"""Ray retries a job whose worker dies, and what cannot be joined is refused at once rather than tried for ever."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadynet.errors import SteadyNetError
from steadynet.workers import open_workers
from steadynet.workers import ray_cluster as clusters
from workers import jobs


@pytest.fixture
def deaf_server() -> Iterator[str]:
    """An address where a connection is taken, and nothing said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_ray_does_a_job_again_whose_worker_dies_but_not_for_ever(tmp_path: Path) -> None:
    deaths = [0, 2, 0]
    with open_workers(jobs.build_dying, (tmp_path,), processes=2, ray="local") as pool:
        told: list[int] = []
        assert pool.size == 2
        assert pool.map(list(enumerate(deaths)), on_done=told.append) == [0, 1, 2]
        assert sorted(told) == [0, 1, 2]
        assert [len(list(tmp_path.glob(f"try-{job}-*"))) for job in range(3)] == [1, 3, 1]
        with pytest.raises(SteadyNetError, match=r"^the worker of job 1 died 3 times \(WorkerCrashedError\)"):
            pool.map([(4, 0), (5, 99)])
        assert len(list(tmp_path.glob("try-5-*"))) == 3


def test_an_address_where_nothing_listens_is_refused_at_once(free_address: str) -> None:
    begun = time.monotonic()
    with pytest.raises(
        SteadyNetError, match=rf"^no Ray cluster can be reached at {free_address} .*ray start"
    ) as raised:
        open_workers(jobs.build_threads, ray=free_address)
    assert "\n" not in str(raised.value)
    assert time.monotonic() - begun < 10


def test_what_listens_but_is_no_ray_cluster_is_refused_in_time(
    deaf_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_JOIN_TIMEOUT", 4.0)
    begun = time.monotonic()
    with pytest.raises(SteadyNetError, match=rf"^what answers at {deaf_server} lets no one join") as raised:
        open_workers(jobs.build_threads, ray=deaf_server)
    assert "\n" not in str(raised.value)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    "address", ["", "auto", "head", "head:", ":6379", "head:x", "head:0", "head:65536", "ray://head:10001"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SteadyNetError, match="is no address of a Ray cluster: give 'local' or HOST:PORT"):
        open_workers(jobs.build_threads, ray=address)


def test_processes_of_a_cluster_are_refused() -> None:
    with pytest.raises(SteadyNetError, match="processes 3 says nothing to a Ray cluster"):
        open_workers(jobs.build_threads, processes=3, ray="head:6379")


def test_a_failed_trial_is_told_by_its_last_line(monkeypatch: pytest.MonkeyPatch, deaf_server: str) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(
            [], 1, "", "Traceback\nRuntimeError: Version mismatch: Ray: 2.50.0\n"
        )

    monkeypatch.setattr(clusters.subprocess, "run", fail)
    with pytest.raises(
        SteadyNetError, match=r"cannot be joined \(RuntimeError: Version mismatch: Ray: 2.50.0\)"
    ):
        open_workers(jobs.build_threads, ray=deaf_server)
