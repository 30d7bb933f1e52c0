"""Differences from the control, paired by training seed.

The control, `noise-t4`, divides the logits by 4 as OVF with N = 3 and IRS with three taps do. Where IRS has another number of
taps (two on the small CNN, four on ResNet-18), its temperature differs too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD, Box
from rich.table import Table
from rich.text import Text

from steadynet.report.rows import REFERENCE, Estimate, Row, mean_of, order, student_half_width, summarise

# The first of these among the recipes is what the others are held against.
CONTROLS = ("noise-t4", "noise", REFERENCE)


@dataclass(frozen=True)
class Difference:
    """Accuracy of a recipe minus that of the control, at one σ_d and as trained at one.

    Attributes:
        recipe: Whose accuracy.
        control: Minus whose.
        sigma_d: σ_d of the test.
        train_sigma_d: σ_d of the training.
        seeds: The seeds that both were trained with; each gives one difference.
        estimate: Their mean, with Student's 95 % interval on S − 1 degrees of freedom.
        converged: False if either is not converged: the difference is then one of speed, at these steps.
    """

    recipe: str
    control: str
    sigma_d: float
    train_sigma_d: float | None
    seeds: tuple[int, ...]
    estimate: Estimate
    converged: bool


def differences(rows: Sequence[Row]) -> tuple[Difference, ...]:
    """Return each recipe's difference from the control, where both were trained with two seeds or more.

    Recipes share initial weights, order of images and chips of a seed, so the differences spread less than the
    accuracies do. The training run is the unit: chips and images are averaged within it.

    Args:
        rows: A row per trained network and σ_d; see `rows.Row`.
    """
    recipes = order(row["recipe"] for row in rows)
    control = next((name for name in CONTROLS if name in recipes), None)
    if control is None:
        return ()
    converged = {(c.recipe, c.sigma_d, c.train_sigma_d): c.converged for c in summarise(rows)}
    accuracy: dict[tuple[str, float, float | None], dict[int, float]] = {}
    for row in rows:
        by_seed = accuracy.setdefault((row["recipe"], row["sigma_d"], row["train_sigma_d"]), {})
        by_seed[row["seed"]] = mean_of(row["accuracy"])
    found: list[Difference] = []
    for recipe, sigma_d, train_sigma_d in order(
        (r["recipe"], r["sigma_d"], r["train_sigma_d"]) for r in rows
    ):
        if recipe == control:
            continue
        shared = paired(
            accuracy[(recipe, sigma_d, train_sigma_d)], accuracy.get((control, sigma_d, train_sigma_d), {})
        )
        if shared is None:
            continue
        seeds, estimate = shared
        both = (converged[(name, sigma_d, train_sigma_d)] is not False for name in (recipe, control))
        found.append(
            Difference(
                recipe,
                control,
                sigma_d,
                train_sigma_d,
                seeds,
                estimate,
                all(both),
            )
        )
    return tuple(found)


def paired(
    values: Mapping[int, float], control: Mapping[int, float]
) -> tuple[tuple[int, ...], Estimate] | None:
    """Return the seeds that both have, and the mean of the differences with Student's 95 % interval.

    Args:
        values: A training's value by its seed.
        control: The control's.

    Returns:
        None where they share fewer than two seeds: one difference gives no interval.
    """
    seeds = tuple(int(seed) for seed in values if seed in control)
    if len(seeds) < 2:
        return None
    pairs = [values[seed] - control[seed] for seed in seeds]
    mean, half = math.fsum(pairs) / len(pairs), student_half_width(pairs)
    return seeds, Estimate(mean, mean - half, mean + half)


def render_differences(found: Sequence[Difference], box: Box = SIMPLE_HEAD) -> Table:
    """Return the table: difference in points ± half the interval for each recipe and σ_d."""
    sigmas = sorted({difference.sigma_d for difference in found})
    table = Table(box=box, pad_edge=False)
    table.add_column(Text(f"minus {found[0].control}"), overflow="fold")
    for sigma in sigmas:
        table.add_column(f"sigma_d {sigma:g}", justify="right", overflow="fold")
    for recipe in order(difference.recipe for difference in found):
        own = {difference.sigma_d: difference for difference in found if difference.recipe == recipe}
        table.add_row(Text(recipe), *(_text(own.get(sigma)) for sigma in sigmas))
    return table


def differences_caption(found: Sequence[Difference]) -> str:
    """Return the line that says what the differences and their intervals are."""
    counts = " or ".join(map(str, sorted({len(difference.seeds) for difference in found})))
    return (
        f"differences in points, paired by seed; ±: 95 % interval over {counts} pairs of trainings (Student's t); "
        "one that holds 0 decides nothing"
    )


def _text(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    points = difference.estimate
    star = "" if difference.converged else "*"
    return f"{100 * points.mean:+.2f} ± {100 * points.half_width:.2f}{star}"
