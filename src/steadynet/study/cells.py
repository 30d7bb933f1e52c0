"""From a study's grid to its cells: trainings, and the tests that each is put to.

A training that several points of the grid share (one that sees no noise, tested at many σ_d; the start of others) is one
cell. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.recipes.objective.distillation import SELF, Distillation
from steadynet.study.code_version import Code, testing_code, training_code
from steadynet.study.definition import SIGMA_D, Study
from steadynet.study.flat import (
    DEFAULT_SIGMA_D,
    INIT_FROM,
    RUN_OPTIONS,
    Label,
    Training,
    merged,
    start_of,
    training_of,
)
from steadynet.study.teachers import weights_digest
from steadynet.study.wanted import Wanted, device_told

# Options of data that no training depends on.
_WHERE = ("data_root", "test_images")


@dataclass(frozen=True)
class Point:
    """One point of a study's grid: its labels, at which σ_d its network is tested, and on which device if not the training's."""

    study: str
    labels: Mapping[str, Label]
    sigma_d: tuple[float, ...]
    device: Device | None = None


@dataclass(frozen=True)
class Cell:
    """One training with its tests.

    Attributes:
        options: The options that make it, as written.
        training: What they make.
        tests: What its network is put to, in order, each once.
        points: The points of grids that it stands for; none if it is only the start of others.
        parent: The training whose weights it starts from.
    """

    options: Mapping[str, Any]
    training: Training
    tests: tuple[Wanted, ...]
    points: tuple[Point, ...]
    parent: Cell | None = None

    def config(self) -> dict[str, Any]:
        """Return all that decides its weights but the images' checksum and the code, as plain types.

        Of a folder of images the path is no part: their checksum says which they are.
        """
        made = self.training
        recipe = made.recipe.identity()
        del recipe["name"]
        teacher = recipe["objective"].get("teacher")
        if isinstance(made.recipe.objective, Distillation) and teacher != SELF:
            # What it knows decides, and not where it lies.
            recipe["objective"]["teacher"] = weights_digest(Path(str(teacher))) or teacher
        described = {
            "data": {
                f.name: getattr(made.data, f.name)
                for f in dataclasses.fields(made.data)
                if f.name not in _WHERE
            }
            | {"data": made.data.data.partition(":")[0]},
            "model": {"name": made.model.model, "options": _plain_numbers(made.model.model_options)},
            "device": device_told(made.device),
            "recipe": recipe,
            "training": {
                f.name: getattr(made.training, f.name)
                for f in dataclasses.fields(made.training)
                if f.name not in (*RUN_OPTIONS, "progress", "loggers")
            }
            | {"epochs": made.epochs},
            "seed": made.seed,
            "start": None if self.parent is None else self.parent.config(),
        }
        # Through JSON, so that tuples and lists compare as they will be read back.
        return dict(json.loads(json.dumps(described, default=repr)))

    def key(self) -> str:
        """Return what tells cells apart before any images are read: the configuration, and which images are named."""
        data = self.training.data
        named = [data.data, data.data_root, data.test_images]
        start = None if self.parent is None else self.parent.key()
        return json.dumps([self.config(), named, start], sort_keys=True)

    def code(self) -> Code:
        """Return the digests of the modules that its weights come from, its start's included."""
        own = training_code(self.training.model.model, self.training.recipe)
        return own if self.parent is None else {**self.parent.code(), **own}

    def label(self) -> str:
        """Return a readable name, which several cells may share."""
        made = self.training
        data = made.data.data.removeprefix("folder:").rstrip("/").rpartition("/")[2]
        sigma_d = f"{made.device.sigma_d:g}"
        name = (
            f"{data}-{made.model.model.rpartition('.')[2]}-{made.recipe.name}-sigma{sigma_d}-seed{made.seed}"
        )
        return "".join(c if c.isalnum() or c in "-._" else "_" for c in name).lstrip(".")

    def folder(self, checksum: str) -> str:
        """Return its folder's name, which ends with its identity.

        Args:
            checksum: Of the training and validation images.
        """
        return f"{self.label()}-{identity(self.config(), checksum, self.code())}"


def identity(config: Mapping[str, Any], checksum: str, code: Code) -> str:
    """Return a training's identity: 12 hexadecimal digits of a hash of configuration, images and code."""
    return _hash({"config": config, "images": checksum, "code": dict(code)})


def test_identity(wanted: Wanted, cell: Cell, checksum: str) -> str:
    """Return a test's identity within its training's folder.

    Args:
        wanted: The test.
        cell: Its training.
        checksum: Of the images that the chips see.
    """
    code = testing_code(cell.training.model.model, calibrated=wanted.calibrated)
    return identity_of_test(wanted.plain(), checksum, code)


def identity_of_test(plain: Mapping[str, Any], checksum: str, code: Code) -> str:
    """Return the identity of a test that is told as plain types."""
    return _hash({"test": dict(plain), "images": checksum, "code": dict(code)})


def cells_of(
    study: Study,
    found: Mapping[str, Mapping[str, Any]] | None = None,
    waiting: Collection[str] = (),
) -> tuple[Cell, ...]:
    """Return the study's cells, seed by seed if it has an axis of that name, so that a first picture comes early.

    Args:
        study: The study.
        found: Options that a search found, for points by `point_key`; they win over what is written.
        waiting: Points, by `point_key`, that are left out, since a search has not found their options yet.

    Raises:
        SteadyNetError: If a point's options cannot be used, no point is left, or two are written as the same training and
            test.
    """
    points = [(labels, options_of(study, labels)) for labels in grid(study)]
    if not points:
        raise SteadyNetError(f"study {study.name}: the rules leave no cell: the grid is empty")
    made: dict[str, Cell] = {}
    seen: dict[tuple[str, Wanted], Mapping[str, Label]] = {}
    for labels, given in points:
        if point_key(labels) in waiting:
            continue
        options = merged(given, (found or {}).get(point_key(labels), {}))
        try:
            cell = _cell(study, labels, options)
        except SteadyNetError as error:
            raise SteadyNetError(f"study {study.name}, cell {told(labels)}: {error}") from None
        key = cell.key()
        for wanted in cell.tests:
            before = seen.setdefault((key, wanted), labels)
            # What a search finds may be what another point has: both then show one training.
            searched = {point_key(before), point_key(labels)} & (found or {}).keys()
            if before is not labels and not searched:
                raise SteadyNetError(
                    f"study {study.name}: cells {told(before)} and {told(labels)} are the same training and test: "
                    "a duplicate; let a rule skip one of them"
                )
        made[key] = joined(made[key], cell) if key in made else cell
    for cell in list(made.values()):
        parent = cell.parent
        while parent is not None:
            made.setdefault(parent.key(), parent)
            parent = parent.parent
    return tuple(sorted(made.values(), key=_depth))


def grid(study: Study) -> list[dict[str, Label]]:
    """Return the labels of each point that no rule skips, those of the first seed first."""
    axes = sorted(study.axes, key=lambda axis: axis.name != "seed")
    names = [axis.name for axis in study.axes]
    found: list[dict[str, Label]] = []
    for chosen in itertools.product(*(axis.labels for axis in axes)):
        by_name = dict(zip((axis.name for axis in axes), chosen, strict=True))
        labels = {name: by_name[name] for name in names}
        if not any(rule.skip and rule.matches(labels) for rule in study.rules):
            found.append(labels)
    return found


def point_key(labels: Mapping[str, Label]) -> str:
    """Return the text that stands for a point."""
    return json.dumps(dict(labels), sort_keys=True)


def told(labels: Mapping[str, Label]) -> str:
    """Return a point's labels in words, as `--only` takes them."""
    return " ".join(f"{axis}={written(label)}" for axis, label in labels.items())


def written(label: Label) -> str:
    """Return a label as text: 0.2, and 0 for 0.0."""
    return f"{label:.12g}" if isinstance(label, float) else str(label)


def joined(one: Cell, other: Cell) -> Cell:
    """Return one cell for two that are the same training."""
    tests = tuple(dict.fromkeys((*one.tests, *other.tests)))
    return dataclasses.replace(one, tests=tests, points=(*one.points, *other.points))


def all_cells(studies: Sequence[Sequence[Cell]]) -> tuple[Cell, ...]:
    """Return the cells of several studies, those that they share once, in the order of the studies."""
    made: dict[str, Cell] = {}
    for cell in itertools.chain.from_iterable(studies):
        key = cell.key()
        made[key] = joined(made[key], cell) if key in made else cell
    return tuple(sorted(made.values(), key=_depth))


def options_of(study: Study, labels: Mapping[str, Label]) -> dict[str, Any]:
    """Return the options of a point as written, without what a search found."""
    options = dict(study.base)
    for axis in study.axes:
        options = merged(options, dict(axis.values)[labels[axis.name]])
    for rule in study.rules:
        if not rule.skip and rule.matches(labels):
            options = merged(options, rule.options)
    return options


def _cell(study: Study, labels: Mapping[str, Label], options: Mapping[str, Any]) -> Cell:
    test, at = study.test, tested_at(study, options)
    tests = tuple(
        Wanted(float(sigma_d), test.draws, test.seed, test.batch_size, calibrated=test.calibrated)
        for sigma_d in at
    )
    return cell_of(options, tests, (Point(study.name, labels, at),))


def tested_at(study: Study, options: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the σ_d at which a study tests a network with these options."""
    test = study.test
    return (float(options.get(SIGMA_D, DEFAULT_SIGMA_D)),) if test.sigma_d == "matched" else test.sigma_d


def cell_of(
    options: Mapping[str, Any], tests: tuple[Wanted, ...] = (), points: tuple[Point, ...] = ()
) -> Cell:
    """Return the training that options make, with its tests.

    Raises:
        SteadyNetError: If the options cannot be used.
    """
    made = training_of(options)
    if made.tested is not None:
        tests = tuple(dataclasses.replace(wanted, device=made.tested) for wanted in tests)
        points = tuple(dataclasses.replace(point, device=made.tested) for point in points)
    return Cell(options, made, tests, points, _parent(options))


def _parent(options: Mapping[str, Any]) -> Cell | None:
    changes = options.get(INIT_FROM)
    if changes is None:
        return None
    return cell_of(start_of(options, changes))


def _depth(cell: Cell) -> int:
    return 0 if cell.parent is None else 1 + _depth(cell.parent)


def _plain_numbers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with 1 for 1.0: they are the same network."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in options.items()
    }


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
