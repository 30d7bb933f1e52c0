"""What `steadynet study` is told: which studies, where their cells lie, and what runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.extras import require_extra

_SHARD = re.compile(r"(\d+)/(\d+)")
_DATA_AS = re.compile(r"([^=]+)=(.+)")


@dataclass(frozen=True)
class StudyOptions:
    """Studies.

    Args:
        files: Studies, a YAML file each; --files may be left out.
        preset: Which preset of the studies; the first one that each has by default.
        out: Folder of all studies: cells, which studies share, and reports.
        other_code: Cells that another version of the code made: refuse to go on, keep them as they are, or rerun them.
        data_root: Folder that holds the data sets, or into which they are downloaded; the study's own, or data, by default.
        data_as: For a data set's name another that stands for it, as cifar100=folder:PATH for a folder with a part of it.
    """

    files: list[str] | None = None
    preset: str | None = None
    out: str = "runs/studies"
    other_code: Literal["refuse", "keep", "rerun"] = "refuse"
    data_root: str | None = None
    data_as: list[str] | None = None

    def __post_init__(self) -> None:
        if not self.files:
            raise SteadyNetError(
                "which study? name a YAML file, as in: steadynet study run studies/figure3.yaml"
            )
        self.other_data()

    def other_data(self) -> dict[str, str]:
        """Return the data sets that stand for others, by the names of those."""
        found: dict[str, str] = {}
        for term in self.data_as or ():
            match = _DATA_AS.fullmatch(term)
            if match is None:
                raise SteadyNetError(f"--data-as takes NAME=DATA, as in cifar100=folder:PATH, got {term!r}")
            found[match[1]] = match[2]
        return found


@dataclass(frozen=True)
class ChosenOptions:
    """Which cells.

    Args:
        only: Only the cells for which all of these hold: axis=label (several labels: axis=label|label), or a part of the
            name of the cell's folder.
        shard: Only a share of the cells, i/n, for the i-th of n jobs; folders of jobs merge by copying.
    """

    only: list[str] | None = None
    shard: str | None = None

    def __post_init__(self) -> None:
        self.part()

    def part(self) -> tuple[int, int] | None:
        """Return the share as (i, n)."""
        if self.shard is None:
            return None
        match = _SHARD.fullmatch(self.shard)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise SteadyNetError(f"--shard takes i/n with i from 1 to n, as in 2/8, got {self.shard!r}")
        return int(match[1]), int(match[2])


@dataclass(frozen=True)
class RunStudyOptions:
    """What runs them.

    Args:
        dry_run: List the cells with an estimate of time and memory, and run none.
        steps: Training steps that an estimate measures for each kind of cell.
        limit: At most so many cells of those that are left.
        workers: Cells at once on this machine, each with its share of the CPU's cores.
        ray: Run on a Ray cluster whose nodes share the folder: HOST:PORT of its head, or local for one on this machine.
        ray_gpus: GPUs of each cell on a Ray cluster; one that asks for none sees none.
        storage: Where searches are kept: an SQLAlchemy URL, which several processes may share; a file in the folder by default.
        accelerator: What computes; the study's own choice, or auto, by default.
        devices: Processes of each training: one a GPU, or so many on the CPU; the study's own number, or 1, by default.
        nodes: Machines of each training; the study's own number, or 1, by default.
        threads: CPU threads of torch; its own choice by default.
        progress: Show a live table of the cells.
    """

    dry_run: bool = False
    steps: int = 3
    limit: int | None = None
    workers: int = 1
    ray: str | None = None
    ray_gpus: float = 0
    storage: str | None = None
    accelerator: Literal["auto", "cpu", "gpu", "mps"] | None = None
    devices: int | None = None
    nodes: int | None = None
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for what in ("steps", "workers"):
            check_integer("--" + what, getattr(self, what), at_least=1)
        for what in ("limit", "threads", "devices", "nodes"):
            if getattr(self, what) is not None:
                check_integer("--" + what, getattr(self, what), at_least=1)
        if self.ray is not None:
            require_extra("ray", "--ray")
            if not self.ray.strip():
                raise SteadyNetError("--ray takes local or HOST:PORT, got ''")
        check_number("--ray-gpus", self.ray_gpus, at_least=0)
        if self.ray_gpus and self.ray is None:
            raise SteadyNetError("--ray-gpus is for --ray: leave it out, or name a cluster")
        several = max(self.devices or 1, self.nodes or 1) > 1
        if self.workers > 1 and several:
            raise SteadyNetError(
                "--workers runs several cells on one device each: leave out --devices and --nodes, or --workers"
            )
        if self.ray is not None and several:
            raise SteadyNetError(
                "--ray spreads cells over a cluster, one device each: leave out --devices and --nodes"
            )

    def run_options(self) -> dict[str, Any]:
        """Return the options of each training that say where and how it runs."""
        given = {name: getattr(self, name) for name in ("accelerator", "devices", "nodes", "threads")}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class RenderOptions:
    """What is written.

    Args:
        report: Folder of the report, its figures and tables; OUT/report by default.
        markdown: Folder for a page of Markdown for each study as well, with its figures, and an index of all pages there.
        overwrite: Replace a report that was not written by this command.
    """

    report: str | None = None
    markdown: str | None = None
    overwrite: bool = False
