"""What the numbers were measured on and with."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Drawing changes no measurement.
_APART = ("table.py", "obstacles.py")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile")


@dataclass(frozen=True)
class Machine:
    """A machine as far as speed depends on it.

    Attributes:
        cpu: Its model.
        flags: Which of `FLAGS` it has.
        cores: Usable ones.
        memory: In GiB.
        system: Operating system and architecture.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory: int
    system: str

    @property
    def slug(self) -> str:
        """A name for files."""
        name = re.sub(r"[^a-z0-9]+", "-", self.cpu.lower()).strip("-")
        return f"{name}-{self.cores}cores-{self.memory}gib"


def this_machine() -> Machine:
    """Return the machine that this runs on."""
    model, flags = platform.processor() or platform.machine(), set[str]()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=model,
        flags=tuple(flag for flag in FLAGS if flag in flags),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=round(memory / 2**30),
        system=f"{platform.system()} {platform.machine()}",
    )


def versions() -> dict[str, Any]:
    """Return the versions of what is measured and of what it runs on."""
    import torch

    import steadynet

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "steadynet": steadynet.__version__,
    }


def commit() -> str:
    """Return the commit that is checked out, "unknown" outside a checkout; "-changed" if files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "-changed" if git("status", "--porcelain", "--", "src", "benchmarks/*.py") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def sources(apart: Sequence[str] = ()) -> str:
    """Return a checksum of the code that is measured and that measures, the table's drawing apart.

    Rows of the same code and machine need not be measured again.

    Args:
        apart: Files and folders, from the root, that do not count.
    """
    digest = hashlib.sha256()
    for folder in (ROOT / "src", ROOT / "benchmarks"):
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not {".peer-venv", *_APART} & set(path.parts) and not name.startswith(tuple(apart)):
                digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def described(machine: Machine, threads: int) -> dict[str, Any]:
    """Return all of it as plain types."""
    return asdict(machine) | {"threads": threads, **versions()}
