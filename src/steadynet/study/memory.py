"""The most memory that a piece of work took."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Counts from when it is made: a GPU's allocations if there is one, else the process's resident memory.

    Where the process's mark cannot be put back (outside Linux), it is that of the process since its start.
    """

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            with contextlib.suppress(OSError):
                _CLEAR.write_text("5")

    def mib(self) -> float:
        """Return the peak in MiB; NaN where it cannot be known."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**20
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        except OSError:
            found = None
        if found:
            return int(found.group(1)) / 2**10
        if sys.platform == "win32":
            return float("nan")
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 2**20 if sys.platform == "darwin" else most / 2**10
