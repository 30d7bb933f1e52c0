"""What all tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from multiprocessing import get_context

import pytest

from steadynet import parallel


@pytest.fixture(autouse=True, scope="session")
def workers_are_forked_from_a_server() -> Iterator[None]:
    """Let pools of this process start from one that has imported torch and Lightning: that takes longer than the tests do.

    Commands that run as processes of their own spawn theirs, as the library does.
    """
    spawned = parallel.CONTEXT
    if sys.platform == "linux":
        parallel.CONTEXT = get_context("forkserver")
        parallel.CONTEXT.set_forkserver_preload(["torch", "steadynet.training"])
    yield
    parallel.CONTEXT = spawned
