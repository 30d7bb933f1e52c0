"""Measured rows on disk: a file per day and machine, written whole after every row, and taken up again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

from benchmarks.benches import apart
from benchmarks.harness import Ratio
from benchmarks.machine import Machine, commit, described, sources
from benchmarks.scale import Scale
from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically


class Store:
    """The rows measured so far on this machine, at this scale.

    Args:
        path: The file.
        head: What all its rows share: machine, versions and scale.
        benches: The measured ones: name → commit, checksum of the code that it runs, seconds it took, and its rows.
    """

    def __init__(self, path: Path, head: dict[str, Any], benches: dict[str, dict[str, Any]]) -> None:
        self.path, self.head, self.benches = path, head, benches

    @classmethod
    def open(cls, folder: Path, machine: Machine, threads: int, scale: Scale, *, fresh: bool = False) -> Self:
        """Return the newest file of the same machine, threads, versions and scale, or a new one.

        Args:
            folder: Where results lie; it is made.
            machine: This machine.
            threads: Of torch.
            scale: How large the work is.
            fresh: Whether to begin anew although there is one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        head = {"machine": described(machine, threads), "scale": scale.name}
        # As it comes back from JSON: tuples are lists there.
        head = cast("dict[str, Any]", json.loads(json.dumps(head)))
        suffix = "" if scale.judged else f"-{scale.name}"
        if not fresh:
            for path in sorted(folder.glob(f"*-{machine.slug}{suffix}*.json"), reverse=True):
                found = read(path)
                if found["head"] == head:
                    return cls(path, head, found["benches"])
        stem = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}-{machine.slug}{suffix}"
        path, number = folder / f"{stem}.json", 1
        while path.exists():
            number += 1
            path = folder / f"{stem}-{number}.json"
        return cls(path, head, {})

    def add(self, name: str, rows: Sequence[Ratio], seconds: float) -> None:
        """Keep the rows of a bench, and write the file."""
        self.benches[name] = {
            "commit": commit(),
            "sources": sources(apart(name)),
            "seconds": seconds,
            "rows": [row.to_dict() for row in rows],
            "failed": "",
        }
        self._write()

    def fail(self, name: str, reason: str) -> None:
        """Keep why a bench could not be measured; it is tried again next time."""
        self.benches[name] = {"commit": commit(), "sources": "", "seconds": 0.0, "rows": [], "failed": reason}
        self._write()

    def has(self, name: str) -> bool:
        """Return whether the bench has been measured, with the code that it runs as it is now."""
        found = self.benches.get(name, {})
        return bool(found.get("rows")) and found["sources"] == sources(apart(name))

    def _write(self) -> None:
        write_json_atomically(self.path, {"head": self.head, "benches": self.benches})


def read(path: Path) -> dict[str, Any]:
    """Return what a `Store` wrote.

    Raises:
        SteadyNetError: If the file is none of its.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SteadyNetError(f"{path} holds no results of benchmarks: {error}") from error
    if not isinstance(found, dict) or {"head", "benches"} - set(cast("dict[str, Any]", found)):
        raise SteadyNetError(f"{path} holds no results of benchmarks: name one of benchmarks/results")
    return cast("dict[str, Any]", found)
