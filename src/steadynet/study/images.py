"""The images of a study's cells: loaded once in a process, and known by their checksums without being loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.options.groups import DataOptions
from steadynet.study.store import Images, read_json

if TYPE_CHECKING:
    from steadynet.data import DataSplits

FOLDER = "images"

_loaded: dict[tuple[DataOptions, str], DataSplits] = {}


def load(options: DataOptions) -> DataSplits:
    """Return the images that `options` name; those that were loaded last stay in memory.

    Raises:
        SteadyNetError: If they cannot be had.
    """
    from steadynet.options.build import load_data

    key = (options, _fingerprint(options))
    if key not in _loaded:
        found = load_data(options)
        _loaded.clear()
        _loaded[key] = found
    return _loaded[key]


def known(options: DataOptions, out: Path) -> Images:
    """Return the images' checksums and numbers, which are kept under `out` once they were worked out.

    Of images that cannot be had it says why, so that the cells of other images can do without them.

    Raises:
        SteadyNetError: If what was kept cannot be read, or nothing can be kept.
    """
    path = _kept(options, out)
    names = tuple(f.name for f in dataclasses.fields(Images) if f.name != "why")
    seen = _fingerprint(options)
    kept = read_json(path, names) if path.is_file() else None
    if kept is not None and kept.get("seen", "") == seen:
        values: dict[str, Any] = {name: kept[name] for name in names}
        values["shape"] = tuple(kept["shape"])
        return Images(**values)
    try:
        found = images_of(load(options))
    except SteadyNetError as error:
        return Images("", "", 0, 0, 0, (0, 0, 0), 0, why=str(error))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteadyNetError(f"cannot make {path.parent} ({error.strerror}): give another --out") from error
    facts = {name: getattr(found, name) for name in names}
    write_json_atomically(path, {"options": _named(options), **facts, "seen": seen})
    return found


def images_of(data: DataSplits) -> Images:
    """Return the checksums and numbers of images that are loaded."""
    training = hashlib.sha256((data.train.checksum + data.validation.checksum).encode()).hexdigest()
    return Images(
        training[:16],
        data.test.checksum[:16],
        len(data.train),
        len(data.validation),
        len(data.test),
        data.shape,
        data.classes,
    )


def check(options: DataOptions, expected: Images, out: Path) -> DataSplits:
    """Return the images, if they are those that the cells were named for.

    Raises:
        SteadyNetError: If they are others.
    """
    data = load(options)
    if images_of(data) != expected:
        raise SteadyNetError(
            f"the images of {options.data} have changed since {_kept(options, out)} was written: delete it, and run again"
        )
    return data


def _fingerprint(options: DataOptions) -> str:
    """Return what tells, without reading them, whether a folder's images have changed; "" for a named set, which does not."""
    kind, _, folder = options.data.partition(":")
    if kind != "folder":
        return ""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        try:
            stat = path.stat()
        except OSError:
            continue  # A link to nowhere, or a file that is gone by now: no image.
        digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _kept(options: DataOptions, out: Path) -> Path:
    text = json.dumps(_named(options), sort_keys=True)
    return out / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def _named(options: DataOptions) -> dict[str, object]:
    # Where they lie is no part of what they are; but a folder's path is all that names one.
    return {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name != "data_root"}
