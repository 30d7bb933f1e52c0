"""Every kind of pool does the same: results in order, one build for each worker, errors that arrive as themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from steadynet.errors import SteadyNetError
from steadynet.workers import Pool, open_workers
from workers import jobs

KINDS: dict[str, dict[str, Any]] = {
    "serial": {},
    "processes": {"processes": 2},
    "ray": {"processes": 2, "ray": "local"},
}


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """One Ray for all tests here: a pool that finds it running uses it."""
    with open_workers(jobs.build_threads, processes=2, ray="local"):
        yield


@pytest.fixture(params=KINDS)
def open_pool(request: pytest.FixtureRequest) -> Callable[..., Pool[Any, Any]]:
    if request.param == "ray":
        request.getfixturevalue("local_ray")
    return lambda build, *arguments: open_workers(build, arguments, **KINDS[request.param])


def test_results_are_in_order_and_workers_live_on_with_what_they_built(
    open_pool: Callable[..., Pool[Any, Any]], tmp_path: Path
) -> None:
    told: list[int] = []
    with open_pool(jobs.build_scaled, torch.tensor([1.5, 0.25]), tmp_path) as pool:
        pids: set[int] = set()
        for size in (7, 0, 20):  # rounds of one pool
            found = pool.map(range(size), on_done=told.append)
            assert [result for result, _ in found] == [1.75 * job for job in range(size)]
            assert sorted(told) == list(range(size))
            told.clear()
            pids |= {pid for _, pid in found}
        assert len(pids) <= pool.size
        assert pids == {os.getpid()} if pool.size == 1 else os.getpid() not in pids
    builds = [re.fullmatch(r"built-(\d+)-\d+", path.name) for path in tmp_path.iterdir()]
    built = [int(match[1]) for match in builds if match]
    # Each at most once, though one of two may have built and found no job left.
    assert len(built) == len(set(built)) == len(builds)
    assert pids <= set(built)


def test_an_error_reaches_the_caller_as_itself_and_closes_the_pool(
    open_pool: Callable[..., Pool[Any, Any]], tmp_path: Path
) -> None:
    with open_pool(jobs.build_raiser, tmp_path) as pool:
        assert pool.map(["fine"]) == ["fine"]
        with pytest.raises(SteadyNetError, match=r"^draw 3: the logits are not finite$") as raised:
            # The others wait for a file that never comes: they must be ended, not waited for.
            pool.map(["refusal", *["wait"] * 3])
        assert type(raised.value) is SteadyNetError
        with pytest.raises(SteadyNetError, match="these workers are closed"):
            pool.map(["fine"])


def test_an_error_of_build_reaches_the_caller(open_pool: Callable[..., Pool[Any, Any]]) -> None:
    with (
        pytest.raises(SteadyNetError, match=r"^the model has no weights$"),
        open_pool(jobs.build_failing) as pool,
    ):
        pool.map([1])


def test_an_error_of_the_callers_own_closes_the_pool(
    open_pool: Callable[..., Pool[Any, Any]], tmp_path: Path
) -> None:
    def stop(index: int) -> None:
        raise KeyboardInterrupt

    with open_pool(jobs.build_raiser, tmp_path) as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.map(["fine", "fine"], on_done=stop)
        with pytest.raises(SteadyNetError, match="closed"):
            pool.map(["fine"])


def test_a_stream_gives_each_job_once_and_closes_the_pool_if_it_is_left_early(
    open_pool: Callable[..., Pool[Any, Any]], tmp_path: Path
) -> None:
    with open_pool(jobs.build_raiser, tmp_path) as pool:
        assert sorted(pool.stream(["a", "b", "c"])) == [(0, "a"), (1, "b"), (2, "c")]
        left = pool.stream(["a", *["wait"] * 3])
        assert next(left) == (0, "a")
        left.close()
        with pytest.raises(SteadyNetError, match="closed"):
            pool.map(["a"])


def test_tensors_that_share_memory_still_do_and_the_callers_are_left_alone(
    open_pool: Callable[..., Pool[Any, Any]], request: pytest.FixtureRequest
) -> None:
    weights = torch.zeros(3)
    with open_pool(jobs.build_writer, weights, weights[:2]) as pool:
        found = pool.map([1.0])
    assert found == [(1.0, 1.0)]
    assert weights.is_shared() is False
    if "serial" not in request.node.name:
        assert weights.tolist() == [0, 0, 0]


def test_a_pool_of_less_than_one_process_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="processes must be an integer ≥ 1, got 0"):
        open_workers(jobs.build_threads, processes=0)


@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_what_cannot_be_sent_is_refused_by_one_line(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "ray":
        request.getfixturevalue("local_ray")
    with (
        Path(__file__).open("rb") as file,
        pytest.raises(SteadyNetError, match="cannot be sent to another") as raised,
    ):
        open_workers(jobs.build_threads, (file,), **KINDS[kind])
    assert "\n" not in str(raised.value)
