"""Studies with a search, what stands for their trainings, and processes that share its trials."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadynet.study import images
from steadynet.study.plan import plan
from steadynet.study.search_store import Planned
from steadynet.study.specification import study
from steadynet.study.trials import Trials
from study.small import written

AXES = {"recipe": {"W/": {"recipe": "noise"}, "OVF": {"recipe": "ovf"}}, "sigma_d": [0.1], "seed": [0, 1]}
GRID = [1e-1, 1e-2, 1e-3]
SEARCH: dict[str, Any] = {"over": {"beta": GRID}, "when": {"recipe": "OVF"}, "draws": 4}
RANGE = {"beta": {"low": 1e-4, "high": 1e-1, "log": True}}


def with_search(*searches: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the small study with two recipes, and searches."""
    return written(**{"name": "small", "axes": AXES, "search": [dict(s) for s in searches], **changes})


def searches(out: Path, *entries: Mapping[str, Any], **changes: Any) -> tuple[Planned, ...]:
    """Return the searches of that study as planned."""
    return plan([study(with_search(*entries, **changes))], out).searches


def worth(values: Mapping[str, Any]) -> float:
    """A score with its greatest value at beta = 1e-2, in place of a training."""
    return 1 - (math.log10(float(values["beta"])) + 2) ** 2


def tried(search: Planned, storage: str | None = None, at_most: int = 1000) -> list[dict[str, Any]]:
    """Take trials and tell what they are worth until there is none, or enough; return their values."""
    found: list[dict[str, Any]] = []
    trials = Trials(search, storage)
    while len(found) < at_most and (taken := trials.take()) is not None:
        found.append(dict(taken.values))
        trials.finish(taken, worth(taken.values), "none")
    return found


def share(search: Planned, log: Path, storage: str | None, hold: float) -> None:
    """Do trials in a process of its own, each noted in a file, until there is none."""
    trials = Trials(search, storage)
    while (taken := trials.take()) is not None:
        with (log / f"{taken.number}").open("a") as file:
            file.write(f"{taken.values['beta']!r}\n")
        time.sleep(hold)
        trials.finish(taken, worth(taken.values), "none")


def forget_images() -> None:
    """Let no images of another test stay in memory."""
    images._loaded.clear()  # pyright: ignore[reportPrivateUsage]
