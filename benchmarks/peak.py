"""The peak of tensor memory, counted by what is allocated and not by what the process holds.

    with Peak() as peak:
        step()
    peak.bytes

On the CPU every allocation and release that torch's allocator reports is added up in order, temporaries within operations
too, by the profiler: the same number at each run, on one torch version and CPU. What libraries below torch allocate for
themselves is not in it. On a GPU it is the caching allocator's own count.
"""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any, Self

import torch
from torch.profiler import ProfilerActivity, profile


class Peak:
    """Counts while it is entered.

    Attributes:
        bytes: The most that was allocated at once, over what was when it was entered; set when it is left.

    Args:
        device: What computes: a CPU or a CUDA device.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.bytes = 0
        self._before = 0
        self._profile: profile | None = None

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        else:
            self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            self._profile.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._profile is None:
            torch.cuda.synchronize(self.device)
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self._before
            return
        self._profile.__exit__(kind, error, trace)
        self.bytes = max(_live(self._profile), default=0)


def _live(recorded: profile) -> list[int]:
    """Return the bytes alive after each allocation and release, over those at the start."""
    results: Any = recorded.profiler.kineto_results if recorded.profiler is not None else None
    events = [event for event in results.events() if event.name() == "[memory]"] if results else []
    events.sort(key=lambda event: event.start_ns())
    return [0, *itertools.accumulate(int(event.nbytes()) for event in events)]
