"""A study as data: its axes, rules and tests; `specification` reads one from its file. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from steadynet.errors import SteadyNetError, check_integer, check_number, unknown
from steadynet.study.flat import Label
from steadynet.study.search import Search

SIGMA_D = "sigma_d"


@dataclass(frozen=True)
class Axis:
    """One direction of the grid: labels, each with the options that it sets."""

    name: str
    values: tuple[tuple[Label, Mapping[str, Any]], ...]

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels, in order."""
        return tuple(label for label, _ in self.values)


@dataclass(frozen=True)
class Rule:
    """For the cells whose labels match `when`: options that it sets, or that they are left out.

    Attributes:
        when: Labels by axis; a cell matches if each of these axes' labels is among them.
        options: What is set; later rules win.
        skip: Whether the cells are left out.
    """

    when: Mapping[str, tuple[Label, ...]]
    options: Mapping[str, Any]
    skip: bool = False

    def matches(self, labels: Mapping[str, Label]) -> bool:
        """Return whether a cell with these labels is meant."""
        return all(labels[axis] in wanted for axis, wanted in self.when.items())


@dataclass(frozen=True)
class Test:
    """How each trained network is tested.

    Args:
        sigma_d: "matched" tests at the training's device; or σ_d values, at each of which every network is tested.
        draws: Simulated chips at each σ_d.
        seed: Of the chips; all networks share them.
        batch_size: Images of one forward.
        calibrated: Whether each network's logits are divided by the temperature that validation images and chips ask for at that
            σ_d; see `steadynet.fit_temperature`. No accuracy changes by it.

    Raises:
        SteadyNetError: If a value is out of range.
    """

    sigma_d: tuple[float, ...] | Literal["matched"] = "matched"
    draws: int = 200
    seed: int = 0
    batch_size: int = 500
    calibrated: bool = False

    def __post_init__(self) -> None:
        if self.sigma_d != "matched":
            if not self.sigma_d:
                raise SteadyNetError("test.sigma_d needs at least one value, or 'matched'")
            for value in self.sigma_d:
                check_number("test.sigma_d", value, at_least=0)
            if list(self.sigma_d) != sorted(set(self.sigma_d)):
                raise SteadyNetError(f"test.sigma_d must grow, got {list(self.sigma_d)}")
        check_integer("test.draws", self.draws, at_least=1)
        check_integer("test.seed", self.seed, at_least=0)
        check_integer("test.batch_size", self.batch_size, at_least=1)
        if type(self.calibrated) is not bool:
            raise SteadyNetError(f"test.calibrated must be true or false, got {self.calibrated!r}")


@dataclass(frozen=True)
class Study:
    """A grid of trainings, how they are tested, and what is reported of them.

    Attributes:
        name: Names its files; that of the YAML file by default.
        preset: The preset that was chosen; "" without any.
        title: Heading of its report.
        question: What it asks.
        setting: Lines that a report shows on what the preset is and what it cannot be compared with.
        base: Options of every training.
        axes: The grid's directions.
        rules: What depends on several of them.
        test: How networks are tested.
        search: Options that are searched for on the validation split.
        report: Views, as written; see `study.report.views`.
    """

    name: str
    title: str
    question: str
    base: Mapping[str, Any]
    axes: tuple[Axis, ...]
    rules: tuple[Rule, ...] = ()
    test: Test = field(default_factory=Test)
    search: tuple[Search, ...] = ()
    report: tuple[Mapping[str, Any], ...] = ()
    preset: str = ""
    setting: tuple[str, ...] = ()

    def axis(self, name: str) -> Axis:
        """Return the axis of that name.

        Raises:
            SteadyNetError: If there is none; the nearest are named.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise unknown(f"axis of study {self.name!r}", name, [axis.name for axis in self.axes])
