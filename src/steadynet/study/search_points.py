"""From a study's searches to the points that each is for, and to the training that a trial is. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.study.cells import Cell, Point, cell_of, grid, options_of, point_key, tested_at, told
from steadynet.study.definition import Study
from steadynet.study.flat import OWN, Label, merged
from steadynet.study.search import Search, Value, options_from
from steadynet.study.wanted import Wanted


@dataclass(frozen=True)
class Sought:
    """One search: its trials share all options but those that are searched for.

    Attributes:
        study: The study's name.
        search: What is searched for.
        labels: Those that its points share: the labels of its axes `per`.
        points: The points that what it finds is for.
        options: Of its trials, without those that are searched for.
        tests: Of each trial, on validation images; the score is the mean over them.
    """

    study: str
    search: Search
    labels: Mapping[str, Label]
    points: tuple[Point, ...]
    options: Mapping[str, Any]
    tests: tuple[Wanted, ...]

    def cell(self, values: Mapping[str, Value], seed: int | None = None) -> Cell:
        """Return a training of a trial: the one with `seed`, the first of the search's by default.

        Raises:
            SteadyNetError: If the options cannot be used with these values.
        """
        own = {} if seed is None else {"seed": seed}
        return cell_of(merged({**self.options, **own}, options_from(values)), self.tests)

    def named(self) -> str:
        """Return what it is called."""
        return f"{self.study}: {', '.join(self.search.over)}" + (
            f" for {told(self.labels)}" if self.labels else ""
        )


def sought(study: Study) -> tuple[Sought, ...]:
    """Return a study's searches, one for each combination of labels that it asks for.

    Raises:
        SteadyNetError: If a search is for no point, its points differ in more than the seed, its seed is one that is
            reported, its values cannot be used, or two searches for one point look for the same option.
    """
    found: list[Sought] = []
    taken: dict[tuple[str, str], int] = {}
    for number, search in enumerate(study.search, 1):
        where = f"study {study.name}: search {number}"
        groups: dict[str, list[dict[str, Label]]] = {}
        for labels in grid(study):
            if search.matches(labels):
                groups.setdefault(point_key({axis: labels[axis] for axis in search.per}), []).append(labels)
                for name in search.over:
                    if taken.setdefault((point_key(labels), name), number) != number:
                        raise SteadyNetError(
                            f"{where}: {name} of {told(labels)} is what search "
                            f"{taken[point_key(labels), name]} looks for already"
                        )
        if not groups and not _left_out(study, search):
            raise SteadyNetError(f"{where} is for no point of the grid: see its when, and rules that skip")
        found += [_sought(study, search, points, where) for points in groups.values()]
    return tuple(found)


def _left_out(study: Study, search: Search) -> bool:
    """Return whether a search is for labels alone that the study's preset leaves out."""
    labels = {axis.name: axis.labels for axis in study.axes}
    return any(not set(wanted) & set(labels[axis]) for axis, wanted in search.when.items())


def _sought(study: Study, search: Search, group: list[dict[str, Label]], where: str) -> Sought:
    made = [_shared(study, search, labels, where) for labels in group]
    for labels, options in zip(group, made, strict=True):
        differing = sorted(
            name
            for name in {*options, *made[0]}
            if json.dumps(options.get(name), default=repr) != json.dumps(made[0].get(name), default=repr)
        )
        if differing:
            raise SteadyNetError(
                f"{where}: {told(group[0])} and {told(labels)} differ in {', '.join(differing)}, so one search does not do for "
                "both: name the axis in per, or give its trials one value in set"
            )
    options = made[0]
    test = study.test
    tests = tuple(
        Wanted(float(sigma_d), search.draws, test.seed, test.batch_size, "validation")
        for sigma_d in tested_at(study, options)
    )
    found = Sought(
        study.name,
        search,
        {axis: group[0][axis] for axis in search.per},
        tuple(Point(study.name, labels, tested_at(study, options_of(study, labels))) for labels in group),
        options,
        tests,
    )
    for values in search.corners():
        try:
            found.cell(values)
        except SteadyNetError as error:
            told_values = ", ".join(f"{name} {value}" for name, value in values.items())
            raise SteadyNetError(f"{where}, {told(group[0])}, {told_values}: {error}") from None
    return found


def _shared(study: Study, search: Search, labels: Mapping[str, Label], where: str) -> dict[str, Any]:
    """Return the options of a point's trials without those that are searched for."""
    given = options_of(study, labels)
    if given.get("seed", 0) in search.seeds:
        raise SteadyNetError(
            f"{where}: seed {given.get('seed', 0)} is that of {told(labels)}, which is reported: give its trials another"
        )
    options: dict[str, Any] = {**merged(given, search.options), "seed": search.seeds[0]}
    for name in search.over:
        option, _, part = name.partition(".")
        if part:
            own: dict[str, Any] = dict(options.get(OWN[option], {}))
            own.pop(part, None)
            options[OWN[option]] = own
        else:
            options.pop(option, None)
    return options
