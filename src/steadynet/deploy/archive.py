"""Arrays of many tensors in one NPZ or HDF5 file, with a header and a checksum of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.files import write_atomically

HEADER = "header"
HDF5 = (".h5", ".hdf5")

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Archive:
    """What a file holds.

    Attributes:
        header: Facts of all of it, plain types; `format` and `version` among them.
        about: Facts of each tensor by its name.
        tensors: Arrays of each tensor by their kind.
    """

    header: Mapping[str, Any]
    about: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, Arrays]


def write_archive(path: Path, archive: Archive) -> None:
    """Write the file, whole or not at all: HDF5 where its name ends in .h5 or .hdf5, else NPZ.

    The header's JSON is the array `header`; the arrays are `NNNN.KIND`, NNNN counting the tensors.

    Raises:
        SteadyNetError: If HDF5 is asked for and h5py is missing.
    """
    arrays: dict[str, NDArray[Any]] = {}
    entries: list[dict[str, Any]] = []
    for index, (name, own) in enumerate(archive.tensors.items()):
        keys = {kind: f"{index:04d}.{kind}" for kind in own}
        arrays |= {keys[kind]: array for kind, array in own.items()}
        sums = {kind: checksum(array) for kind, array in own.items()}
        entries.append({"name": name, **archive.about[name], "arrays": keys, "sha256": sums})
    text = json.dumps({**archive.header, "tensors": entries})
    named = {HEADER: np.frombuffer(text.encode(), dtype=np.uint8), **arrays}
    if path.suffix in HDF5:
        require_extra("hdf5", "HDF5 files")
        write_atomically(path, lambda temporary: _write_hdf5(temporary, named))
        return

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            # Typed loosely: NumPy's own options are keywords too, and no array has a name of theirs.
            loose: dict[str, Any] = dict(named)
            np.savez_compressed(file, **loose)

    write_atomically(path, write)


def read_archive(path: Path, kind: str, version: int, what: str, kinds: Sequence[str]) -> Archive:
    """Return what a file of `write_archive` holds, its checksums compared.

    Args:
        path: The file.
        kind: The format that it must have.
        version: The version that it must have.
        what: What it holds, for refusals.
        kinds: The arrays that each tensor must have.

    Raises:
        SteadyNetError: If it is missing, damaged, of another format or version, or cut.
    """
    if not path.is_file():
        raise SteadyNetError(f"there is no file {path} of {what}")
    if path.suffix in HDF5:
        require_extra("hdf5", "HDF5 files")
    try:
        arrays = _read_hdf5(path) if path.suffix in HDF5 else _read_npz(path)
        header: dict[str, Any] = json.loads(arrays[HEADER].tobytes())
        found, number = header["format"], header["version"]
    except Exception as error:  # NumPy, zipfile, zlib and h5py have many ways to say that a file is damaged.
        raise SteadyNetError(
            f"{path} is no readable file of {what} ({type(error).__name__}): it is cut, damaged or foreign"
        ) from error
    if found != kind or number != version:
        raise SteadyNetError(f"{path} is {found!r} version {number!r}, not {kind!r} version {version}")
    with damaged(path):
        entries: list[dict[str, Any]] = header.pop("tensors")
        tensors: dict[str, dict[str, NDArray[Any]]] = {}
        for entry in entries:
            name = entry["name"]
            tensors[name] = {one: _array(path, entry, one, arrays) for one in kinds}
        return Archive(header, {entry["name"]: entry for entry in entries}, tensors)
    raise AssertionError  # pragma: no cover (damaged raises or nothing does)


@contextmanager
def damaged(path: Path) -> Generator[None]:
    """Turn what a garbled header raises into a refusal that names the file."""
    try:
        yield
    except SteadyNetError as error:
        told = str(error)
        raise SteadyNetError(told if str(path) in told else f"{path}: {told}") from error
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise SteadyNetError(f"{path}: its header lacks or garbles {error}: the file was altered") from error


def checksum(array: NDArray[Any]) -> str:
    """Return SHA-256 of an array's dtype, shape and bytes in C order."""
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _array(path: Path, entry: Mapping[str, Any], kind: str, arrays: Arrays) -> NDArray[Any]:
    key, name = entry["arrays"][kind], entry["name"]
    if key not in arrays:
        raise SteadyNetError(f"{path} lacks {kind} of {name}: it was cut")
    if checksum(arrays[key]) != entry["sha256"][kind]:
        raise SteadyNetError(f"{path}: {kind} of {name} does not match its checksum: the file was altered")
    return arrays[key]


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    with h5py.File(path, "r") as file:
        held: Any = file
        return {name: np.asarray(held[name]) for name in held}


def _write_hdf5(path: Path, arrays: Arrays) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        held: Any = file
        for name, array in arrays.items():
            compressed = {"compression": "gzip"} if array.size > 1 else {}
            held.create_dataset(name, data=array, **compressed)
