"""A job on a Ray cluster sees the GPUs that it asks for, and is refused where there are none."""

from __future__ import annotations

import os

import pytest

from steadynet.errors import SteadyNetError
from steadynet.workers import open_workers
from workers import jobs


def test_each_job_has_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    # Ray takes the number of GPUs on trust, so that their sharing can be seen without any.
    options = {"num_cpus": 2, "num_gpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        with open_workers(jobs.build_gpus, ray=cluster.address, gpus=1) as pool:
            assert pool.size == 2
            assert {*pool.map(list(range(4)))} <= {"0", "1"}
        with pytest.raises(SteadyNetError, match="has no 3 GPUs for a job"):
            open_workers(jobs.build_gpus, ray=cluster.address, gpus=3)
    finally:
        cluster.shutdown()
