"""What can be shown of a row: under which name it lies there, in which unit, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steadynet.report.rows import Estimate, Row, estimate_of


@dataclass(frozen=True)
class Metric:
    """A figure of a row.

    Attributes:
        name: What views call it.
        key: Its name in the row.
        label: With its unit, as an axis says it.
        heading: What a title calls it.
        scale: What the row's number is multiplied by.
        higher_is_better: Which way is better.
    """

    name: str
    key: str
    label: str
    heading: str
    scale: float = 1.0
    higher_is_better: bool = True

    @property
    def in_points(self) -> bool:
        """Whether it is shown in percent, and a difference of it in points."""
        return self.scale == 100.0

    @property
    def words(self) -> str:
        """Its label without the unit."""
        return self.label.rpartition(", ")[0] or self.label

    def estimate(self, rows: Sequence[Row]) -> Estimate | None:
        """Return its estimate over some rows, in the unit of the label; None where it is not defined for all of them."""
        found = estimate_of(rows, self.key)
        if found is None or not math.isfinite(found.mean):
            return None
        return Estimate(self.scale * found.mean, self.scale * found.lo, self.scale * found.hi)

    def text(self, value: float, half: float = math.nan) -> str:
        """Return a value in words, ± half its interval if it has one."""
        if not math.isfinite(value):
            return "–"
        if self.in_points:
            return f"{value:.2f}" + (f" ± {half:.2f}" if math.isfinite(half) else "")
        return f"{value:.4g}" + (f" ± {half:.2g}" if math.isfinite(half) else "")


def _percent(name: str, key: str, words: str, heading: str, *, higher: bool = True) -> Metric:
    return Metric(name, key, f"{words}, %", heading, 100.0, higher)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _percent("accuracy", "accuracy", "accuracy", "Accuracy"),
        _percent("clean", "clean_accuracy", "clean accuracy", "Accuracy of the clean network"),
        _percent(
            "quantised",
            "quantised_accuracy",
            "accuracy on error-free devices",
            "Accuracy on error-free devices",
        ),
        _percent("kpp1", "kpp1", "1st percentile of accuracy over chips", "The worst 1 % of chips"),
        _percent("kpp5", "kpp5", "5th percentile of accuracy over chips", "The worst 5 % of chips"),
        _percent("kpp10", "kpp10", "10th percentile of accuracy over chips", "The worst 10 % of chips"),
        _percent("worst", "worst", "accuracy of the worst simulated chip", "The worst chip"),
        _percent("ece", "ece", "expected calibration error", "Calibration error", higher=False),
        Metric(
            "ekl",
            "ekl",
            "EKL of correct predictions, nats",
            "EKL of correct predictions",
            higher_is_better=False,
        ),
        Metric(
            "nll",
            "nll",
            "negative log-likelihood of all predictions, nats",
            "Negative log-likelihood",
            higher_is_better=False,
        ),
        Metric("brier", "brier", "Brier score of all predictions", "Brier score", higher_is_better=False),
        Metric(
            "logits_temperature",
            "logits_temperature",
            "temperature that logits are divided by",
            "Temperature of calibration",
            higher_is_better=False,
        ),
        Metric(
            "mutual_information",
            "mutual_information",
            "mutual information across chips, nats",
            "Disagreement of chips",
            higher_is_better=False,
        ),
        Metric(
            "train_seconds",
            "train_seconds",
            "time of a training, s",
            "Time of training",
            higher_is_better=False,
        ),
    )
}
