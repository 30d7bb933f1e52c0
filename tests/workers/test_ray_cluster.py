"""A node that dies while its jobs run costs no job and doubles none, on a cluster of two nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.workers import open_workers
from workers import jobs
from workers.clusters import two_nodes


@pytest.fixture
def cluster() -> Iterator[Any]:
    with two_nodes() as nodes:
        yield nodes


def test_a_node_that_dies_amid_its_jobs_costs_and_doubles_none(cluster: Any, tmp_path: Path) -> None:
    import ray

    second = cluster.worker_nodes
    lost = next(iter(second))
    found: list[Any] = []
    told: list[int] = []
    with open_workers(jobs.build_gated, (tmp_path,), ray=cluster.address) as pool:
        assert pool.size == 2
        # Another cluster than the joined one is refused, not taken for it.
        with pytest.raises(SteadyNetError, match=r"is in the Ray cluster at .* already"):
            open_workers(jobs.build_threads, ray="127.0.0.1:1")

        mapping = Thread(target=lambda: found.extend(pool.map(range(6), on_done=told.append)))
        mapping.start()
        try:
            jobs.wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2, "a job on each node")
            started = [path.name.split("-") for path in tmp_path.glob("started-*")]
            there = {int(job): where for _, job, where, _ in started}
            assert set(there.values()) == {node["NodeID"] for node in ray.nodes()}
            cluster.remove_node(lost, allow_graceful=False)
            jobs.wait_for(lambda: pool.size == 1, "the cluster's notice of the loss")
        finally:
            (tmp_path / "go").touch()
            mapping.join(timeout=jobs.PATIENCE)
        assert not mapping.is_alive()
    assert sorted(told) == list(range(6))
    assert [square for square, _ in found] == [job**2 for job in range(6)]
    # The job that ran on the lost node was begun twice, the second time on the other, where its result is from.
    [orphan] = [job for job, where in there.items() if where == lost.node_id]
    assert len(list(tmp_path.glob(f"started-{orphan}-*"))) == 2
    assert {where for _, where in found} == {where for where in there.values() if where != lost.node_id}
