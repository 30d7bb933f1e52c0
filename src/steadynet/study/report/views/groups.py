"""Rows gathered by the labels of some axes: the trainings that one value of a chart or table stands for."""

from __future__ import annotations

import dataclasses
import difflib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from steadynet.errors import SteadyNetError, unknown
from steadynet.options.groups import DataOptions, ModelOptions, RecipeOptions, TrainingOptions
from steadynet.report.rows import CONVERGED_WITHIN, REFERENCE, Row, order
from steadynet.study.flat import INIT_FROM, RUN_OPTIONS, Label

__all__ = ["FACTS", "Group", "Key", "Label", "Row", "Selection", "label_of", "label_text", "select", "shown"]

# What every row has, whether or not the study has an axis of that name; sigma_d is that of the test.
FACTS = ("recipe", "seed", "sigma_d", "train_sigma_d")
Key = tuple[Label, ...]


def _defaults(*groups: type) -> dict[str, Any]:
    """Return the options of some groups with their defaults, but for those on which no accuracy depends."""
    beside = (*RUN_OPTIONS, "progress", "loggers", "test_images", "val_draws")
    return {
        f.name: getattr(made, f.name)
        for made in (group() for group in groups)
        for f in fields(made)
        if f.name not in beside
    }


# Options that decide how far a training gets, its recipe and device left out: what it learns, and by which steps.
_PROBLEM = _defaults(DataOptions, ModelOptions)
_SETTING = _defaults(DataOptions, ModelOptions, TrainingOptions)
_RECIPE = tuple(f.name for f in fields(RecipeOptions) if f.name not in ("recipe", *RUN_OPTIONS))


@dataclass(frozen=True)
class Group:
    """The trainings that differ in their seeds alone, tested at one σ_d.

    Attributes:
        rows: A row for each seed that is finished; none if none is.
        expected: How many there are to be.
        converged: False if the clean accuracy lies more than 2 points under that of training without noise, with the same
            data, network, number of steps and seeds; None if there is no such training to hold it against. Where there are
            several, it is the one with this one's learning rate, optimizer and so on, or else the best.
    """

    rows: tuple[Row, ...]
    expected: int
    converged: bool | None

    @property
    def detail(self) -> str:
        """What is told beside its value: its trainings, and the command that gives it again."""
        seeds = [str(row["seed"]) for row in self.rows]
        draws = "/".join(str(n) for n in order(row["draws"] for row in self.rows))
        trained = (
            f"{len(seeds)} trainings (seeds {', '.join(seeds)})" if len(seeds) > 1 else f"seed {seeds[0]}"
        )
        chips = f"{draws} simulated chips" + (" each" if len(seeds) > 1 else "")
        missing = f"; {self.expected - len(seeds)} more not finished" if self.expected > len(seeds) else ""
        return f"{trained}, {chips}{missing}: {joined_commands(str(row['command']) for row in self.rows)}"


@dataclass(frozen=True)
class Selection:
    """The rows that a view looks at.

    Attributes:
        rows: Those that it shows.
        every: All rows of the study, for what they are held against.
        expected: The labels of those that it would show if all were finished.
        whole: The labels of all of the study.
    """

    rows: tuple[Row, ...]
    every: tuple[Row, ...]
    expected: tuple[Mapping[str, Label], ...]
    whole: tuple[Mapping[str, Label], ...] = ()

    def labels(self, axis: str | None) -> list[Label | None]:
        """Return the labels that an axis has here, in the study's order, numbers sorted; [None] for no axis."""
        if axis is None:
            return [None]
        found = order(
            [entry[axis] for entry in self.expected if axis in entry]
            + [label_of(row, axis) for row in self.rows]
        )
        return sorted(found) if all(isinstance(label, int | float) for label in found) else found

    def names(self, axis: str) -> tuple[str, ...]:
        """Return all labels that an axis has in the study, shown or not, as texts."""
        labels = [entry[axis] for entry in self.whole if axis in entry]
        return tuple(order(str(label) for label in [*labels, *(label_of(row, axis) for row in self.every)]))

    def groups(self, axes: Sequence[str], where: str) -> dict[Key, Group]:
        """Return the groups by the labels of some axes, those without a finished row too.

        Args:
            axes: Axes that tell groups apart.
            where: What a refusal calls the view.

        Raises:
            SteadyNetError: If rows of one group differ in another axis than the seed.
        """
        gathered: dict[Key, list[Row]] = {}
        counts: dict[Key, int] = {}
        for entry in self.expected:
            if all(axis in entry for axis in axes):
                key = tuple(entry[axis] for axis in axes)
                counts[key] = counts.get(key, 0) + 1
                gathered.setdefault(key, [])
        for row in self.rows:
            gathered.setdefault(tuple(label_of(row, axis) for axis in axes), []).append(row)
        judge = Judge(self.every)
        made: dict[Key, Group] = {}
        for key, members in gathered.items():
            _check_alike(members, axes, where)
            expected = max(counts.get(key, 0), len(members))
            made[key] = Group(tuple(members), expected, judge.converged(members))
        return made


def select(
    rows: Sequence[Row],
    where: Mapping[str, tuple[Label, ...]],
    expected: Sequence[Mapping[str, Label]] | None,
) -> Selection:
    """Return the rows that a view's `where` leaves.

    Raises:
        SteadyNetError: If an axis or label is unknown.
    """
    wanted = list(expected or ())
    for axis, labels in where.items():
        known = order([e[axis] for e in wanted if axis in e] + [label_of(row, axis) for row in rows])
        for label in labels:
            if known and label not in known:
                texts = [str(one) for one in known]
                near = difflib.get_close_matches(str(label), texts, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}? " if near else ""
                raise SteadyNetError(f"where: {axis} has no label {label!r}: {hint}known: {', '.join(texts)}")
    left = [
        entry
        for entry in wanted
        if all(axis not in entry or entry[axis] in labels for axis, labels in where.items())
    ]
    return dataclasses.replace(shown(rows, where, left), whole=tuple(wanted))


def shown(
    rows: Sequence[Row],
    where: Mapping[str, tuple[Label, ...]],
    expected: Sequence[Mapping[str, Label]] = (),
) -> Selection:
    """Return the rows that a view's `where`, which was checked, leaves."""
    kept = [row for row in rows if all(label_of(row, axis) in labels for axis, labels in where.items())]
    return Selection(tuple(kept), tuple(rows), tuple(expected))


def label_of(row: Row, axis: str) -> Label:
    """Return a row's label on an axis; of σ_d it is that of the test.

    Raises:
        SteadyNetError: If there is no such axis.
    """
    if axis == "sigma_d":
        return row["sigma_d"]
    axes: Mapping[str, Label] = row["axes"]
    if axis in axes:
        return axes[axis]
    if axis in FACTS:
        value = row[axis]
        return "none" if value is None else value
    raise unknown("axis", axis, order([*axes, *FACTS]))


def label_text(axis: str, label: Label) -> str:
    """Return a label in words: a number with its axis, a name alone."""
    return f"{axis} {label:g}" if isinstance(label, int | float) else label


def joined_commands(commands: Iterable[str]) -> str:
    """Return one command for several that differ in the labels of some axes: seed=0 and seed=1 become 'seed=0|1'."""
    split = [shlex.split(command) for command in order(commands)]
    if len(split) == 1 or len({len(words) for words in split}) > 1:
        return "; ".join(shlex.join(words) for words in split)
    made: list[str] = []
    for words in zip(*split, strict=True):
        distinct = order(words)
        if len(distinct) == 1:
            made.append(words[0])
            continue
        axes = {word.partition("=")[0] for word in distinct}
        if len(axes) > 1 or not all("=" in word for word in distinct):
            return "; ".join(shlex.join(words) for words in split)
        made.append(f"{axes.pop()}=" + "|".join(word.partition("=")[2] for word in distinct))
    return shlex.join(made)


class Judge:
    """Tells whether trainings are converged: whether they reach what training without noise reaches in as many steps."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._best: dict[tuple[str, int], float] = {}
        for row in rows:
            clean = row.get("clean_accuracy")
            if _is_reference(row) and clean is not None:
                for key in _places(row):
                    self._best[key] = max(self._best.get(key, 0.0), float(clean))

    def converged(self, rows: Sequence[Row]) -> bool | None:
        """Return whether the mean clean accuracy of rows reaches the reference's, with the same seeds; None without one."""
        if not rows:
            return None
        if all(_is_reference(row) for row in rows):
            return True
        pairs = [
            (float(row["clean_accuracy"]), best)
            for row in rows
            if row.get("clean_accuracy") is not None
            and (best := next((self._best[key] for key in _places(row) if key in self._best), None))
            is not None
        ]
        if not pairs:
            return None
        short = sum(best - clean for clean, best in pairs) / len(pairs)
        return short <= CONVERGED_WITHIN + 1e-9


def _is_reference(row: Row) -> bool:
    """Return whether a row is of plain training without noise: another temperature, say, makes it one to be judged."""
    options: Mapping[str, Any] = row.get("options", {})
    plain = all(options.get(name) is None for name in _RECIPE)
    return plain and options.get("recipe", row["recipe"]) == REFERENCE


def _places(row: Row) -> list[tuple[str, int]]:
    """Return what a row shares with the reference that it is held against, the closest one first."""
    options: Mapping[str, Any] = row.get("options", {})
    made: list[tuple[str, int]] = []
    for defaults in (_SETTING, _PROBLEM):
        # An option that is written out with its default is the same as one that is left out.
        own = {
            name: options[name] for name in defaults if name in options and options[name] != defaults[name]
        }
        told = [row.get("steps"), own, options.get(INIT_FROM)]
        made.append((json.dumps(told, sort_keys=True, default=str), int(row["seed"])))
    return made


def _check_alike(rows: Sequence[Row], axes: Sequence[str], where: str) -> None:
    """Raise if rows of one group differ in an axis that is not among those that tell groups apart."""
    others = [
        axis for axis in order(axis for row in rows for axis in row["axes"]) if axis not in (*axes, "seed")
    ]
    found: list[tuple[str, list[Any]]] = [
        (axis, order(row["axes"].get(axis) for row in rows)) for axis in others
    ]
    if "sigma_d" not in axes:
        found.append(("sigma_d", order(row["sigma_d"] for row in rows)))
    for axis, labels in found:
        if len(labels) > 1:
            raise SteadyNetError(
                f"view {where} mixes {axis} {labels[0]} and {labels[1]} in one value: "
                f"name {axis} in the view, or choose one by where"
            )
    seeds = [row["seed"] for row in rows]
    if len(set(seeds)) < len(seeds):
        raise SteadyNetError(f"view {where}: results of {rows[0]['axes']} hold a seed twice: {seeds}")
