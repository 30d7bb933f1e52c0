"""Which teacher a cell's training learns from: known by what it holds, wherever it lies. Free of torch."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from steadynet.files import checksum
from steadynet.options.trained import BACKBONE, CONFIG_NAME
from steadynet.options.yaml_file import read_yaml


def weights_digest(path: Path) -> str:
    """Return a digest of the weights in a file, or in a run's folder with its network's options; "" if there are none."""
    file = path / BACKBONE if path.is_dir() else path
    try:
        stat = file.stat()
    except OSError:
        return ""
    digest = hashlib.sha256(_content(file, stat.st_size, stat.st_mtime_ns).encode())
    if path.is_dir() and (path / CONFIG_NAME).is_file():
        saved = read_yaml(path / CONFIG_NAME, "run ", holds="the options of a run")
        digest.update(repr((saved.get("model"), saved.get("model_options"))).encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def _content(file: Path, size: int, changed: int) -> str:
    """Return the checksum of a file, worked out once as long as it does not change."""
    return checksum(file)
