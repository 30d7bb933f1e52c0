"""What all views share: how they are written, checked and asked."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

from steadynet.errors import SteadyNetError, unknown
from steadynet.study import published as paper
from steadynet.study.report.content import Block
from steadynet.study.report.views.groups import FACTS, Label, Row
from steadynet.study.report.views.metrics import METRICS, Metric

# Keys of views whose values name an axis.
_AXES = ("x", "series", "panels", "rows", "columns")


@dataclass(frozen=True, kw_only=True)
class View(ABC):
    """One view: charts or tables, made from rows of results.

    Args:
        title: Heading; one that says what is shown by default.
        where: Labels by axis: only rows that have one of them on each.

    Raises:
        SteadyNetError: If a value is none that it takes.
    """

    kind: ClassVar[str]

    title: str = ""
    where: Mapping[str, tuple[Label, ...]] = field(default_factory=dict[str, tuple[Label, ...]])

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name == "where":
                self._check_where()
            elif f.name == "claims":
                continue  # checked where they are read
            elif value is not None and not isinstance(value, str):
                raise SteadyNetError(f"view {self.kind}: {f.name} must be a text, got {value!r}")
        metric = getattr(self, "metric", None)
        if metric is not None and metric not in METRICS:
            raise unknown(f"metric of view {self.kind}", metric, METRICS)
        name = getattr(self, "published", None)
        if name is not None and name not in paper.SOURCES:
            raise unknown(f"published numbers of view {self.kind}", name, paper.SOURCES)
        named = [value for key in _AXES if (value := getattr(self, key, None)) is not None]
        twice = sorted({axis for axis in named if named.count(axis) > 1})
        if twice:
            raise SteadyNetError(f"view {self.kind} names axis {', '.join(twice)} twice: once is enough")

    @classmethod
    def made_from(cls, written: Mapping[str, Any]) -> Self:
        """Return the view with these keys.

        Raises:
            SteadyNetError: If a key is unknown or a value is none that it takes.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        for key in written:
            if key not in known:
                raise unknown(f"key of view {cls.kind}", key, ("view", *known))
        for f in dataclasses.fields(cls):
            needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
            if needed and f.name not in written:
                raise SteadyNetError(f"view {cls.kind} needs {f.name}")
        values = dict(written)
        if isinstance(values.get("where"), Mapping):
            values["where"] = {
                axis: tuple(cast("Sequence[Label]", labels))
                if isinstance(labels, list | tuple)
                else (labels,)
                for axis, labels in cast("Mapping[str, Any]", values["where"]).items()
            }
        return cls(**values)

    @property
    def axes_used(self) -> tuple[str, ...]:
        """The axes that it names and that a study must have; facts of every row, such as sigma_d, are none of them."""
        named = [getattr(self, key, None) for key in _AXES]
        return tuple(
            dict.fromkeys(
                str(axis) for axis in (*named, *self.where) if axis is not None and axis not in FACTS
            )
        )

    @abstractmethod
    def blocks(
        self,
        rows: Sequence[Row],
        *,
        key_prefix: str,
        published_allowed: bool = False,
        expected: Sequence[Mapping[str, Label]] | None = None,
    ) -> tuple[Block, ...]:
        """Return the charts and tables.

        Args:
            rows: A row for each finished training and σ_d of its test.
            key_prefix: What the keys of blocks begin with.
            published_allowed: Whether the rows come from the paper's networks and whole data sets, so that its numbers may
                stand beside them.
            expected: The labels that rows were to have, and sigma_d, for those that are not there; None if it is not known.

        Raises:
            SteadyNetError: If an axis or label is unknown, or one value would mix trainings that differ in more than seed.
        """

    @property
    def shown_metric(self) -> Metric:
        """What it shows."""
        return METRICS[getattr(self, "metric", "accuracy")]

    def _check_where(self) -> None:
        if not isinstance(self.where, Mapping):
            raise SteadyNetError(f"view {self.kind}: where must hold axes with labels, got {self.where!r}")
        for axis, labels in self.where.items():
            bad = [
                label
                for label in labels
                if isinstance(label, bool) or not isinstance(label, str | int | float)
            ]
            if bad or not labels:
                raise SteadyNetError(
                    f"view {self.kind}: where: {axis} must be a label or a list of labels, got {bad or list(labels)}"
                )
