"""What a bench is given: how large the work is, and where it may keep things."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale import Scale


@dataclass(frozen=True)
class Task:
    """One run of the benchmarks.

    Attributes:
        scale: How large the work is.
        cache: Folder of trained networks.
        peer_venv: Folder of the peer's environment.
        peer_index: Where the peer's torch comes from; pip's own places if None.
    """

    scale: Scale
    cache: Path
    peer_venv: Path
    peer_index: str | None = None
