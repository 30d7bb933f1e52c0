"""Rows of results gathered into cells: one recipe at one σ_d, over all its trainings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steadynet.errors import SteadyNetError

# One trained network tested at one σ_d, as plain types: recipe, seed, sigma_d, train_sigma_d, clean_accuracy
# and metrics (accuracy, ekl, …), each a mapping with mean, lo and hi, or a number, or None if undefined.
Row = Mapping[str, Any]

METRICS = (
    "accuracy",
    "ekl",
    "nll",
    "brier",
    "ece",
    "mutual_information",
    "kpp1",
    "kpp5",
    "kpp10",
    "worst",
    "yield",
)
REQUIRED = ("recipe", "seed", "sigma_d", "train_sigma_d", "accuracy")
LEVEL = 0.95
# A row whose clean accuracy lies further under the reference recipe's is not converged: it needs more steps.
CONVERGED_WITHIN = 0.02
REFERENCE = "vanilla"


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; without one (lo = hi = NaN) where a single value gives none."""

    mean: float
    lo: float
    hi: float

    @property
    def half_width(self) -> float:
        """The farther end's distance from the mean: an end that a figure's range cuts off promises nothing."""
        return max(self.hi - self.mean, self.mean - self.lo)


@dataclass(frozen=True)
class Cell:
    """One recipe, trained at `train_sigma_d`, tested at `sigma_d`.

    Attributes:
        recipe: Its name.
        sigma_d: σ_d of the test.
        train_sigma_d: σ_d of the training; None where it is not known.
        seeds: The trainings' seeds.
        clean: Mean accuracy of the clean network.
        metrics: An estimate per metric that the rows have: over trainings if there are several, over the
            draws of the only one otherwise.
        converged: False if the clean accuracy lies more than 2 points under the best of vanilla's; None if
            vanilla is not among the rows.
    """

    recipe: str
    sigma_d: float
    train_sigma_d: float | None
    seeds: tuple[int, ...]
    clean: float
    metrics: Mapping[str, Estimate]
    converged: bool | None


def summarise(rows: Sequence[Row]) -> tuple[Cell, ...]:
    """Gather rows into cells, in the order in which recipes and then σ_d first appear.

    With S > 1 trainings, an estimate is the mean of the trainings' means, with Student's interval on S − 1
    degrees of freedom: mean ± t_{0.975, S−1} · std / √S. With one, it is the row's own, over draws.

    Raises:
        SteadyNetError: If there are no rows, a row lacks a field, or one training stands there twice.
    """
    if not rows:
        raise SteadyNetError("there are no results to report")
    groups: dict[tuple[str, float, float | None], list[Row]] = {}
    for row in rows:
        missing = [
            key for key in ("recipe", "seed", "sigma_d", "train_sigma_d", "accuracy") if key not in row
        ]
        if missing:
            raise SteadyNetError(f"a row of results lacks {', '.join(missing)}; it has {', '.join(row)}")
        groups.setdefault((row["recipe"], row["sigma_d"], row["train_sigma_d"]), []).append(row)
    cells: list[Cell] = []
    for (recipe, sigma_d, train_sigma_d), members in groups.items():
        seeds = tuple(int(row["seed"]) for row in members)
        if len(set(seeds)) < len(seeds):
            raise SteadyNetError(f"results of {recipe} at sigma_d {sigma_d:g} hold a seed twice: {seeds}")
        clean = _mean(members)
        cells.append(
            Cell(
                recipe=recipe,
                sigma_d=float(sigma_d),
                train_sigma_d=None if train_sigma_d is None else float(train_sigma_d),
                seeds=seeds,
                clean=clean,
                metrics={
                    name: found for name in METRICS if (found := estimate_of(members, name)) is not None
                },
                converged=_converged(recipe, members, rows),
            )
        )
    return tuple(cells)


def order(values: Iterable[Any]) -> list[Any]:
    """Return the distinct values in the order in which they first appear."""
    return list(dict.fromkeys(values))


def over_trainings(cells: Sequence[Cell]) -> bool:
    """Return whether the intervals are over trainings, not over draws."""
    return any(len(cell.seeds) > 1 for cell in cells)


def interval_caption(cells: Sequence[Cell], draws: int | None = None) -> str:
    """Return the line that says what the intervals are over."""
    counts = order(len(cell.seeds) for cell in cells)
    simulated = f"{draws} simulated chips" if draws else "simulated chips"
    if over_trainings(cells):
        trainings = " or ".join(map(str, sorted(counts)))
        return f"±: 95 % interval over {trainings} trainings (Student's t), each the mean of {simulated}"
    return f"±: 95 % interval over {simulated} of one training; it does not speak of other trainings"


def training_caption(cells: Sequence[Cell]) -> str:
    """Return the line that says at which σ_d the networks were trained."""
    noisy = [cell for cell in cells if cell.recipe != REFERENCE] or list(cells)
    if any(cell.train_sigma_d is None for cell in noisy):
        return "trained at a sigma_d that is not known"
    trained = sorted({cell.train_sigma_d for cell in noisy if cell.train_sigma_d is not None})
    if len(trained) == 1 and len({cell.sigma_d for cell in cells}) > 1:
        return f"trained once, at sigma_d {trained[0]:g}"
    if all(cell.train_sigma_d == cell.sigma_d for cell in noisy):
        return "trained at the sigma_d of the test"
    return f"trained at sigma_d {', '.join(f'{value:g}' for value in trained)}"


def _converged(recipe: str, members: Sequence[Row], rows: Sequence[Row]) -> bool | None:
    """Return whether a recipe's clean accuracy reaches what the reference reaches in as many steps, over the seeds of both.

    The reference's epochs are chosen on noisy chips too, at large σ_d by chance: its best σ_d counts.
    """
    if recipe == REFERENCE:
        return True
    own = {
        row["seed"]: float(row["clean_accuracy"]) for row in members if row.get("clean_accuracy") is not None
    }
    seeds, best = own.keys(), dict[int, float]()
    for row in rows:
        if row["recipe"] == REFERENCE and row["seed"] in seeds and row.get("clean_accuracy") is not None:
            best[row["seed"]] = max(best.get(row["seed"], 0.0), float(row["clean_accuracy"]))
    if not best:
        return None
    clean = sum(own[seed] for seed in best) / len(best)
    return clean >= sum(best.values()) / len(best) - CONVERGED_WITHIN - 1e-9


def _mean(rows: Sequence[Row]) -> float:
    values = [float(row["clean_accuracy"]) for row in rows if row.get("clean_accuracy") is not None]
    return sum(values) / len(values) if values else math.nan


def estimate_of(rows: Sequence[Row], name: str) -> Estimate | None:
    """Return the estimate of a metric over the trainings of some rows, as `summarise` does; None if a row lacks it."""
    found = [row.get(name) for row in rows]
    if any(value is None for value in found):
        return None
    if len(found) == 1:
        return _own(found[0])
    means = [_own(value).mean for value in found]
    centre = sum(means) / len(means)
    if not all(math.isfinite(mean) for mean in means):
        return Estimate(centre, math.nan, math.nan)
    half = student_half_width(means)
    return Estimate(centre, centre - half, centre + half)


def student_half_width(values: Sequence[float]) -> float:
    """Return half the length of Student's 95 % interval of the mean of two or more values."""
    from scipy import stats

    count = len(values)
    centre = sum(values) / count
    variance = sum((value - centre) ** 2 for value in values) / (count - 1)
    quantile = float(stats.t.ppf(0.5 + LEVEL / 2, count - 1))
    return quantile * math.sqrt(variance / count)


def mean_of(value: Any) -> float:
    """Return the mean of a row's metric, whether it is a mapping or a number."""
    return _own(value).mean


def _own(value: Any) -> Estimate:
    if not isinstance(value, Mapping):
        return Estimate(float(value), math.nan, math.nan)
    fields: Mapping[str, float | None] = value  # pyright: ignore[reportUnknownVariableType] (JSON)
    mean, lo, hi = (fields.get(name) for name in ("mean", "lo", "hi"))
    return Estimate(*(math.nan if number is None else float(number) for number in (mean, lo, hi)))
