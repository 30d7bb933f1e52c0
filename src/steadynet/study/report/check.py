"""Views tried on made-up results, so that one that cannot be drawn is refused before any training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.recipes import DEFAULT_RECIPE
from steadynet.report.rows import REFERENCE
from steadynet.study.cells import Point, options_of
from steadynet.study.definition import Study
from steadynet.study.flat import DEFAULT_SIGMA_D
from steadynet.study.report.assemble import views_of
from steadynet.study.report.findings import findings

# What calibrated tests alone tell.
CALIBRATION = "logits_temperature"
_ESTIMATES = ("accuracy", "ekl", "nll", "brier", "ece", "kpp1", "kpp5", "kpp10")


def check_views(study: Study, points: Sequence[Point]) -> None:
    """Draw every view of a study from figures that are made up, for all the points that it is to have.

    Raises:
        SteadyNetError: If a view cannot be drawn: a control or label that is not there, an axis that would be averaged over, a
            horizontal axis without numbers. The line says which view it is.
    """
    rows = [_row(study, point, sigma_d) for point in points for sigma_d in point.sigma_d]
    expected = [{**row["axes"], "sigma_d": row["sigma_d"]} for row in rows]
    for number, view in enumerate(views_of(study), 1):
        try:
            if getattr(view, "metric", "") == CALIBRATION and not study.test.calibrated:
                raise SteadyNetError(
                    f"{CALIBRATION} is known of calibrated tests alone: give test: {{calibrated: true}}"
                )
            view.blocks(rows, key_prefix=f"{study.name}-{number}", expected=expected)
            findings(rows, [view])
        except SteadyNetError as error:
            raise SteadyNetError(f"study {study.name}, view {number} of its report: {error}") from None


def _row(study: Study, point: Point, sigma_d: float) -> dict[str, Any]:
    """Return a row for a point, with the figures that every row has."""
    options = options_of(study, point.labels)
    seed = int(options.get("seed", 0))
    quiet = options.get("recipe") == REFERENCE
    # Trainings that differ a little: intervals of equal values are a case of their own.
    value = 0.9 + 0.001 * (seed % 7)
    return {
        "study": study.name,
        "cell": "",
        "axes": dict(point.labels),
        "recipe": str(point.labels.get("recipe", options.get("recipe", DEFAULT_RECIPE))),
        "seed": seed,
        "sigma_d": sigma_d,
        "train_sigma_d": None if quiet else float(options.get("sigma_d", DEFAULT_SIGMA_D)),
        "best_epoch": 0,
        "steps": 1,
        "train_seconds": 1.0,
        "test_seconds": 1.0,
        "peak_mib": None,
        "clean_accuracy": value,
        "quantised_accuracy": value,
        "draws": study.test.draws,
        "evaluation_seed": study.test.seed,
        "images": 1,
        **{name: {"mean": value, "std": 0.01, "lo": value - 0.01, "hi": value + 0.01} for name in _ESTIMATES},
        "worst": value,
        "mutual_information": 0.0,
        "accuracy_values": [value - 0.01, value, value + 0.01],
        "options": options,
        "versions": {},
        "finished": "",
        "other_code": [],
        "command": "",
    }
