"""Processes that die are replaced and their jobs done once; Ctrl-C and the parent's own death leave none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from steadynet.errors import SteadyNetError
from steadynet.workers import open_workers
from workers import jobs


def test_a_job_whose_worker_dies_is_done_again_and_stands_once_in_the_results(tmp_path: Path) -> None:
    told: list[int] = []
    deaths = [0, 2, 0, 1, 0]
    with open_workers(jobs.build_dying, (tmp_path,), processes=2) as pool:
        assert pool.map(list(enumerate(deaths)), on_done=told.append) == [0, 1, 2, 3, 4]
        assert sorted(told) == [0, 1, 2, 3, 4]
        assert pool.size == 2
    # The job that killed its worker is blamed, no other: each was begun once more than it killed.
    begun = [len(list(tmp_path.glob(f"try-{job}-*"))) for job in range(5)]
    assert begun == [count + 1 for count in deaths]


def test_a_job_that_always_kills_its_worker_is_refused_after_three(tmp_path: Path) -> None:
    with (
        open_workers(jobs.build_dying, (tmp_path,), processes=2) as pool,
        pytest.raises(
            SteadyNetError,
            match=r"^the process of job 1 died 3 times \(SIGKILL\), perhaps for want of memory",
        ),
    ):
        pool.map([(0, 0), (1, 99)])
    assert len(list(tmp_path.glob("try-1-*"))) == 3


def test_workers_that_die_before_their_first_job_are_refused() -> None:
    with (
        open_workers(jobs.build_stillborn, processes=2) as pool,
        pytest.raises(
            SteadyNetError,
            match=r"^a worker process died 3 times before its first job \(exit code 7\): .*if __name__ == '__main__'$",
        ),
    ):
        pool.map([1])


def test_a_worker_killed_between_two_rounds_is_replaced(tmp_path: Path) -> None:
    with open_workers(jobs.build_scaled, (torch.ones(1), tmp_path), processes=2) as pool:
        first = pool.map(range(20))
        killed = first[0][1]
        os.kill(killed, signal.SIGKILL)
        jobs.wait_for(lambda: not jobs.is_alive(killed), "the worker's end")
        second = pool.map(range(20))
    assert [result for result, _ in second] == list(range(20))
    assert killed not in {pid for _, pid in second}


def test_each_worker_has_its_share_of_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with open_workers(jobs.build_threads, processes=2) as pool:
            assert pool.map([0, 1, 2]) == [2, 2, 2]
    finally:
        torch.set_num_threads(before)


PARENT = """
import sys
from pathlib import Path
from workers import jobs
from steadynet.workers import open_workers

if __name__ == "__main__":
    with open_workers(jobs.build_gated, (Path(sys.argv[1]),), processes=2) as pool:
        pool.map(range(4))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_the_parents_death_end_all_workers_at_once(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        jobs.wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2, "two jobs that run")
        workers = [int(path.name.split("-")[-1]) for path in tmp_path.glob("started-*")]
        assert all(jobs.is_alive(pid) for pid in workers)
        begun = time.monotonic()
        if how is signal.SIGINT:
            os.killpg(parent.pid, how)  # as a terminal does
        else:
            parent.kill()
        _, told = parent.communicate(timeout=jobs.PATIENCE)
        jobs.wait_for(lambda: not any(jobs.is_alive(pid) for pid in workers), "the workers' end")
        # The jobs would have waited for a minute.
        assert time.monotonic() - begun < 20
    finally:
        parent.kill()
        parent.wait()
    if how is signal.SIGINT:
        # One traceback, the parent's; no worker adds its own, and the folder of what was sent is gone.
        assert told.count("Traceback") == 1
        assert told.strip().endswith("KeyboardInterrupt")
        assert not list(tmp_path.glob("steadynet-workers-*"))
