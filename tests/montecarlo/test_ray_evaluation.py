"""Chips spread over Ray give the numbers of one process, also where a node is lost in mid-evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

import steadynet as sn
from montecarlo.nets import DEVICE, Gated, pictures
from montecarlo.slow_loop import images, net
from montecarlo.test_compute import assert_close
from steadynet.montecarlo import MonteCarloResult, block_monte_carlo, curve, monte_carlo
from steadynet.workers import open_workers
from workers import jobs
from workers.clusters import two_nodes

BLOCKS: dict[str, Any] = {"blocks": 5, "cycles": 3, "seed": 4}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the cluster's workers: sums over threads are taken in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_local_ray_gives_the_very_numbers_of_one_process() -> None:
    model, data = net(), images()
    local = sn.Compute(ray="local", processes=2)
    # Held open, so that the evaluations find it running.
    with open_workers(jobs.build_threads, processes=2, ray="local"):
        found = curve(model, DEVICE, data, [0.1, 0.2], draws=5, seed=3, batch_size=10, compute=local)
        cells = block_monte_carlo(model, DEVICE, data, **BLOCKS, compute=local).cells
        with pytest.raises(sn.SteadyNetError, match="labels run from 0 to 9, the network has") as raised:
            monte_carlo(model, DEVICE, (data[0], data[1] * 3), draws=2, compute=local)
        assert "\n" not in str(raised.value)
    expected = curve(model, DEVICE, data, [0.1, 0.2], draws=5, seed=3, batch_size=10)
    for one, other in zip(found.results, expected.results, strict=True):
        assert_close(one, other)
    np.testing.assert_array_equal(cells, block_monte_carlo(model, DEVICE, data, **BLOCKS).cells)


def test_a_node_lost_in_mid_evaluation_changes_no_number(tmp_path: Path) -> None:
    draws = 6
    torch.manual_seed(0)
    model = Gated(tmp_path)
    data = pictures(net=model)
    found: list[MonteCarloResult] = []
    with two_nodes() as cluster, open_workers(jobs.build_threads, ray=cluster.address) as held:
        lost = next(iter(cluster.worker_nodes))
        spread = sn.Compute(ray=cluster.address)

        def evaluate() -> None:
            found.append(monte_carlo(model, DEVICE, data, draws=draws, seed=3, compute=spread))

        evaluating = Thread(target=evaluate)
        evaluating.start()
        try:
            jobs.wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2, "a chip on each node")
            there = dict(told(path)[:2] for path in tmp_path.glob("started-*"))
            assert lost.node_id in there.values()
            cluster.remove_node(lost, allow_graceful=False)
            jobs.wait_for(lambda: held.size == 1, "the cluster's notice of the loss")
        finally:
            (tmp_path / "go").touch()
            evaluating.join(timeout=jobs.PATIENCE)
        assert not evaluating.is_alive()
        cells = block_monte_carlo(model, DEVICE, data, **BLOCKS, compute=spread).cells
    begun = [told(path) for path in tmp_path.glob("started-*")]
    here = monte_carlo(model, DEVICE, data, draws=draws, seed=3)
    assert found[0].draws == draws
    assert_close(found[0], here)
    assert len(set(here.nll.values)) == draws, "chips of their own, none counted twice"
    np.testing.assert_array_equal(cells, block_monte_carlo(model, DEVICE, data, **BLOCKS).cells)
    # The chip that the lost node held was begun again on the other one.
    [orphan] = [chip for chip, node in there.items() if node == lost.node_id]
    assert {node for chip, node, _ in begun if chip == orphan} == set(there.values())


def told(path: Path) -> tuple[str, str, str]:
    """Return chip, node and process of a forward that was noted."""
    _, chip, node, process = path.name.replace("started--", "started-m").split("-")
    return chip, node, process
