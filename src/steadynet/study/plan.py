"""What is to be done: the cells of one or several studies, and where they lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from steadynet.errors import SteadyNetError, check_choice, unknown
from steadynet.options.groups import DataOptions
from steadynet.study import images
from steadynet.study.cells import Cell, Point, all_cells, cells_of, grid, joined, point_key
from steadynet.study.definition import Study
from steadynet.study.flat import INIT_FROM, merged
from steadynet.study.search import options_from
from steadynet.study.search_points import sought
from steadynet.study.search_store import Planned, planned
from steadynet.study.store import BACKBONE, TESTS, Images, Place, other_versions, place

OtherCode = Literal["refuse", "keep", "rerun"]
OTHER_CODE: tuple[OtherCode, ...] = ("refuse", "keep", "rerun")
# How many cells of another code version a refusal names the modules of.
_SHOWN = 4


@dataclass(frozen=True)
class Plan:
    """The cells of studies and where they lie.

    Attributes:
        studies: The studies.
        out: Folder of all studies.
        places: Their cells, each after the one that it starts from.
        searches: What is searched for, whether it is found or not.
        waiting: Points that no cell stands for yet, each with the search that it waits for.
        words: What a command needs beside a study's file, to find data and results where this plan does.
        folders: Where each cell lies, by its key: cells whose images are the same under several names lie in one folder.
    """

    studies: tuple[Study, ...]
    out: Path
    places: tuple[Place, ...]
    searches: tuple[Planned, ...] = ()
    waiting: tuple[tuple[Point, Planned], ...] = ()
    words: str = ""
    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])

    def start(self, place: Place) -> Path | None:
        """Return the file of the weights that a cell starts from."""
        parent = place.cell.parent
        if parent is None:
            return None
        return self._parent(parent).folder / BACKBONE

    def left(self, chosen: Sequence[Place]) -> tuple[Place, ...]:
        """Return those of the places in which something is to be done, in the plan's order.

        What is not finished, and the trainings whose weights it starts from, where these are not here.
        """
        meant, starts = {found.folder for found in chosen}, set[Path]()
        left: list[Place] = []
        for found in reversed(self.places):  # Starts come before what starts from them.
            weights = found.has_weights()
            needed = found.folder in starts and found.trained() and not weights
            if needed or (found.folder in meant and not found.finished()):
                left.append(found)
                if found.cell.parent is not None and not weights:
                    starts.add(self._parent(found.cell.parent).folder)
        return tuple(reversed(left))

    def start_is_old(self, place: Place) -> bool:
        """Return whether those weights are of another version of the code, which are kept."""
        parent = place.cell.parent
        return parent is not None and bool(self._parent(parent).old)

    def _parent(self, parent: Cell) -> Place:
        folder = self.folders[parent.key()]
        return next(place for place in self.places if place.folder == folder)

    def of(self, study: Study) -> tuple[tuple[Place, Point], ...]:
        """Return a study's points with their cells' places, in the order of its grid, whichever studies stand beside it."""
        order = {point_key(labels): number for number, labels in enumerate(grid(study))}
        pairs = (
            (found, point)
            for found in self.places
            for point in found.cell.points
            if point.study == study.name
        )
        return tuple(sorted(pairs, key=lambda pair: order[point_key(pair[1].labels)]))

    def with_starts(self, chosen: Sequence[Place]) -> tuple[Place, ...]:
        """Return some of the places and those that they start from, in the plan's order."""
        folders: set[Path] = set()
        for found in chosen:
            cell: Cell | None = found.cell
            while cell is not None:
                folders.add(self.folders[cell.key()])
                cell = cell.parent
        return tuple(found for found in self.places if found.folder in folders)


def plan(
    studies: Sequence[Study],
    out: Path,
    *,
    other_code: OtherCode = "refuse",
    run_options: Mapping[str, Any] | None = None,
    data_as: Mapping[str, str] | None = None,
    found: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> Plan:
    """Return the plan of some studies.

    Args:
        studies: Studies of different names.
        out: Folder of all studies.
        other_code: What becomes of cells that another version of the code made: refuse, keep them, or run them again.
        run_options: Options of all trainings that do not change numbers: where data lie, what computes.
        data_as: For the name of a data set, another that stands for it, as a folder that holds a part of it.
        found: What stands for searches' results that are not there: by study, by point, options.

    Raises:
        SteadyNetError: If two studies have one name, a cell cannot be used, no images at all can be had, or cells or choices of
            another code version are there and `other_code` is "refuse".
    """
    check_choice("other_code", other_code, OTHER_CODE)
    out = out.expanduser().absolute()  # Workers of a cluster run in folders of their own.
    names = [study.name for study in studies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SteadyNetError(f"study {', '.join(twice)} is named twice: give each another name")
    used: set[str] = set()
    chosen = [
        _replaced(dataclasses.replace(study, base={**study.base, **(run_options or {})}), data_as or {}, used)
        for study in studies
    ]
    for name in data_as or {}:
        if name not in used:
            raise unknown("data set of these studies in data_as", name, used)
    keep = other_code == "keep"
    sums: dict[DataOptions, Images] = {}

    def known(cell: Cell) -> Images:
        data = cell.training.data
        if data not in sums:
            sums[data] = images.known(data, out)
        return sums[data]

    searches = tuple(
        planned(one, out, known(one.cell(one.search.corners()[0])), keep_old=keep)
        for study in chosen
        for one in sought(study)
    )
    if other_code == "refuse":
        _refuse_old_choices(searches)
    options, waiting = _found(searches, found or {})
    without = {(point.study, point_key(point.labels)) for point, _ in waiting}
    cells = all_cells(
        [
            cells_of(study, options.get(study.name), {key for name, key in without if name == study.name})
            for study in chosen
        ]
    )
    places = tuple(place(cell, out, known(cell), keep) for cell in cells)
    if places and all(found.images.why for found in places):
        raise SteadyNetError(places[0].images.why)
    if other_code == "refuse":
        _refuse_old(places, out)
    merged_places = _merged(places)
    by_identity = {_identity(found): found.folder for found in merged_places}
    folders = {found.cell.key(): by_identity[_identity(found)] for found in places}
    return Plan(tuple(chosen), out, merged_places, searches, waiting, folders=folders)


def _found(
    searches: Sequence[Planned], given: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> tuple[dict[str, dict[str, dict[str, Any]]], tuple[tuple[Point, Planned], ...]]:
    """Return what searches found, by study and point, and the points that wait for one, once each."""
    found: dict[str, dict[str, dict[str, Any]]] = {
        study: {point: dict(options) for point, options in points.items()} for study, points in given.items()
    }
    waiting: dict[tuple[str, str], tuple[Point, Planned]] = {}
    for search in searches:
        values = search.chosen()
        for point in search.sought.points:
            key = point_key(point.labels)
            own = found.setdefault(point.study, {})
            if values is not None:
                own[key] = merged(options_from(values), own.get(key, {}))
            elif key not in given.get(point.study, {}):
                waiting.setdefault((point.study, key), (point, search))
    return found, tuple(waiting.values())


def _replaced(study: Study, data_as: Mapping[str, str], used: set[str]) -> Study:
    """Return the study with other data sets for some; the names of its own go into `used`."""

    def changed(written: Mapping[str, Any]) -> dict[str, Any]:
        options = dict(written)
        if INIT_FROM in options:
            options[INIT_FROM] = changed(options[INIT_FROM])
        data = options.get("data")
        if data is None:
            return options
        used.add(str(data))
        kind, _, folder = str(data_as.get(data, data)).partition(":")
        # Absolute: the same words in another folder would name other images.
        return {**options, "data": f"{kind}:{Path(folder).expanduser().absolute()}" if folder else kind}

    axes = tuple(
        dataclasses.replace(axis, values=tuple((label, changed(options)) for label, options in axis.values))
        for axis in study.axes
    )
    rules = tuple(dataclasses.replace(rule, options=changed(rule.options)) for rule in study.rules)
    search = tuple(dataclasses.replace(one, options=changed(one.options)) for one in study.search)
    base = {"data": DataOptions.data, **study.base} if DataOptions.data in data_as else study.base
    return dataclasses.replace(study, base=changed(base), axes=axes, rules=rules, search=search)


def _merged(places: Sequence[Place]) -> tuple[Place, ...]:
    """Join cells of one identity: the same training, whatever its images are called, or for other test images."""
    made: dict[str, Place] = {}
    for found in places:
        own = made.get(_identity(found))
        if own is None:
            made[_identity(found)] = found
        elif own.images == found.images:
            tests = {wanted: own.folder / TESTS / path.name for wanted, path in found.tests.items()}
            made[_identity(found)] = dataclasses.replace(
                own, cell=joined(own.cell, found.cell), tests={**tests, **own.tests}
            )
        else:
            raise SteadyNetError(
                f"cells of {own.cell.label()} are trained alike but tested on different images: give them one test_images"
            )
    return tuple(made.values())


def _identity(place: Place) -> str:
    """Return what a folder's name ends with; what stands before it is for reading alone."""
    return place.folder.name.rpartition("-")[2]


def _refuse_old_choices(searches: Sequence[Planned]) -> None:
    for search in searches:
        modules = search.changed()
        if modules:
            more = f" and {len(modules) - _SHOWN} more" if len(modules) > _SHOWN else ""
            raise SteadyNetError(
                f"what {search.path} chose is of another code version ({', '.join(modules[:_SHOWN])}{more} changed): "
                "--other-code keep takes it as it is, --other-code rerun searches again"
            )


def _refuse_old(places: Sequence[Place], out: Path) -> None:
    old: list[tuple[Place, list[str]]] = []
    for found in places:
        if not found.folder.exists():
            others = other_versions(found.cell, out, found.images)
            if others:
                old.append((found, others[-1][1]))
    if old:
        modules = sorted({name for _, names in old for name in names})
        more = f" and {len(modules) - _SHOWN} more" if len(modules) > _SHOWN else ""
        raise SteadyNetError(
            f"{len(old)} of {len(places)} cells in {out} are of another code version ({', '.join(modules[:_SHOWN])}{more} "
            "changed): --other-code keep takes them as they are, --other-code rerun trains them again"
        )
