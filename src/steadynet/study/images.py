"""The images of a study's cells: loaded once in a process, and known by their checksums without being loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.options.groups import DataOptions
from steadynet.study.store import Checksums, read_json

if TYPE_CHECKING:
    from steadynet.data import DataSplits

FOLDER = "images"

_loaded: dict[DataOptions, DataSplits] = {}


def load(options: DataOptions) -> DataSplits:
    """Return the images that `options` name; those that were loaded last stay in memory.

    Raises:
        SteadyNetError: If they cannot be had.
    """
    from steadynet.options.build import load_data

    if options not in _loaded:
        found = load_data(options)
        _loaded.clear()
        _loaded[options] = found
    return _loaded[options]


def checksums(options: DataOptions, out: Path) -> Checksums:
    """Return the images' checksums, which are kept under `out` once they were worked out.

    Raises:
        SteadyNetError: If the images cannot be had, or what was kept cannot be read.
    """
    path = _kept(options, out)
    if path.is_file():
        kept = read_json(path, ("training", "test"))
        return Checksums(str(kept["training"]), str(kept["test"]))
    found = checksums_of(load(options))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteadyNetError(f"cannot make {path.parent} ({error.strerror}): give another --out") from error
    write_json_atomically(path, {"options": _named(options), **dataclasses.asdict(found)})
    return found


def checksums_of(data: DataSplits) -> Checksums:
    """Return the checksums of images that are loaded: of training and validation, and of the test."""
    training = hashlib.sha256((data.train.checksum + data.validation.checksum).encode()).hexdigest()
    return Checksums(training[:16], data.test.checksum[:16])


def check(options: DataOptions, expected: Checksums, out: Path) -> DataSplits:
    """Return the images, if they are those that the cells were named for.

    Raises:
        SteadyNetError: If they are others.
    """
    data = load(options)
    if checksums_of(data) != expected:
        raise SteadyNetError(
            f"the images of {options.data} have changed since {_kept(options, out)} was written: delete it, and run again"
        )
    return data


def _kept(options: DataOptions, out: Path) -> Path:
    text = json.dumps(_named(options), sort_keys=True)
    return out / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def _named(options: DataOptions) -> dict[str, object]:
    # Where they lie is no part of what they are; but a folder's path is all that names one.
    return {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name != "data_root"}
