"""A cell's folder: what is written there, and what state it says the cell is in.

    cells/mnist-vgg8-ovf-sigma0.2-seed0-3f9c0a1b2c3d/
      cell.json              options, configuration, images' checksum, code: all that its identity is a hash of
      result.json            the finished training: best epoch, steps, time, memory, versions
      backbone.safetensors   its weights; not in records that were unpacked, and trained again once something needs them
      tests/….json           a file for each test: every draw's figures
      training/history.csv   an epoch each
      training/last.ckpt     while it trains: where it goes on
      failure.json, log.txt  why it failed, and what it said

Files are written whole or not at all, so that folders of two copies of a study can be copied together. Nothing here imports
torch.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.folders import is_locked
from steadynet.study.cells import Cell, test_identity
from steadynet.study.code_version import changed, testing_code
from steadynet.study.wanted import Wanted

CELLS = "cells"
CELL = "cell.json"
RESULT = "result.json"
FAILURE = "failure.json"
LOG = "log.txt"
TESTS = "tests"
BACKBONE = "backbone.safetensors"
TRAINING = "training"
CHECKPOINT = f"{TRAINING}/last.ckpt"
HISTORY = f"{TRAINING}/history.csv"

State = Literal["finished", "running", "begun", "failed", "waiting"]


@dataclass(frozen=True)
class Images:
    """The images that a cell is trained and tested on: checksums, and what an estimate of time needs.

    Attributes:
        training: Checksum of training and validation images.
        test: Checksum of test images.
        train_images: How many there are to train on.
        validation_images: And to choose the epoch by.
        test_images: And to test with.
        shape: (C, H, W) of each.
        classes: Of the set.
        why: Why they cannot be had here; "" if they can.
    """

    training: str
    test: str
    train_images: int
    validation_images: int
    test_images: int
    shape: tuple[int, int, int]
    classes: int
    why: str = ""

    def seen_by(self, wanted: Wanted) -> str:
        """Return the checksum of the images that a test depends on."""
        if wanted.split != "test":
            return self.training
        return f"{self.test} {self.training}" if wanted.calibrated else self.test


@dataclass(frozen=True)
class Place:
    """Where a cell lies, and which files say that it is finished.

    Attributes:
        cell: The cell.
        folder: Its folder; it may not exist yet.
        tests: The file of each of its tests.
        images: Its images.
        old: The modules that have changed since, where what another version of the code made is taken.
    """

    cell: Cell
    folder: Path
    tests: Mapping[Wanted, Path]
    images: Images
    old: tuple[str, ...] = ()

    def trained(self) -> bool:
        """Return whether its training is finished, wherever its weights are."""
        return (self.folder / RESULT).is_file()

    def has_weights(self) -> bool:
        """Return whether its weights are here: records that were unpacked have none."""
        return self.trained() and (self.folder / BACKBONE).is_file()

    def is_own_code(self) -> bool:
        """Return whether its folder is that of a training by the code that is here."""
        return self.folder.name.endswith(self.cell.folder(self.images.training).rpartition("-")[2])

    def missing(self) -> tuple[Wanted, ...]:
        """Return the tests that are not finished, or are of other weights than those that lie here.

        Raises:
            SteadyNetError: If a file cannot be read.
        """
        if not self.trained():
            return tuple(self.tests)
        weights = self.result().get("weights")
        return tuple(
            wanted
            for wanted, path in self.tests.items()
            if not path.is_file() or self.test(wanted).get("weights") != weights
        )

    def finished(self) -> bool:
        """Return whether nothing is left to do."""
        return self.trained() and not self.missing()

    def state(self) -> State:
        """Return what is known of it now, by any process of any machine that shares the folder."""
        if self.finished():
            return "finished"
        if self.images.why:
            return "failed"
        if is_locked(self.folder):
            return "running"
        if (self.folder / FAILURE).is_file():
            return "failed"
        begun = any((self.folder / name).is_file() for name in (CHECKPOINT, RESULT))
        return "begun" if begun else "waiting"

    def log(self) -> str:
        """Return the words that tell where its log lies; "" if it has none."""
        path = self.folder / LOG
        return f" (log: {path})" if path.is_file() else ""

    def epochs_done(self) -> int:
        """Return how many epochs its history tells of."""
        try:
            with (self.folder / HISTORY).open(newline="") as file:
                return sum(1 for _ in csv.DictReader(file))
        except OSError:
            return 0

    def result(self) -> dict[str, Any]:
        """Return what its training left.

        Raises:
            SteadyNetError: If the file cannot be read.
        """
        return read_json(self.folder / RESULT, ("best_epoch", "steps", "seconds", "versions"))

    def test(self, wanted: Wanted) -> dict[str, Any]:
        """Return what a test found.

        Raises:
            SteadyNetError: If the file cannot be read.
        """
        return read_json(self.tests[wanted], ("test", "result", "seconds", "versions"))

    def failure(self) -> str:
        """Return why it failed, in one line; "" if it did not."""
        if self.images.why:
            return self.images.why
        path = self.folder / FAILURE
        return str(read_json(path, ("message",))["message"]) if path.is_file() else ""


def place(cell: Cell, out: Path, images: Images, keep_old: bool = False) -> Place:
    """Return where a cell lies under `out`, tests included.

    Args:
        cell: The cell.
        out: Folder of the studies.
        images: Its images.
        keep_old: Take what another version of the code made, where there is nothing of this version.
    """
    folder = _folder(cell, out, images)
    old: set[str] = set()
    if keep_old and not (folder / RESULT).is_file():
        others = [other for other in other_versions(cell, out, images) if (other[0] / RESULT).is_file()]
        if others:
            folder = others[-1][0]
            old |= set(others[-1][1])
    tests: dict[Wanted, Path] = {}
    for wanted in cell.tests:
        path = folder / TESTS / test_name(wanted, cell, images)
        if keep_old and not path.is_file():
            path, modules = _old_test(path, wanted, cell, images)
            old |= modules
        tests[wanted] = path
    return Place(cell, folder, tests, images, tuple(sorted(old)))


def _folder(cell: Cell, out: Path, images: Images) -> Path:
    """Return a cell's folder. What stands before its identity is for reading alone: another study may call it otherwise."""
    folder = out / CELLS / cell.folder(images.training)
    if not folder.is_dir():
        # Names hold letters, digits and -._ alone, none of which a pattern takes for another.
        for other in sorted((out / CELLS).glob(f"*-{folder.name.rpartition('-')[2]}")):
            return other
    return folder


def _old_test(path: Path, wanted: Wanted, cell: Cell, images: Images) -> tuple[Path, set[str]]:
    """Return the file of the same test by another version of the code, with the modules that differ; `path` without one."""
    code = testing_code(cell.training.model.model, calibrated=wanted.calibrated)
    for other in sorted(path.parent.glob(f"{path.name.rpartition('-')[0]}-*.json")):
        written = read_json(other, ("test", "images", "code"))
        if written["test"] == wanted.plain() and written["images"] == images.seen_by(wanted):
            return other, set(changed(written["code"], code))
    return path, set()


def test_name(wanted: Wanted, cell: Cell, images: Images) -> str:
    """Return the name of a test's file, which ends with its identity."""
    own = test_identity(wanted, cell, images.seen_by(wanted))
    return f"{wanted.split}-sigma{wanted.sigma_d:g}-draws{wanted.draws}-{own}.json"


def other_versions(cell: Cell, out: Path, images: Images) -> list[tuple[Path, list[str]]]:
    """Return folders of the same training by another version of the code, with the modules that differ.

    Those that are not finished come first, then by when they were: times of files are those of the last copying.
    """
    found: list[tuple[str, float, Path, list[str]]] = []
    own, config = cell.folder(images.training).rpartition("-")[2], cell.config()
    for path in (out / CELLS).glob(f"*/{CELL}"):
        folder, changed_at = path.parent, path.stat()
        if folder.name.endswith(f"-{own}"):
            continue
        written = _described(path, changed_at.st_mtime_ns)
        if written["config"] == config and written["images"] == images.training:
            modules = changed(cast("Mapping[str, str]", written["code"]), cell.code())
            result = folder / RESULT
            finished = str(read_json(result, ()).get("finished", "")) if result.is_file() else ""
            found.append((finished, changed_at.st_mtime, folder, modules))
    return [(folder, modules) for _, _, folder, modules in sorted(found)]


@lru_cache(maxsize=4096)
def _described(path: Path, changed: int) -> dict[str, Any]:
    """Return what a cell is, read once as long as the file does not change."""
    return read_json(path, ("config", "images", "code"))


def describe(place: Place) -> None:
    """Write what the cell is into its folder, whose lock is held.

    Raises:
        SteadyNetError: If it cannot be written, or another training lies there.
    """
    path = place.folder / CELL
    described = {
        "options": dict(place.cell.options),
        "config": place.cell.config(),
        "images": place.images.training,
        "code": dict(place.cell.code()),
    }
    if path.is_file():
        written = read_json(path, ("config", "images", "code"))
        if not place.old and any(written[key] != described[key] for key in ("config", "images", "code")):
            raise SteadyNetError(f"{place.folder} holds another training than its name says: move it away")
        return
    write_json_atomically(path, described)


def make_folder(place: Place) -> None:
    """Make a cell's folder.

    Raises:
        SteadyNetError: If it cannot be made.
    """
    try:
        (place.folder / TESTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteadyNetError(f"cannot make {place.folder} ({error.strerror}): give another --out") from error


def read_json(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return what a JSON file of a cell holds.

    Raises:
        SteadyNetError: If it is cut short, no JSON, or lacks one of `keys`; the line says what to do.
    """
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SteadyNetError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SteadyNetError(
            f"{path} is cut short or no JSON ({error}): delete it, and run the study again"
        ) from error
    missing = [key for key in keys if not isinstance(held, dict) or key not in held]
    if missing:
        raise SteadyNetError(f"{path} lacks {', '.join(missing)}: delete it, and run the study again")
    return cast("dict[str, Any]", held)
