"""`steadynet evaluate`: what accuracy a trained network keeps, over simulated chips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.cli.build import build_model, check_model, inputs, load_data, trained_weights
from steadynet.cli.command_options import EvaluateOptions
from steadynet.cli.compare import again
from steadynet.cli.means import figures, print_means, run_means
from steadynet.cli.options import DataOptions, DeviceOptions, ModelOptions
from steadynet.cli.parser import Command, Options, parse, run_folder, saved_options
from steadynet.cli.table import Row, print_table
from steadynet.files import check_apart, check_folder, prepare_folder

if TYPE_CHECKING:
    from steadynet.montecarlo import BlockResult, Curve, MonteCarloResult

COMMAND = Command(
    "evaluate",
    "Simulate chips that hold a trained network, each fixed over all test images: what accuracy it keeps at "
    "each sigma_d. Data, network and device are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, EvaluateOptions),
    positional="run",
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=(
        "steadynet evaluate runs/noise --sigma-d 0.1 0.2 0.3 --draws 200",
        "steadynet evaluate runs/noise --sigma-d 0.2 --half-width 0.5",
        "steadynet evaluate runs/noise --device rram4 --target-accuracy 0.9 --out runs/noise-rram4",
        "steadynet evaluate weights.safetensors --data mnist --model vgg8 --model.width 0.25",
    ),
)

KPP = (1, 5, 10)
PREDICTIONS = {
    "ekl": "EKL",
    "nll": "neg. log-likelihood",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "mutual_information": "mutual information",
}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    asked = options[EvaluateOptions]
    weights = trained_weights(Path(asked.run or ""))
    if asked.out is not None:
        check_folder(Path(asked.out), overwrite=asked.overwrite)
        check_apart(Path(asked.out), weights, *inputs(options[DataOptions]))
    return evaluate(options, weights)


def evaluate(options: Options, weights: Path) -> int:
    """Simulate, print the table, and write the files if a folder was given."""
    from steadynet.deploy import load_state
    from steadynet.montecarlo import curve, monte_carlo

    asked = options[EvaluateOptions]
    data = load_data(options[DataOptions])
    model = build_model(options[ModelOptions], data.classes, data.shape)
    load_state(model, weights)
    check_model(model, data)
    device = options[DeviceOptions].build(0.0)
    if asked.half_width is not None:
        clean = monte_carlo(model, device, data.test, draws=1, batch_size=asked.batch_size)
        means = run_means(model, device, data.test, asked)
        print_means(means, clean)
        if asked.out is not None:
            _write(options, [_row(result, clean, figures(result)) for result in means], weights)
        return 0
    found = curve(
        model,
        device,
        data.test,
        sorted(asked.sigma_d),
        draws=asked.draws,
        seed=asked.seed,
        batch_size=asked.batch_size,
        progress=asked.progress,
    )
    print_curve(found, asked.target_accuracy)
    if asked.out is not None:
        _write(
            options,
            [_row(result, result, _figures(result, asked.target_accuracy)) for result in found.results],
            weights,
        )
    return 0


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
    print(
        f"clean {100 * first.clean['accuracy']:.2f} %, quantised without error "
        f"{100 * first.quantised['accuracy']:.2f} %; {first.images} test images, "
        f"{max(result.draws for result in found.results)} chips each, seed {first.seed}"
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
    estimates = [getattr(result, name) for name in PREDICTIONS if name != "mutual_information"]
    return (f"{result.sigma_d:g}", *map(str, estimates), f"{result.mutual_information:.4g}")


def _row(
    result: MonteCarloResult | BlockResult, clean: MonteCarloResult, found: dict[str, Any]
) -> dict[str, Any]:
    return {
        "sigma_d": result.sigma_d,
        "clean_accuracy": clean.clean["accuracy"],
        "quantised_accuracy": clean.quantised["accuracy"],
        "draws": result.draws,
        "evaluation_seed": result.seed,
        "images": result.images,
        **found,
        "accuracy_values": result.accuracy.values.tolist(),
    }


def _figures(result: MonteCarloResult, target: float | None) -> dict[str, Any]:
    return result.figures() | ({} if target is None else {"yield": _yield(result, target)})


def _write(options: Options, found: Sequence[dict[str, Any]], weights: Path) -> None:
    from steadynet import __version__
    from steadynet.report import write_report

    asked = options[EvaluateOptions]
    out = prepare_folder(Path(asked.out or ""), overwrite=asked.overwrite)
    run = saved_options(run_folder(options.values) or out)
    # A file of weights alone does not tell how it was trained.
    told = run.get("train_sigma_d") if run.get("train_sigma_d") is not None else run.get("sigma_d")
    trained_at = told if isinstance(told, int | float) else None
    rows = [
        {
            "recipe": run.get("recipe", weights.parent.name),
            "seed": run.get("seed", 0),
            "train_sigma_d": trained_at,
            **row,
        }
        for row in found
    ]
    options.save(out)
    about = {
        "command": again("evaluate", out),
        "version": __version__,
        "options": options.config(),
    }
    title = (
        f"{options[DataOptions].data}, {options[ModelOptions].model}, {weights.parent.name or weights.name}"
    )
    for path in write_report(out, rows, title=title, about=about):
        print(path)


def _yield(result: MonteCarloResult, target: float) -> dict[str, float]:
    kept = result.yield_at(target)
    low, high = kept.interval
    return {"mean": kept.value, "lo": low, "hi": high, "accuracy": target}
