"""`steadynet evaluate`: what accuracy a trained network keeps, over simulated chips."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.cli import full, means
from steadynet.cli.about import again, versions
from steadynet.cli.converter_options import ConverterOptions
from steadynet.cli.evaluate_options import ComputeOptions, EvaluateOptions
from steadynet.cli.found import Found
from steadynet.cli.outputs import check_output
from steadynet.cli.parser import Command, Options, parse, run_folder, saved_options
from steadynet.cli.runs import check_images, trained_weights
from steadynet.cli.table import print_table
from steadynet.errors import SteadyNetError
from steadynet.folders import prepare_folder
from steadynet.options.build import build_model, check_model, load_data
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions

if TYPE_CHECKING:
    from torch import nn

    from steadynet.data import DataSplits
    from steadynet.montecarlo import Estimate

COMMAND = Command(
    "evaluate",
    "Simulate chips that hold a trained network: what accuracy it keeps at each sigma_d. Data, network and "
    "device are those of the run, unless given here.",
    (DataOptions, ModelOptions, DeviceOptions, EvaluateOptions, ConverterOptions, ComputeOptions),
    positional="run",
    inherits=(DataOptions, ModelOptions, DeviceOptions),
    examples=(
        "steadynet evaluate runs/noise --sigma-d 0.1 0.2 0.3 --draws 200",
        "steadynet evaluate runs/noise --sigma-d 0.2 --half-width 0.5",
        "steadynet evaluate runs/ovf --against runs/noise-t4 --sigma-d 0.2 --half-width 0.5",
        "steadynet evaluate runs/noise --device rram4 --target-accuracy 0.9 --out runs/noise-rram4",
        "steadynet evaluate runs/noise --sigma-d 0.2 --input-bits 8 --output-bits 6 --tile 128 128",
        "steadynet evaluate weights.safetensors --data mnist --model vgg8 --model.width 0.25 --processes 2",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, run_folder)
    if options is None:
        return 0
    asked = options[EvaluateOptions]
    if asked.means and options[ComputeOptions].chunk != 1:
        raise SteadyNetError("--chunk is for --design full, where each chip sees all images: leave it out")
    if asked.means and any(options[DeviceOptions].build(sigma_d).exact for sigma_d in asked.sigma_d):
        raise SteadyNetError(
            f"at sigma_d 0 all chips are alike: leave it out of --sigma-d with design {asked.chosen}"
        )
    runs = [trained_weights(Path(run)) for run in (asked.run, asked.against) if run is not None]
    if len({weights.resolve() for weights in runs}) < len(runs):
        raise SteadyNetError(f"--against {asked.against} is {asked.run} itself: name another run")
    if asked.out is not None:
        check_output(Path(asked.out), options, *runs, overwrite=asked.overwrite)
    return evaluate(options, runs)


def evaluate(options: Options, runs: Sequence[Path]) -> int:
    """Simulate, print the tables, and write the files if a folder was given.

    If the work ends early, by Ctrl-C or an error, what is finished is printed and written all the same.
    """
    from steadynet.montecarlo.session import Session

    asked = options[EvaluateOptions]
    data = load_data(options[DataOptions])
    models = [_network(options, weights, data) for weights in runs]
    found: list[Found] = []
    try:
        with ExitStack() as stack:
            sessions = [
                stack.enter_context(
                    Session(
                        model,
                        options[DeviceOptions].build(0.0),
                        data.test,
                        seed=asked.seed,
                        stream="test",
                        batch_size=asked.batch_size,
                        compute=options[ComputeOptions].build(),
                        shuffled=asked.means,
                    )
                )
                for model in models
            ]
            (means.run if asked.means else full.run)(sessions, asked, found)
    except BaseException:
        if found:
            _report(options, found, runs)
        raise
    _report(options, found, runs)
    return 0


def _network(options: Options, weights: Path, data: DataSplits) -> nn.Module:
    """Return the network of a run with its weights; of a second run by that run's own options, if it has them."""
    from steadynet.deploy import load_state

    asked, model = options[EvaluateOptions], options[ModelOptions]
    if asked.against is not None and weights == trained_weights(Path(asked.against)):
        saved = saved_options(run_folder({"run": asked.against}) or weights.parent)
        own = {f.name: saved[f.name] for f in fields(ModelOptions) if f.name in saved}
        model = ModelOptions(**own) if own else model
    network = build_model(model, data.classes, data.shape)
    load_state(network, weights)
    check_model(network, data)
    check_images(weights.parent, weights, options, data)
    return options[ConverterOptions].around(network, options[DeviceOptions].build(0.0), data)


def _report(options: Options, found: Sequence[Found], runs: Sequence[Path]) -> None:
    asked = options[EvaluateOptions]
    show = means.show if asked.means else full.show
    show(found, asked)
    if asked.against is not None:
        _show_differences(found, asked)
    if asked.out is not None:
        _write(options, found, runs)


def _show_differences(found: Sequence[Found], asked: EvaluateOptions) -> None:
    rows = [
        (
            f"{one.first.sigma_d:g}",
            _points(one.first.accuracy, "{:.2f}"),
            _points(one.second.accuracy, "{:.2f}"),
            _points(one.difference, "{:+.2f}") + ("" if one.reached else " (not reached)"),
        )
        for one in found
        if one.difference is not None
    ]
    print_table(["sigma_d", f"{asked.run}, %", f"{asked.against}, %", "difference, points"], rows)
    print(
        f"difference: {asked.run} minus {asked.against} on the same chips and images, with an interval of its own; "
        "one that holds 0 decides nothing"
    )


def _points(estimate: Estimate, form: str) -> str:
    half = "" if estimate.interval is None else f" ± {100 * estimate.half_width:.2f}"
    return form.format(100 * estimate.mean) + half


def _write(options: Options, found: Sequence[Found], runs: Sequence[Path]) -> None:
    from steadynet.report import write_report

    asked = options[EvaluateOptions]
    out = prepare_folder(Path(asked.out or ""), overwrite=asked.overwrite)
    figures = means.figures if asked.means else full.figures
    rows: list[dict[str, Any]] = []
    for at, weights in enumerate(runs):
        told = _origin(weights, asked.run if at == 0 else asked.against)
        if len(runs) > 1:
            # Two checkpoints of one training have one recipe and seed.
            told["recipe"] = str(asked.run if at == 0 else asked.against)
        for one in found:
            clean, quantised = one.references[at]
            accuracies = {"clean_accuracy": clean, "quantised_accuracy": quantised}
            rows.append(told | accuracies | figures(one.second if at else one.first, asked))
    options.save(out)
    about: dict[str, Any] = {
        "command": means.again(asked, out, [one.first for one in found])
        if asked.means
        else again("evaluate", out),
        "versions": versions(),
        "options": options.config(),
    }
    if asked.against is not None:
        about["against"] = [
            {"sigma_d": one.first.sigma_d, **means.plain(one.difference), "reached": one.reached}
            for one in found
            if one.difference is not None
        ]
    name = runs[0].parent.name or runs[0].name
    title = f"{options[DataOptions].data}, {options[ModelOptions].model}, {name}"
    for path in write_report(out, rows, title=title, about=about):
        print(path)


def _origin(weights: Path, run: str | None) -> dict[str, Any]:
    """Return recipe, seed and σ_d of the training that gave the weights, as far as it told."""
    saved = saved_options(run_folder({"run": run}) or weights.parent)
    # A file of weights alone does not tell how it was trained.
    told = saved.get("train_sigma_d") if saved.get("train_sigma_d") is not None else saved.get("sigma_d")
    return {
        "recipe": saved.get("recipe", weights.parent.name),
        "seed": saved.get("seed", 0),
        "train_sigma_d": told if isinstance(told, int | float) else None,
    }
