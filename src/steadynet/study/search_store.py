"""What a search left: its trials so far, and the choice, each in a file that merges by copying.

    searches/<key>.trials.json   while it goes on: its trials so far
    searches/<key>.json          once all are done: what was chosen, and every trial's values, score and cell

The key is a hash of all that decides which trials there are and how they are judged: options, values, chips, images. A choice
notes the code that it comes from besides. Nothing here imports torch or Optuna.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.study.cells import written
from steadynet.study.code_version import Code, changed, testing_code
from steadynet.study.search import Value
from steadynet.study.search_points import Sought
from steadynet.study.store import Images, read_json

FOLDER = "searches"


@dataclass(frozen=True)
class Trial:
    """One trial that ended.

    Attributes:
        values: What was tried.
        score: What its network came to on validation images, the mean over the search's seeds; None if it failed.
        cell: The name of its cell's folder; of several seeds those of all, with a space between.
        why: Why it failed, in one line.
    """

    values: Mapping[str, Value]
    score: float | None
    cell: str
    why: str = ""


@dataclass(frozen=True)
class Planned:
    """A search and where it lies.

    Attributes:
        sought: The search.
        out: Folder of all studies.
        images: The images of its trials.
        code: The modules that its scores come from.
        keep_old: Whether what another version of the code chose or trained is taken.
    """

    sought: Sought
    out: Path
    images: Images
    code: Code
    keep_old: bool = False

    @cached_property
    def key(self) -> str:
        """Its identity: 12 hexadecimal digits."""
        search = self.sought.search
        described: dict[str, Any] = {
            "config": self.sought.cell(search.corners()[0]).config(),
            "over": {
                name: dataclasses.asdict(values)
                if dataclasses.is_dataclass(values)
                else list(cast("Any", values))
                for name, values in search.over.items()
            },
            "trials": search.trials,
            "score": search.score,
            "tests": [wanted.plain() for wanted in self.sought.tests],
            "images": self.images.training,
        }
        if len(search.seeds) > 1:
            described["seeds"] = list(search.seeds)
        text = json.dumps(described, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def version(self) -> str:
        """The key with the code's: what another version of the code tried does not count."""
        text = json.dumps(dict(self.code), sort_keys=True)
        return f"{self.key}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def path(self) -> Path:
        """The file of its choice."""
        return self.out / FOLDER / f"{self.key}.json"

    @property
    def trials_path(self) -> Path:
        """The file of its trials, as long as nothing is chosen."""
        return self.out / FOLDER / f"{self.key}.trials.json"

    def changed(self) -> list[str]:
        """Return the modules that have changed since the choice that lies here was made; none without one."""
        if not self.path.is_file():
            return []
        return changed(read_json(self.path, ("code",))["code"], self.code)

    def chosen(self) -> dict[str, Value] | None:
        """Return what was chosen; None as long as nothing is.

        Raises:
            SteadyNetError: If the file cannot be read.
        """
        if not self.path.is_file() or (not self.keep_old and self.changed()):
            return None
        held = read_json(self.path, ("chosen",))["chosen"]
        if not isinstance(held, dict) or set(cast("dict[str, Any]", held)) != set(self.sought.search.over):
            raise SteadyNetError(f"{self.path} is damaged: delete it, and run the study again")
        return cast("dict[str, Value]", held)

    def trials(self) -> tuple[Trial, ...]:
        """Return the trials that ended.

        Raises:
            SteadyNetError: If their file cannot be read.
        """
        path = self.path if self.chosen() is not None else self.trials_path
        if not path.is_file():
            return ()
        held = read_json(path, ("trials", "code"))
        if not self.keep_old and changed(held["code"], self.code):
            return ()
        try:
            return tuple(Trial(**trial) for trial in held["trials"])
        except TypeError as error:
            raise SteadyNetError(f"{path} is damaged: delete it, and run the study again") from error

    def failure(self) -> str:
        """Return why nothing can be chosen, in one line: no trial came to an end; "" otherwise."""
        trials = self.trials()
        if len(trials) < self.sought.search.trials or any(trial.score is not None for trial in trials):
            return ""
        return f"none of the {len(trials)} trials of its search finished; the first: {trials[0].why} (cell {trials[0].cell})"

    def write(self, trials: Sequence[Trial]) -> None:
        """Write the trials that ended; once they are all, what is chosen.

        Raises:
            SteadyNetError: If it cannot be written.
        """
        search = self.sought.search
        described: dict[str, Any] = {
            "study": self.sought.study,
            "labels": dict(self.sought.labels),
            "score": search.score,
            "draws": search.draws,
            "seeds": list(search.seeds),
            "trials_wanted": search.trials,
            "trials": [dataclasses.asdict(trial) for trial in trials],
            "code": dict(self.code),
        }
        won = best(trials, maximise=search.maximise)
        if len(trials) < search.trials or won is None:
            write_json_atomically(self.trials_path, described)
            return
        write_json_atomically(self.path, {**described, "chosen": dict(won.values), "best": won.score})
        self.trials_path.unlink(missing_ok=True)

    def told(self) -> str:
        """Return in words what is known of it: how many trials, the best so far or what was chosen."""
        search, trials = self.sought.search, self.trials()
        failed = sum(trial.score is None for trial in trials)
        text = f"{len(trials)} of {search.trials} trials" + (f", {failed} failed" if failed else "")
        won = best(trials, maximise=search.maximise)
        if won is None:
            return text
        word = "chosen" if self.chosen() is not None else "best so far"
        ties = _ties(trials, won)
        return f"{text}; {word} {told_values(won.values)} ({search.score} {won.score:.4f} on validation images{ties})"


def planned(sought: Sought, out: Path, images: Images, *, keep_old: bool) -> Planned:
    """Return where a search lies.

    Args:
        sought: The search.
        out: Folder of all studies.
        images: The images of its trials.
        keep_old: Whether what another version of the code made is taken.
    """
    code: dict[str, str] = {}
    for values in sought.search.corners():
        cell = sought.cell(values)
        code |= {**cell.code(), **testing_code(cell.training.model.model, calibrated=False)}
    return Planned(sought, out, images, code, keep_old)


def best(trials: Sequence[Trial], *, maximise: bool) -> Trial | None:
    """Return the trial with the best score, the first of equals; None if none has one."""
    scored = [trial for trial in trials if trial.score is not None and math.isfinite(trial.score)]
    if not scored:
        return None
    sign = 1.0 if maximise else -1.0
    return max(scored, key=lambda trial: sign * cast("float", trial.score))


def told_values(values: Mapping[str, Value]) -> str:
    """Return values in words: beta 0.01, lr 0.001."""
    return ", ".join(
        f"{name} {f'{value:.4g}' if isinstance(value, float) else written(value)}"
        for name, value in values.items()
    )


def told_searches(searches: Sequence[Planned], study: str) -> list[str]:
    """Return a line for each search of a study that has chosen, for its report."""
    lines: list[str] = []
    for search in searches:
        if search.sought.study != study or search.chosen() is None:
            continue
        trials, wanted = search.trials(), search.sought.search
        won = best(trials, maximise=wanted.maximise)
        failed = sum(trial.score is None for trial in trials)
        some = f", of which {failed} failed" if failed else ""
        for_ = ", ".join(f"{axis} {written(label)}" for axis, label in search.sought.labels.items())
        lines.append(
            f"{told_values(cast('Any', search.chosen()))} found by search on validation images"
            f"{f' for {for_}' if for_ else ''} ({len(trials)} trials{some}, {_seeds(wanted.seeds)}, {wanted.score} over "
            f"{wanted.draws} simulated chips{_ties(trials, won)})."
        )
    return lines


def _seeds(seeds: Sequence[int]) -> str:
    named = ", ".join(str(seed) for seed in seeds)
    return f"the mean of trainings with seeds {named}" if len(seeds) > 1 else f"training seed {named}"


def _ties(trials: Sequence[Trial], won: Trial | None) -> str:
    """Return in words that others are as good as the best: validation images told them not apart."""
    equal = sum(won is not None and trial.score == won.score for trial in trials)
    return f", the first of {equal} equals" if equal > 1 else ""
