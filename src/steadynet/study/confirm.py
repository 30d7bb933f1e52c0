"""Whether two versions of the code train and test alike, kind by kind, so that the older one's results need not be made again.

Each kind of training in a folder of studies is made short and done by both versions, in processes of their own: two epochs on a
few batches, tested on two chips. A kind is confirmed if weights, chosen epochs and every figure of every chip are equal bit for
bit. Trainings are of one kind if their configurations differ in numbers alone, and none of these in being 0 or 1, which mostly
stand for "off" and "by itself". Nothing here imports torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from steadynet.errors import SteadyNetError
from steadynet.study.cells import Cell, cell_of
from steadynet.study.code_version import Code, changed, testing_code
from steadynet.study.flat import INIT_FROM, OWN, RUN_OPTIONS
from steadynet.study.store import CELL, CELLS, CHECKPOINT, RESULT, TESTS, read_json

_EPOCHS = 2
# Validation images included.
_BATCHES = 5
_TEST_IMAGES = 64
_TEST = {"draws": 2}
_LINES = 3


@dataclass(frozen=True)
class Kept:
    """A training in a folder of studies, finished or with a checkpoint, of which something is by another version of the code.

    Attributes:
        folder: Where it lies.
        cell: What its options make today.
        code: Digests of the modules that trained it, then.
        images: How many images it was trained on and validated with; None of one that is not finished.
        tests: Its tests' files, with what they hold.
    """

    folder: Path
    cell: Cell
    code: Code
    images: int | None
    tests: Mapping[Path, Mapping[str, Any]]

    def calibrated(self) -> bool:
        """Return whether one of its tests has calibrated logits."""
        return any(is_calibrated(test) for test in self.tests.values())

    def test_code(self, *, calibrated: bool) -> Code:
        """Return the digests of the modules that would do a test of it today."""
        return testing_code(self.cell.training.model.model, calibrated=calibrated)

    def is_old(self) -> bool:
        """Return whether training or a test is by another version than today's."""
        return bool(changed(self.code, self.cell.code())) or any(
            changed(test["code"], self.test_code(calibrated=is_calibrated(test)))
            for test in self.tests.values()
        )

    def short(self) -> dict[str, Any]:
        """Return the options of a training of its kind that goes the whole way in seconds."""
        made = dict(self.cell.options)
        made["epochs"] = min(_EPOCHS, self.cell.training.epochs)
        least = (self.images, made.get("train_images"), _BATCHES * self.cell.training.training.batch_size)
        made["train_images"] = min(count for count in least if count is not None)
        made["test_images"] = min(
            [_TEST_IMAGES, *(int(test["result"]["images"]) for test in self.tests.values())]
        )
        if INIT_FROM in made:
            changes = dict(made[INIT_FROM])
            if "epochs" in changes:
                changes["epochs"] = min(_EPOCHS, changes["epochs"])
            made[INIT_FROM] = changes
        return made


@dataclass(frozen=True)
class Found:
    """What both versions made of one kind of training.

    Attributes:
        code: Digests of the older version's modules that train.
        tests: Digests of those that test, without and with calibrated logits.
        differs: In what they differ, or why one of them came to nothing; "" if they are equal.
    """

    code: Code
    tests: Mapping[bool, Code]
    differs: str = ""


def old_ones(out: Path) -> tuple[list[Kept], list[str]]:
    """Return the trainings of another version of the code, and a line for each that cannot be compared.

    Those that are not finished are among them if they have a checkpoint, from which they go on.

    Raises:
        SteadyNetError: If a file of results cannot be read.
    """
    found: list[Kept] = []
    left: list[str] = []
    for path in sorted((out / CELLS).glob(f"*/{CELL}")):
        folder, result = path.parent, path.with_name(RESULT)
        if not result.is_file() and not (folder / CHECKPOINT).is_file():
            continue
        held = read_json(path, ("options", "config", "images", "code"))
        trained = (
            read_json(result, ("weights", "train_images", "validation_images")) if result.is_file() else None
        )
        tests = {
            file: test
            for file in sorted((folder / TESTS).glob("*.json"))
            if trained is not None
            and (test := read_json(file, ("test", "images", "code", "weights", "result")))["weights"]
            == trained["weights"]
        }
        try:
            cell = cell_of(held["options"])
        except SteadyNetError as error:
            left.append(f"{folder.name}: its options are refused today: {error}")
            continue
        images = None if trained is None else trained["train_images"] + trained["validation_images"]
        kept = Kept(folder, cell, held["code"], images, tests)
        if not kept.is_old():
            continue
        if cell.config() != held["config"]:
            left.append(f"{folder.name}: its options mean another training today")
            continue
        found.append(kept)
    return found, left


def is_calibrated(test: Mapping[str, Any]) -> bool:
    """Return whether what a test's file holds is of calibrated logits."""
    return bool(test["test"].get("calibrated", False))


def kind_of(cell: Cell) -> str:
    """Return what trainings of one kind have in common: all of their configuration but seeds and numbers that are not 0 or 1."""
    return json.dumps(_shape(_without_lengths(cell.config())), sort_keys=True)


def compare(
    kinds: Mapping[str, Sequence[Kept]], old: Path, work: Path, run: Sequence[str] = ()
) -> dict[str, Found]:
    """Do one training of each kind by both versions, and compare what they make.

    Args:
        kinds: The trainings of each kind.
        old: Folder that holds the older version's package `steadynet`.
        work: An empty folder to do it in.
        run: Words for `steadynet study run` that say where data lie and what computes.

    Raises:
        SteadyNetError: If a version cannot be run at all.
    """
    firsts = {kind: min(of, key=lambda kept: kept.folder.name) for kind, of in kinds.items()}
    options = {kind: first.short() for kind, first in firsts.items()}
    calibrated = {kind: any(kept.calibrated() for kept in kinds[kind]) for kind in kinds}
    files = [_write_study(work / "plain.yaml", options.values(), {})]
    if any(calibrated.values()):
        some = [options[kind] for kind in kinds if calibrated[kind]]
        files.append(_write_study(work / "calibrated.yaml", some, {"calibrated": True}))
    here = Path(__file__).resolve().parents[2]
    made = [_made(source, files, work / name, run) for name, source in (("old", old), ("new", here))]
    return {
        kind: _found(made[0].get(_key(options[kind])), made[1].get(_key(options[kind])), calibrated[kind])
        for kind in kinds
    }


def package_folder(given: Path) -> Path:
    """Return the folder that holds the package `steadynet`: the one that is given, or `src` in it.

    Raises:
        SteadyNetError: If there is none, or it is the one that runs.
    """
    for folder in (given, given / "src"):
        if (folder / "steadynet" / "__init__.py").is_file():
            if folder.resolve() == Path(__file__).resolve().parents[2]:
                raise SteadyNetError(
                    f"--old {given} is the code that runs: give a checkout of the older version"
                )
            return folder.resolve()
    raise SteadyNetError(
        f"--old {given} holds no package steadynet: give a checkout of the older version, or its src"
    )


def _without_lengths(config: Mapping[str, Any]) -> dict[str, Any]:
    start = config["start"]
    training = {name: value for name, value in config["training"].items() if name != "epochs"}
    # No epochs at all, which tests its start as it is, is a kind of its own.
    training["trains"] = config["training"]["epochs"] > 0
    data = {name: value for name, value in config["data"].items() if name != "train_images"}
    return {
        **{name: value for name, value in config.items() if name != "seed"},
        "data": data,
        "training": training,
        "start": None if start is None else _without_lengths(start),
    }


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shape(inner) for name, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in cast("list[Any]", value)]
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (0, 1):
        return value
    return "number"


def _write_study(path: Path, options: Iterable[Mapping[str, Any]], test: Mapping[str, Any]) -> Path:
    # Two kinds may be one training once they are short.
    apart = {_key(one): one for one in options}
    trainings = {str(number): _written(one) for number, one in enumerate(apart.values())}
    text = yaml.safe_dump(
        {"axes": {"kind": trainings}, "test": {**_TEST, **test}}, sort_keys=False, allow_unicode=True
    )
    path.write_text(text, encoding="utf-8")
    return path


def _written(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a study writes them, those of the network and of an own recipe by their names."""
    made = {name: value for name, value in options.items() if name not in OWN.values()}
    for head, own in OWN.items():
        inner = cast("Mapping[str, Any]", options.get(own) or {})
        made |= {f"{head}.{name}": value for name, value in inner.items()}
    if INIT_FROM in made:
        made[INIT_FROM] = _written(made[INIT_FROM])
    return made


def _made(source: Path, files: Sequence[Path], out: Path, run: Sequence[str]) -> dict[str, Path]:
    """Run studies by the version of the code in a folder; return its cells by their options.

    Raises:
        SteadyNetError: If it made nothing at all.
    """
    words = ["study", "run", *map(str, files), "--out", str(out), "--no-progress", *run]
    path = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "steadynet", *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    cells = {
        _key(read_json(cell, ("options",))["options"]): cell.parent
        for cell in sorted(out.glob(f"{CELLS}/*/{CELL}"))
    }
    if not cells:
        last = " ".join((done.stderr or done.stdout).strip().splitlines()[-_LINES:])
        raise SteadyNetError(f"the code in {source} trained nothing: {last or f'exit {done.returncode}'}")
    return cells


def _key(options: Mapping[str, Any]) -> str:
    """Return what stands for options, whatever was said of where data lie and what computes."""
    told = {name: value for name, value in options.items() if name not in RUN_OPTIONS}
    return json.dumps(told, sort_keys=True, default=repr)


def _found(old: Path | None, new: Path | None, calibrated: bool) -> Found:
    for which, folder in (("older", old), ("newer", new)):
        if folder is None or not (folder / RESULT).is_file():
            return Found({}, {}, f"the {which} code did not train it")
    assert old is not None
    assert new is not None
    code = read_json(old / CELL, ("code",))["code"]
    one, other = (_results(folder) for folder in (old, new))
    tests = {tested: held["code"] for tested, held in one["tests"].items()}
    if set(tests) != {False, calibrated} or set(other["tests"]) != set(tests):
        return Found(code, tests, "a test came to nothing")
    if one["trained"] != other["trained"]:
        return Found(code, tests, "weights differ")
    if any(one["tests"][which]["found"] != other["tests"][which]["found"] for which in tests):
        return Found(code, tests, "weights are equal, tests differ")
    return Found(code, tests)


def _results(folder: Path) -> dict[str, Any]:
    result = read_json(folder / RESULT, ("weights", "best_epoch", "best_accuracy", "steps"))
    tests: dict[bool, dict[str, Any]] = {}
    for path in sorted((folder / TESTS).glob("*.json")):
        held = read_json(path, ("test", "result", "code"))
        tests[is_calibrated(held)] = {
            "code": held["code"],
            "found": [held["result"], held.get("temperature")],
        }
    trained = [result[name] for name in ("weights", "best_epoch", "best_accuracy", "steps")]
    return {"trained": trained, "tests": tests}
