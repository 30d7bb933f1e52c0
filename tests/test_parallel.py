"""Jobs in processes give their results with their numbers, and a process that is killed is told."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from steadynet.errors import SteadyNetError
from steadynet.parallel import run_in_processes


def test_each_job_has_its_number_and_more_jobs_than_processes_are_done() -> None:
    assert sorted(run_in_processes(divmod, [(7, 2), (9, 4), (5, 5)], 2)) == [
        (0, (3, 1)),
        (1, (2, 1)),
        (2, (1, 0)),
    ]


def test_jobs_that_wait_are_not_begun_once_the_rest_is_left(tmp_path: Path) -> None:
    names = [tmp_path / name for name in "abcd"]
    with closing(run_in_processes(os.mkdir, [(name,) for name in names], 1)) as finished:
        assert next(finished) == (0, None)
    # The second runs already, the pool must not have queued more.
    assert [name.exists() for name in names] == [True, True, False, False]


def test_a_jobs_own_error_and_a_killed_process_are_told() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_in_processes(divmod, [(7, 0)], 1))
    with pytest.raises(SteadyNetError, match="a process was killed"):
        list(run_in_processes(os.abort, [()], 1))
