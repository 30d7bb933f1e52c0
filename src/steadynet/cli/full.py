"""`steadynet evaluate --design full`: chips that each see all images, with percentiles, worst chip and yield."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steadynet.cli.checks import percent
from steadynet.cli.evaluate_options import DRAWS, EvaluateOptions
from steadynet.cli.found import Found
from steadynet.cli.table import Row, print_table

if TYPE_CHECKING:
    from steadynet.montecarlo import Curve, MonteCarloResult
    from steadynet.montecarlo.session import Session

KPP = (1, 5, 10)
PREDICTIONS = {
    "ekl": "EKL",
    "nll": "neg. log-likelihood",
    "brier": "Brier score",
    "calibration_error": "calibration error, %",
    "mutual_information": "mutual information",
}


def run(sessions: Sequence[Session], asked: EvaluateOptions, found: list[Found]) -> None:
    """Append what is found at each σ_d as it is finished."""
    from steadynet.montecarlo import paired_difference
    from steadynet.montecarlo.engine import full

    for sigma_d in sorted(asked.sigma_d):
        results = [
            full(
                session, sigma_d, draws=asked.draws or DRAWS, progress=asked.progress and sys.stderr.isatty()
            )
            for session in sessions
        ]
        references = tuple(_reference(result) for result in results)
        if len(results) == 1:
            found.append(Found(references, results[0]))
        else:
            first, second = results
            found.append(Found(references, first, second, paired_difference(first, second)))


def _reference(result: MonteCarloResult) -> tuple[float, float]:
    return result.clean["accuracy"], result.quantised["accuracy"]


def show(found: Sequence[Found], asked: EvaluateOptions) -> None:
    """Print three tables with a line per sigma_d (accuracy, percentiles, what is predicted), and what they are of."""
    from steadynet.montecarlo import Curve

    print_curve(Curve(tuple(one.first for one in found)), asked.target_accuracy)


def figures(result: MonteCarloResult, asked: EvaluateOptions) -> dict[str, Any]:
    """Return what a row of results holds of it, as plain types."""
    target = asked.target_accuracy
    return {
        "sigma_d": result.sigma_d,
        "draws": result.draws,
        "evaluation_seed": result.seed,
        "images": result.images,
        **result.figures(),
        **({} if target is None else {"yield": _yield(result, target)}),
        "accuracy_values": result.accuracy.values.tolist(),
    }


def print_curve(found: Curve, target: float | None) -> None:
    """Print three tables with a line per sigma_d (accuracy, percentiles, what is predicted), and what they are of."""
    first = found.results[0]
    kept = [] if target is None else [f"yield at {100 * target:g} %"]
    print_table(
        ["sigma_d", "accuracy, %", "std over chips", "worst chip", *kept],
        [_accuracy(result, target) for result in found.results],
    )
    print_table(
        ["sigma_d", *(f"{k} % of chips below" for k in KPP)],
        [_percentiles(result) for result in found.results],
    )
    print_table(["sigma_d", *PREDICTIONS.values()], [_predictions(result) for result in found.results])
    draws = max(result.draws for result in found.results)
    print(
        f"clean {100 * first.clean['accuracy']:.2f} %, quantised without error "
        f"{100 * first.quantised['accuracy']:.2f} %; {first.images} test images, "
        f"{draws} {'chips' if draws > 1 else 'chip'} each, seed {first.seed}"
    )
    print(
        "± and (… to …): 95 % interval over chips of this one network; it does not speak of other trainings or images"
    )
    if target is not None:
        print(largest(found, target))


def largest(found: Curve, target: float) -> str:
    """Return the line on the largest sigma_d that keeps the mean accuracy at `target`."""
    sigma = found.largest_sigma_d(target)
    goal = f"a mean accuracy of {100 * target:g} %"
    if sigma is None:
        return f"{goal} is not kept even at sigma_d {found.sigma_d[0]:g}"
    if math.isinf(sigma):
        return f"{goal} is kept at all these sigma_d, up to {found.sigma_d[-1]:g}"
    return f"{goal} is kept up to sigma_d {sigma:.3g} (interpolated)"


def _accuracy(result: MonteCarloResult, target: float | None) -> Row:
    accuracy = result.accuracy
    half = "" if accuracy.interval is None else f" ± {100 * accuracy.half_width:.2f}"
    std = "-" if math.isnan(accuracy.std) else f"{100 * accuracy.std:.2f}"
    line = [f"{result.sigma_d:g}", f"{100 * accuracy.mean:.2f}{half}", std, f"{100 * result.worst:.2f}"]
    if target is not None:
        kept = result.yield_at(target)
        low, high = kept.interval
        line.append(f"{100 * kept.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
    return tuple(line)


def _percentiles(result: MonteCarloResult) -> Row:
    line = [f"{result.sigma_d:g}"]
    for k in KPP:
        found = result.percentile(k)
        if result.deterministic:
            told = "all chips alike"
        elif found.interval is None:
            told = f"needs at least {found.needs_draws} draws"
        else:
            told = f"{100 * found.interval.low:.2f} to {100 * found.interval.high:.2f}"
        line.append(f"{100 * found.value:.2f} ({told})")
    return tuple(line)


def _predictions(result: MonteCarloResult) -> Row:
    told = [str(getattr(result, name)) for name in ("ekl", "nll", "brier")]
    # Of one chip there is nothing that others could disagree with.
    mutual = f"{result.mutual_information:.4g}" if result.draws > 1 else "-"
    return (f"{result.sigma_d:g}", *told, percent(result.calibration_error), mutual)


def _yield(result: MonteCarloResult, target: float) -> dict[str, float]:
    kept = result.yield_at(target)
    low, high = kept.interval
    return {"mean": kept.value, "lo": low, "hi": high, "accuracy": target}
