"""A search as it is written in a study: which options, over which values, for which points, judged by what.

    search:
      - over: {beta: [1e-1, 1e-2, 1e-3, 1e-4]}       # a list is tried value by value
        when: {recipe: [OVF, IRS]}                    # for these points; all by default
        per: [recipe, sigma_d]                        # one search for each of these labels; all axes but seed by default
        set: {epochs: 4}                              # what else differs in the trials
        trials: 4                                     # the grid's size by default
        seed: 1000                                    # of the trials' trainings, or several; none that is reported
        draws: 20                                     # simulated chips, which see validation images
        score: accuracy                               # or kpp5, or nll
      - {over: {lr: {low: 1e-4, high: 1e-2, log: true}}, trials: 20}

Nothing here imports torch.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from steadynet.errors import SteadyNetError, check_choice, check_integer, check_number, unknown
from steadynet.randomness import stable_seed
from steadynet.study.flat import INIT_FROM, RUN_OPTIONS, Label, checked_options, option_types, value_of
from steadynet.study.reading import as_list, as_mapping, check_keys, picked

Score = Literal["accuracy", "kpp5", "nll"]
SCORES: tuple[Score, ...] = ("accuracy", "kpp5", "nll")
KEYS = ("over", "when", "per", "set", "trials", "seed", "draws", "score")
# Trials with other values of these would not see the same images, or be told apart from luck.
_NEVER = (
    *RUN_OPTIONS, INIT_FROM, "seed", "sigma_d", "data", "data_seed", "validation", "train_images", "test_images",
)  # fmt: skip

Value = str | int | float | bool


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: The least.
        high: The greatest.
        log: Whether they are drawn evenly over their logarithm.
        integer: Whether they are integers.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Search:
    """A search for options that are judged on validation images.

    Attributes:
        over: For each option the values that are tried, or their range.
        when: Labels by axis; a point is meant if each of these axes' labels is among them.
        per: Axes; there is a search of its own for each combination of their labels.
        options: What else differs in the trials.
        trials: How many trainings.
        seeds: Of the trials' trainings: a trial is a training with each, and its score their mean.
        draws: Simulated chips of each trial's test.
        score: What is best: the greatest mean accuracy or fifth percentile of accuracy over chips, or the least nll.
    """

    over: Mapping[str, tuple[Value, ...] | Range]
    when: Mapping[str, tuple[Label, ...]]
    per: tuple[str, ...]
    options: Mapping[str, Any]
    trials: int
    seeds: tuple[int, ...] = (1000,)
    draws: int = 20
    score: Score = "accuracy"

    @property
    def maximise(self) -> bool:
        """Whether a greater score is better."""
        return self.score != "nll"

    def matches(self, labels: Mapping[str, Label]) -> bool:
        """Return whether a point with these labels is meant."""
        return all(labels[axis] in wanted for axis, wanted in self.when.items())

    def grid(self) -> list[dict[str, Value]] | None:
        """Return the values of each trial where all are listed; None if one is drawn from a range.

        Fewer trials than there are combinations are drawn evenly from them by the search's first seed.
        """
        lists = [values for values in self.over.values() if not isinstance(values, Range)]
        if len(lists) < len(self.over):
            return None
        every = [dict(zip(self.over, values, strict=True)) for values in itertools.product(*lists)]
        if self.trials < len(every):
            drawn = random.Random(stable_seed("search", self.seeds[0])).sample(range(len(every)), self.trials)
            every = [every[index] for index in sorted(drawn)]
        return every

    def corners(self) -> list[dict[str, Value]]:
        """Return values that must be usable for all to be: a grid's, or those with each range's least and greatest."""
        lists = [
            (_whole(values, values.low), _whole(values, values.high)) if isinstance(values, Range) else values
            for values in self.over.values()
        ]
        return [dict(zip(self.over, values, strict=True)) for values in itertools.product(*lists)]


def searches_from(written: Any, axes: Mapping[str, Sequence[Label]]) -> tuple[Search, ...]:
    """Return the searches that a study's `search` describes.

    Args:
        written: A list of mappings, as YAML has it.
        axes: The labels of each of the study's axes.

    Raises:
        SteadyNetError: If a key, an option, an axis or a label is unknown (the nearest are named), or a value is none that it
            takes.
    """
    return tuple(
        _search(f"search {number}", as_mapping(f"search {number}", entry), axes)
        for number, entry in enumerate(as_list("search", written), 1)
    )


def options_from(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's values as options."""
    return checked_options("a search's values", values)


def _search(where: str, written: Mapping[str, Any], axes: Mapping[str, Sequence[Label]]) -> Search:
    check_keys(f"key of {where}", written, KEYS)
    over = {
        str(name).replace("-", "_"): _values(f"{where}: {name}", str(name), values)
        for name, values in as_mapping(f"{where}: over", written.get("over", {})).items()
    }
    if not over:
        raise SteadyNetError(f"{where} has nothing to search over: give over: {{option: [values]}}")
    when: dict[str, tuple[Label, ...]] = {}
    for axis, wanted in as_mapping(f"{where}: when", written.get("when", {})).items():
        if axis not in axes:
            raise unknown(f"axis in {where}", axis, axes)
        when[axis] = picked(f"{where}: {axis}", wanted, axes[axis])
    per = tuple(as_list(f"{where}: per", written.get("per", [axis for axis in axes if axis != "seed"])))
    for axis in per:
        check_choice(f"axis in {where}: per", axis, tuple(axes))
    options = checked_options(where, as_mapping(f"{where}: set", written.get("set", {})))
    if "seed" in options:
        raise SteadyNetError(f"{where}: the seed of its trials stands beside set: seed: {options['seed']}")
    size = _size(over)
    if size is None and "trials" not in written:
        raise SteadyNetError(f"{where} draws from a range: say how many trials, as in trials: 20")
    trials = written.get("trials", size)
    check_integer(f"{where}: trials", trials, at_least=1)
    if size is not None and trials > size:
        raise SteadyNetError(
            f"{where}: trials is {trials}, but its lists have {size} combinations: leave it out"
        )
    draws, score = written.get("draws", 20), written.get("score", "accuracy")
    seeds = _seeds(where, written.get("seed", 1000))
    check_integer(f"{where}: draws", draws, at_least=1)
    check_choice(f"score of {where}", score, SCORES)
    return Search(over, when, per, options, trials, seeds, draws, score)


def _seeds(where: str, written: Any) -> tuple[int, ...]:
    several = isinstance(written, list | tuple)
    seeds: tuple[int, ...] = tuple(cast("Sequence[int]", written)) if several else (written,)
    if not seeds:
        raise SteadyNetError(f"{where}: seed lists none: give one or several")
    for seed in seeds:
        check_integer(f"{where}: seed", seed, at_least=0)
    if len(set(seeds)) < len(seeds):
        raise SteadyNetError(f"{where}: seed has one twice, which would be one training: give others")
    return seeds


def _values(where: str, name: str, written: Any) -> tuple[Value, ...] | Range:
    if name.replace("-", "_") in _NEVER:
        raise SteadyNetError(f"{where} cannot be searched for: trials must share it to be compared")
    if isinstance(written, Mapping):
        return _range(where, name, cast("Mapping[str, Any]", written))
    if not isinstance(written, list | tuple) or not written:
        raise SteadyNetError(
            f"{where} takes a list of values or a range {{low: …, high: …, log: true}}, got {written!r}"
        )
    values = [_value(where, name, value) for value in cast("Sequence[Any]", written)]
    twice = [str(value) for value in dict.fromkeys(values) if values.count(value) > 1]
    if twice:
        raise SteadyNetError(f"{where} has {', '.join(twice)} twice: a trial would be done twice")
    return tuple(values)


def _range(where: str, name: str, written: Mapping[str, Any]) -> Range:
    check_keys(f"key of {where}", written, ("low", "high", "log", "int"))
    for key in ("low", "high"):
        if key not in written:
            raise SteadyNetError(f"{where}: a range needs low and high")
    for key in ("log", "int"):
        if not isinstance(written.get(key, False), bool):
            raise SteadyNetError(f"{where}: {key} takes true or false, got {written[key]!r}")
    low, high = (_value(where, name, written[key]) for key in ("low", "high"))
    log = written.get("log", False)
    check_number(f"{where}: low", cast("float", low), above=0 if log else float("-inf"))
    check_number(f"{where}: high", cast("float", high), above=cast("float", low))
    integer = written.get("int", _takes_integers(name))
    if _takes_integers(name) and not integer:
        raise SteadyNetError(f"{where} is an integer: leave out int: false")
    if integer and not (float(low).is_integer() and float(high).is_integer()):
        raise SteadyNetError(f"{where}: a range of integers ends with integers, got {low} and {high}")
    return Range(cast("float", low), cast("float", high), log, integer)


def _value(where: str, name: str, written: Any) -> Value:
    """Return one value, checked as the option's."""
    made = checked_options(where, {name: written})
    value = value_of(made, name)
    if not isinstance(value, str | int | float):
        raise SteadyNetError(f"{where}: a search takes texts, numbers, true and false, got {written!r}")
    return value


def _takes_integers(name: str) -> bool:
    from steadynet.options.types import members

    kind = option_types().get(name.replace("-", "_"))
    return kind is not None and int in members(kind) and float not in members(kind)


def _size(over: Mapping[str, tuple[Value, ...] | Range]) -> int | None:
    size = 1
    for values in over.values():
        if isinstance(values, Range):
            return None
        size *= len(values)
    return size


def _whole(of: Range, value: float) -> float:
    # What is drawn between whole ends is none.
    return int(value) if of.integer else float(value)
