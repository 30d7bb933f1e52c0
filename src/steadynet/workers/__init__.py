"""Work spread over the processes of one machine, or over the machines of a Ray cluster."""

from __future__ import annotations

from steadynet.workers.pool import JobDiedError, Pool, open_workers

__all__ = ["JobDiedError", "Pool", "open_workers"]
