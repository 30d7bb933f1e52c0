"""What tables and figures need of one network's test, as plain types."""

from __future__ import annotations

from typing import Any

from steadynet.montecarlo.result import MonteCarloResult


def tested(result: MonteCarloResult) -> dict[str, Any]:
    """Return the part of a row of results that a test gives; see `report.rows.Row`."""
    figures = result.figures()
    figures["ece"] = figures.pop("calibration_error")
    return {
        "clean_accuracy": result.clean["accuracy"],
        "quantised_accuracy": result.quantised["accuracy"],
        "draws": result.draws,
        "evaluation_seed": result.seed,
        "images": result.images,
        **figures,
        "accuracy_values": result.accuracy.values.tolist(),
    }
