"""Results of another version of the code, given the digests of this one: trainings, their tests, and what searches chose.

Whoever does so knows that both versions make the same numbers; see `study.confirm`. Each step leaves the folder as it was, or
done: what was begun by a process that was killed is ended by the next one. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.folders import LOCK
from steadynet.study import search_store
from steadynet.study.cells import cell_of, identity, identity_of_test
from steadynet.study.code_version import Code, changed, testing_code
from steadynet.study.confirm import Found, Kept, is_calibrated
from steadynet.study.store import CELL, CELLS, TESTS, read_json

_IDENTITY = re.compile("[0-9a-f]{12}$")
# Of files that were given other digests than they were written with: what those were, the first ones first.
_NOTES = "confirmed"


@dataclass(frozen=True)
class Carried:
    """What was given today's digests, and what was left."""

    trainings: int
    tests: int
    searches: int
    left: tuple[str, ...]


def carry(out: Path, confirmed: Sequence[tuple[Kept, Found]]) -> Carried:
    """Give results today's digests where the version that made them is the one that was compared.

    Args:
        out: Folder of the studies.
        confirmed: Trainings with what was found of their kind; those that differ are left.

    Raises:
        SteadyNetError: If a file cannot be written.
    """
    trainings, tests, left = 0, 0, list[str]()
    _end_renames(out)
    for kept, found in confirmed:
        why = _why_not(kept, found)
        if why:
            left.append(f"{kept.folder.name}: {why}")
            continue
        try:
            with FileLock(kept.folder / LOCK, timeout=0):
                done = _carry_tests(kept, found)
                _write_cell(kept)
        except Timeout:
            left.append(f"{kept.folder.name}: another process is at it")
            continue
        if _renamed(kept.folder):
            trainings, tests = trainings + 1, tests + done
        else:
            left.append(f"{kept.folder.name}: it was trained anew already")
    return Carried(trainings, tests, _carry_searches(out), tuple(left))


def _why_not(kept: Kept, found: Found) -> str:
    if found.differs:
        return found.differs
    today = kept.cell.code()
    if changed(kept.code, today) and changed(kept.code, found.code):
        return "it is of yet another version of the code"
    return ""


def _carry_tests(kept: Kept, found: Found) -> int:
    """Give its tests today's digests; return how many. Those of yet another version are left as they are."""
    done = 0
    for path, test in kept.tests.items():
        was = found.tests.get(is_calibrated(test))
        code = kept.test_code(calibrated=is_calibrated(test))
        if was is None or not changed(test["code"], code) or changed(test["code"], was):
            continue
        own = identity_of_test(test["test"], test["images"], code)
        new = path.with_name(_IDENTITY.sub(own, path.stem) + path.suffix)
        if not new.is_file():
            write_json_atomically(new, _with_code(test, code, path.stem))
        path.unlink()
        done += 1
    return done


def _write_cell(kept: Kept) -> None:
    """Write today's digests into the cell."""
    path, code = kept.folder / CELL, kept.cell.code()
    if changed(kept.code, code):
        write_json_atomically(path, _with_code(read_json(path, ("code",)), code, kept.folder.name))


def _with_code(held: Mapping[str, Any], code: Code, name: str) -> dict[str, Any]:
    """Return what a file holds with other digests, and a note of what they and its name's end were."""
    was = {module: held["code"].get(module, "none") for module in changed(held["code"], code)}
    note = {"identity": _end(name), "code": was}
    return {**held, "code": dict(code), _NOTES: [*held.get(_NOTES, ()), note]}


def _end_renames(out: Path) -> None:
    """Give folders their names whose files were written by a process that was killed before it came to that."""
    for path in sorted((out / CELLS).glob(f"*/{CELL}")):
        if _NOTES in read_json(path, ("config", "images", "code")):
            _renamed(path.parent)


def _renamed(folder: Path) -> bool:
    """Give a folder the name that goes with what it holds; return whether it has it, which another may have."""
    held = read_json(folder / CELL, ("config", "images", "code"))
    own = identity(held["config"], held["images"], held["code"])
    new = folder.with_name(_IDENTITY.sub(own, folder.name))
    if new == folder:
        return True
    if new.exists():
        return False
    folder.rename(new)
    return True


def _carry_searches(out: Path) -> int:
    """Give searches today's digests if all their trials' trainings and tests were given them; return how many.

    They go by the notes, so that those are not forgotten which a process that was killed did not come to.
    """
    found = _noted(out)
    done = 0
    for path in sorted((out / search_store.FOLDER).glob("*.json")):
        held = read_json(path, ("trials", "code"))
        named = {
            _end(name)
            for trial in held["trials"]
            if trial["score"] is not None
            for name in trial["cell"].split()
        }
        if not named or not named <= found.keys():
            continue
        code = {module: digest for name in named for module, digest in found[name].code.items()}
        was = [found[name].was for name in named]
        if not changed(held["code"], code) or any(
            not any(digest in one.get(module, ()) for one in was) for module, digest in held["code"].items()
        ):
            continue
        trials = [
            {
                **trial,
                "cell": " ".join(
                    found[_end(n)].name if _end(n) in found else n for n in trial["cell"].split()
                ),
            }
            for trial in held["trials"]
        ]
        write_json_atomically(path, {**held, "trials": trials, "code": code})
        done += 1
    return done


def _end(name: str) -> str:
    """Return the identity with which a folder's name ends."""
    return name.rpartition("-")[2]


@dataclass(frozen=True)
class _Noted:
    """A training that has today's digests.

    Attributes:
        name: Its folder's.
        code: Today's digests of the modules that train and test it.
        was: All that it and its tests have or had, by module.
    """

    name: str
    code: Mapping[str, str]
    was: Mapping[str, set[str]]


def _noted(out: Path) -> dict[str, _Noted]:
    """Return the trainings that have today's digests, by each identity that they have or had."""
    found: dict[str, _Noted] = {}
    for path in sorted((out / CELLS).glob(f"*/{CELL}")):
        held = read_json(path, ("options", "code"))
        try:
            cell = cell_of(held["options"])
        except SteadyNetError:
            continue
        if changed(held["code"], cell.code()):
            continue
        was: dict[str, set[str]] = defaultdict(set)
        tests = (read_json(test, ("code",)) for test in sorted((path.parent / TESTS).glob("*.json")))
        for one in (held, *tests):
            for code in (one["code"], *(note["code"] for note in one.get(_NOTES, ()))):
                for module, digest in code.items():
                    was[module].add(digest)
        plain = testing_code(cell.training.model.model, calibrated=False)
        noted = _Noted(path.parent.name, {**cell.code(), **plain}, was)
        for own in (_end(path.parent.name), *(note["identity"] for note in held.get(_NOTES, ()))):
            found[own] = noted
    return found
