"""All results of a folder of studies in one file without weights, to be published, and that file in a folder again.

A line of JSON for each file of results, after one that says what this is:

    {"records": "steadynet study", "version": 1}
    {"path": "cells/mnist-vgg8-ovf-sigma0.2-seed0-3f9c0a1b2c3d/result.json", "holds": {…}}

The file's name ends in .jsonl, .jsonl.gz or .jsonl.xz. The same results give the same bytes. Nothing here imports torch.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from filelock import FileLock, Timeout

from steadynet.errors import SteadyNetError
from steadynet.files import check_new, write_atomically, write_json_atomically
from steadynet.folders import LOCK
from steadynet.study import images, search_store
from steadynet.study.cells import identity
from steadynet.study.store import CELL, CELLS, RESULT, TESTS, read_json

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz")
_HEADER = {"records": "steadynet study", "version": 1}
# What a file of results is called, and the keys that it cannot do without.
_KINDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(rf"{images.FOLDER}/[0-9a-f]+\.json"), ("options", "training", "test", "seen")),
    (re.compile(rf"{search_store.FOLDER}/[0-9a-f]+(\.trials)?\.json"), ("trials", "code")),
    (re.compile(rf"{CELLS}/[^/]+/{re.escape(CELL)}"), ("options", "config", "images", "code")),
    (re.compile(rf"{CELLS}/[^/]+/{re.escape(RESULT)}"), ("best_epoch", "steps", "seconds", "versions", "weights")),
    (re.compile(rf"{CELLS}/[^/]+/{TESTS}/[^/]+\.json"), ("test", "result", "seconds", "versions", "weights")),
)  # fmt: skip

Files = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Packed:
    """What a file of records holds: how many trainings, tests of them, and searches."""

    trainings: int
    tests: int
    searches: int


@dataclass(frozen=True)
class Unpacked:
    """What became of the trainings of a file of records.

    Attributes:
        new: Trainings that the folder did not have.
        there: Those that it had, with the same weights; tests that it lacked were added.
        kept: Those that it has with other weights: they were left as they are.
        busy: Those that another process is at: they were left to it.
    """

    new: int
    there: int
    kept: int
    busy: int


def pack(out: Path, file: Path, *, overwrite: bool = False) -> Packed:
    """Write the finished trainings of a folder, their tests, its searches and what it knows of images to one file.

    Args:
        out: Folder of studies.
        file: The file to write.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        SteadyNetError: If there is nothing finished, a file of results cannot be read, or `file` cannot be written.
    """
    _check_suffix(file)
    check_new(file, overwrite=overwrite)
    found = dict(_collected(out))
    trainings = [path for path in found if path.endswith(f"/{RESULT}") and path.startswith(CELLS)]
    if not trainings:
        raise SteadyNetError(f"{out} holds no finished training: give the folder of studies with --out")
    lines = [_line(_HEADER), *(_line({"path": path, "holds": found[path]}) for path in sorted(found))]
    data = "".join(lines).encode()
    write_atomically(file, lambda temporary: _write(temporary, file, data))
    return _counted(found)


def unpack(file: Path, out: Path) -> tuple[Packed, Unpacked]:
    """Write what a file of records holds into a folder of studies; nothing that is there already is changed.

    Args:
        file: Records that `pack` wrote.
        out: Folder of studies; it is made where there is none.

    Raises:
        SteadyNetError: If the file cannot be read, holds something else, or a training is not what its name says.
    """
    found = _read(file)
    cells: dict[str, Files] = defaultdict(dict)
    for path, held in found.items():
        folder = PurePosixPath(path).parts[1] if path.startswith(f"{CELLS}/") else ""
        cells[folder][path] = held
    for folder, files in cells.items():
        if folder:
            _check_cell(file, folder, files)
    for path, held in cells.pop("", {}).items():
        chosen = out / path.replace(".trials.json", ".json")
        if not chosen.is_file() and not (out / path).is_file():
            _put(out / path, held)
    ends = [_unpack_cell(out, folder, files) for folder, files in cells.items()]
    return _counted(found), Unpacked(*(ends.count(end) for end in ("new", "there", "kept", "busy")))


def _collected(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each file of results with what it holds: of cells those that are trained, and tests of these weights."""
    for folder in (images.FOLDER, search_store.FOLDER):
        for path in sorted((out / folder).glob("*.json")):
            if (
                _keys(path.relative_to(out).as_posix()) is not None
            ):  # What somebody else put there is none of ours.
                yield _read_one(out, path)
    for result in sorted((out / CELLS).glob(f"*/{RESULT}")):
        path, held = _read_one(out, result)
        yield path, held
        yield _read_one(out, result.parent / CELL)
        for test in sorted((result.parent / TESTS).glob("*.json")):
            path, tested = _read_one(out, test)
            if tested["weights"] == held["weights"]:
                yield path, tested


def _read_one(out: Path, path: Path) -> tuple[str, dict[str, Any]]:
    name = path.relative_to(out).as_posix()
    return name, read_json(path, _keys(name) or ())


def _keys(path: str) -> tuple[str, ...] | None:
    """Return the keys that a file of results needs; None if nothing of that name is one."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        return None
    return next((keys for pattern, keys in _KINDS if pattern.fullmatch(path)), None)


def _line(value: Mapping[str, Any]) -> str:
    # Keys stay in their order, in which reports name versions and what a search found.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text + "\n"


def _write(temporary: Path, file: Path, data: bytes) -> None:
    if file.name.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    elif file.name.endswith(".xz"):
        data = lzma.compress(data, preset=9)
    temporary.write_bytes(data)


def _check_suffix(file: Path) -> None:
    if not file.name.endswith(SUFFIXES):
        raise SteadyNetError(f"records {file} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def _read(file: Path) -> Files:
    """Return what a file of records holds, by path.

    Raises:
        SteadyNetError: If it cannot be read, is damaged, or holds something else.
    """
    _check_suffix(file)
    try:
        data = file.read_bytes()
        if file.name.endswith(".gz"):
            data = gzip.decompress(data)
        elif file.name.endswith(".xz"):
            data = lzma.decompress(data)
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise SteadyNetError(f"there are no records {file}") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise SteadyNetError(f"records {file} cannot be read ({error}): get them again") from error
    lines = text.split("\n")
    if lines.pop() or not lines or _parsed(lines[0]) != _HEADER:
        raise SteadyNetError(
            f"{file} is cut short, or no records of steadynet study pack, version {_HEADER['version']}"
        )
    found: Files = {}
    for number, line in enumerate(lines[1:], start=2):
        entry = _parsed(line)
        path, held = entry.get("path"), entry.get("holds")
        keys = _keys(path) if isinstance(path, str) else None
        if keys is None or not isinstance(held, dict) or not set(keys) <= set(cast("Files", held)):
            raise SteadyNetError(f"records {file}, line {number}: no file of results: get them again")
        found[cast("str", path)] = cast("dict[str, Any]", held)
    return found


def _parsed(line: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _check_cell(file: Path, folder: str, files: Files) -> None:
    """Raise unless a training is what its folder's name says, and its tests are of its weights.

    Raises:
        SteadyNetError: If it is not.
    """
    cell, result = (files.get(f"{CELLS}/{folder}/{name}") for name in (CELL, RESULT))
    if cell is None or result is None:
        raise SteadyNetError(f"records {file}: {folder} lacks {RESULT if cell else CELL}: get them again")
    own = identity(cell["config"], cell["images"], cell["code"])
    tests = [held for path, held in files.items() if f"/{TESTS}/" in path]
    if not folder.endswith(f"-{own}") or any(held["weights"] != result["weights"] for held in tests):
        raise SteadyNetError(f"records {file}: {folder} is not what its name says: get them again")


def _unpack_cell(out: Path, folder: str, files: Files) -> str:
    where = out / CELLS / folder
    result = where / RESULT
    _make(where / TESTS)
    try:
        with FileLock(where / LOCK, timeout=0):
            there = result.is_file()
            weights = files[f"{CELLS}/{folder}/{RESULT}"]["weights"]
            if there and read_json(result, ("weights",))["weights"] != weights:
                return "kept"
            # The result comes last: without it the tests would be of weights that are no more.
            for path in sorted(files, key=lambda path: path.endswith(f"/{RESULT}")):
                if not (out / path).is_file() or (not there and f"/{TESTS}/" in path):
                    _put(out / path, files[path])
    except Timeout:
        return "busy"
    return "there" if there else "new"


def _put(path: Path, held: Mapping[str, Any]) -> None:
    _make(path.parent)
    write_json_atomically(path, held)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteadyNetError(f"cannot make {folder} ({error.strerror}): give another --out") from error


def _counted(files: Files) -> Packed:
    return Packed(
        sum(path.startswith(CELLS) and path.endswith(f"/{RESULT}") for path in files),
        sum(f"/{TESTS}/" in path for path in files),
        sum(path.startswith(search_store.FOLDER) for path in files),
    )
