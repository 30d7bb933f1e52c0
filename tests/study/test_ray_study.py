"""A study on a Ray cluster: the table of one process, also where a node is lost in the middle of a training."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from steadynet.study.execute import Outcome
from steadynet.study.plan import Plan, plan
from steadynet.study.rows import rows_of
from steadynet.study.runner import run
from steadynet.study.specification import study
from steadynet.study.store import Place
from steadynet.workers import open_workers
from study.small import WRITTEN, written
from workers import jobs
from workers.clusters import two_nodes

TIMES = ("train_seconds", "test_seconds", "peak_mib", "finished")


def planned(out: Path) -> Plan:
    """Two cells of many steps, with a checkpoint after each."""
    axes = {
        "recipe": {"W/": {"recipe": "noise"}, "W/, T = 4": {"recipe": "noise", "temperature": 4}},
        "seed": [0],
    }
    base = {**WRITTEN["base"], "epochs": 12, "batch_size": 20, "sigma_d": 0.1}
    return plan([study(written(axes=axes, base=base))], out)


def rows(whole: Plan) -> list[dict[str, Any]]:
    found, missing = rows_of(whole, whole.studies[0], "small.yaml")
    assert missing == []
    return [{key: value for key, value in row.items() if key not in TIMES} for row in found]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """As in the cluster's workers: sums over threads are taken in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_cell_whose_node_is_lost_goes_on_from_its_checkpoint_on_another(tmp_path: Path) -> None:
    whole = planned(tmp_path / "ray")
    ended: list[tuple[Place, Outcome]] = []
    with two_nodes() as cluster, open_workers(jobs.build_threads, ray=cluster.address) as held:
        running = Thread(target=lambda: ended.extend(run(whole, whole.places, ray=cluster.address)))
        running.start()
        checkpoints = [place.folder / "training" / "last.ckpt" for place in whole.places]
        jobs.wait_for(lambda: all(path.exists() for path in checkpoints), "a training on each node")
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        jobs.wait_for(lambda: held.size == 1, "the cluster's notice of the loss")
        running.join(timeout=300)
        assert not running.is_alive()
    assert [outcome.end for _, outcome in ended] == ["finished", "finished"]
    logs = [(place.folder / "log.txt").read_text() for place in whole.places]
    assert sorted(log.count(" started") for log in logs) == [1, 2], "the lost node's cell was begun again"
    assert sorted(log.count("training goes on") for log in logs) == [0, 1], "from its checkpoint"
    alone = planned(tmp_path / "alone")
    run(alone, alone.places)
    assert rows(whole) == rows(alone)
