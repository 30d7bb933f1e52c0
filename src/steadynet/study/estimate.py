"""How long a cell takes and how much memory, from a few measured steps or from cells like it that are finished."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.study.store import RESULT, Place, read_json
from steadynet.study.wanted import Wanted

FILE = "estimates.json"


@dataclass(frozen=True)
class Pace:
    """What a kind of cell costs here.

    Attributes:
        step: Seconds of a training step; NaN where nothing is trained.
        image: Seconds of an image in evaluation, on one chip.
        peak_mib: Peak memory of training.
        steps: Steps that were measured.
    """

    step: float
    image: float
    peak_mib: float
    steps: int

    def seconds(self, place: Place, *, whole: bool = True) -> float:
        """Return what a cell takes: training, validation after each epoch, and tests that are not finished.

        Args:
            place: The cell.
            whole: Whether all of it is counted; else what is left.
        """
        made, images = place.cell.training, place.images
        batches = math.ceil(images.train_images / made.training.batch_size)
        epochs = made.epochs
        if not whole:
            needless = place.has_weights() or place.finished()
            epochs = 0 if needless else max(0, epochs - place.epochs_done())
        validation = images.validation_images * (made.training.val_draws + 1) * self.image
        training = epochs * (batches * self.step + validation) if epochs else 0.0
        tests = place.cell.tests if whole else place.missing()
        shown = sum(shown_chips(place, wanted) for wanted in tests)
        return training + shown * images.test_images * self.image


def shown_chips(place: Place, wanted: Wanted) -> int:
    """Return how many networks a test shows its images to: chips, and beside them the clean and the quantised network."""
    alike = place.cell.training.device.at(wanted.sigma_d).exact
    return (1 if alike else wanted.draws) + 2


def kind(place: Place) -> str:
    """Return what cells of the same cost per step share: net, images' size, batch, arithmetic, hardware, the recipe's parts."""
    made = place.cell.training
    recipe = made.recipe
    described = {
        "model": [made.model.model, made.model.model_options],
        "shape": [place.images.shape, place.images.classes],
        "batch": made.training.batch_size,
        "arithmetic": [made.training.precision, made.training.channels_last],
        "hardware": [made.training.accelerator, made.training.devices, made.training.nodes],
        "device": [dataclasses.asdict(made.device.at(0.0)), type(made.device.law).__name__],
        "parts": [
            type(part).__name__
            for part in (recipe.variation, recipe.objective, recipe.constraint, recipe.step)
        ],
        "forwards": [getattr(recipe.objective, name, None) for name in ("n", "memory", "taps")],
    }
    text = json.dumps(described, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Estimates:
    """Paces of kinds of cells, kept in a file under the folder of the studies."""

    def __init__(self, out: Path) -> None:
        self._path = out / FILE
        self._known: dict[str, Pace] = {}
        self._finished: dict[str, Pace] = {}
        if self._path.is_file():
            held = read_json(self._path, ("paces",))["paces"]
            try:
                self._known = {key: Pace(**pace) for key, pace in held.items()}
            except (TypeError, AttributeError) as error:
                raise SteadyNetError(f"{self._path} is damaged: delete it") from error

    def learn(self, places: Iterable[Place]) -> None:
        """Take the paces of cells that are finished."""
        steps: dict[str, list[float]] = {}
        images: dict[str, list[float]] = {}
        peaks: dict[str, list[float]] = {}
        for place in places:
            if not (place.folder / RESULT).is_file():
                continue
            key, found = kind(place), place.result()
            if found["steps"]:
                steps.setdefault(key, []).append(found["seconds"] / found["steps"])
            peaks.setdefault(key, []).append(found.get("peak_mib") or math.nan)
            for wanted, path in place.tests.items():
                if path.is_file():
                    shown = shown_chips(place, wanted) * place.images.test_images
                    images.setdefault(key, []).append(place.test(wanted)["seconds"] / shown)
        for key in {*steps, *images}:
            known = self._known.get(key)
            if key in steps or known is not None:
                self._finished[key] = Pace(
                    statistics.median(steps[key]) if key in steps else known.step if known else math.nan,
                    statistics.median(images[key]) if key in images else known.image if known else 0.0,
                    max(peaks.get(key, [math.nan])),
                    0,
                )

    def pace(self, place: Place) -> Pace | None:
        """Return the pace of cells like this one: of finished ones first, else as measured; None if neither is known."""
        if place.images.why:
            return None
        key = kind(place)
        return self._finished.get(key) or self._known.get(key)

    def measure(self, place: Place, steps: int) -> Pace:
        """Measure some steps of a cell's kind, and keep what was found.

        Raises:
            SteadyNetError: If the training cannot be set up.
        """
        from steadynet.study.pace import measure

        found = measure(place, steps)
        self._known[kind(place)] = found
        self._path.parent.mkdir(parents=True, exist_ok=True)
        paces: Mapping[str, Any] = {key: dataclasses.asdict(pace) for key, pace in self._known.items()}
        write_json_atomically(self._path, {"paces": paces, "measured": time.strftime("%Y-%m-%d")})
        return found


def duration(seconds: float) -> str:
    """Return a time in words: 40 s, 12 min, 3.5 h, 2.1 d."""
    if not math.isfinite(seconds):
        return "?"
    for limit, unit, divisor in ((100, "s", 1), (100 * 60, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.1f} {unit}" if divisor == 3600 else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.1f} d"
