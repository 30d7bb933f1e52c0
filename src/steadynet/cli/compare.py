"""`steadynet compare`: several recipes on the same network, data, epochs and chips."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.cli.about import again, versions
from steadynet.cli.command_options import CompareOptions
from steadynet.cli.hand_over import hand_over
from steadynet.cli.outputs import check_output
from steadynet.cli.parser import CONFIG_NAME, Command, Options, parse
from steadynet.cli.runs import check_resumed, resumable, resumed_folder
from steadynet.errors import SteadyNetError
from steadynet.folders import alone, check_free, claimed_folder
from steadynet.options.build import (
    build_model,
    check_model,
    check_recipe,
    check_setup,
    load_data,
    teacher_of,
    torchrun_processes,
    training_hardware,
    training_settings,
)
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions, TrainingOptions

if TYPE_CHECKING:
    from torch import nn

    from steadynet.comparison import Cell

GROUPS = (DataOptions, ModelOptions, DeviceOptions, TrainingOptions, CompareOptions)
COMMAND = Command(
    "compare",
    "Train and test a network by several recipes, on the same data, epochs and chips: one table, as text, "
    "JSON, CSV and Markdown, and figures of accuracy and EKL over sigma_d.",
    GROUPS,
    ignored=("loggers",),
    inherits=GROUPS,
    examples=(
        "steadynet compare --data digits --model cnn --epochs 20 --out runs/digits",
        "steadynet compare --data mnist --model.width 0.25 --recipes noise-t4 ovf --seeds 3 --processes 2",
        "steadynet compare --recipes noise ovf --recipe.ovf.beta 0.1 --train-sigma-d 0.2",
        "steadynet compare --recipes steady --model timm:resnet10t --data cifar10 --device lab.csv --sigma-d own --hand-over",
        "steadynet compare --out runs/compare --resume",
    ),
)
# The trainings lie in a folder of their own, which the comparison alone writes to.
TRAININGS = "trainings"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = checked(COMMAND, argv)
    if options is not None:
        compare(options)
    return 0


def checked(command: Command, argv: Sequence[str]) -> Options | None:
    """Return the options, checked as far as it goes without torch; None if there is nothing to do."""
    options = parse(command, argv, resumed_folder)
    if options is None:
        return None
    asked = options[CompareOptions]
    out = Path(asked.out)
    training = options[TrainingOptions]
    if max(training.devices, training.nodes, torchrun_processes()) > 1:
        raise SteadyNetError(
            "a comparison trains each network in one process: leave out --devices, --nodes and torchrun; --processes trains "
            "several at once, and a study takes --devices for each"
        )
    check_free(out)
    matched = asked.train_sigma_d == "matched"
    for recipe in asked.build():
        for sigma_d in asked.sigma_d if matched else [float(asked.train_sigma_d)]:
            check_recipe(recipe, options[DeviceOptions].build(sigma_d))
    if not asked.resume:
        teachers = [path for recipe in asked.build() for path in teacher_of(recipe)]
        if not asked.overwrite and (out / TRAININGS).is_dir() and not (out / "results.json").exists():
            raise SteadyNetError(
                f"{out} holds a comparison that is not finished: --resume goes on with it, --overwrite starts anew"
            )
        check_output(out, options, *teachers, overwrite=asked.overwrite)
    elif not (out / CONFIG_NAME).exists():
        raise SteadyNetError(f"{out} holds no comparison to resume: start it without --resume")
    else:
        check_resumed(options, out)
    return options


def compare(options: Options) -> list[dict[str, Any]]:
    """Train and test all, print the table and write the report; return its rows."""
    from steadynet.comparison import Plan, Problem
    from steadynet.comparison import compare as run
    from steadynet.report import print_table, write_report

    asked, setup = options[CompareOptions], options[TrainingOptions]
    out = Path(asked.out)
    data = load_data(options[DataOptions])
    fresh = functools.partial(_fresh, options[ModelOptions], data.classes, data.shape)
    check_model(fresh(asked.seed_list[0]), data)
    settings = training_settings(setup, 0)
    trained = asked.sigma_d[0] if asked.train_sigma_d == "matched" else float(asked.train_sigma_d)
    for recipe in asked.build_all():
        check_setup(recipe, fresh(asked.seed_list[0]), data, options[DeviceOptions].build(trained), settings)
    plan = Plan(
        recipes=asked.build_all(),
        sigma_d=tuple(sorted(asked.sigma_d)),
        train_sigma_d=asked.train_sigma_d,
        seeds=asked.seed_list,
        draws=asked.draws,
    )
    title = describe(options, data.shape)
    problem = Problem(
        fresh, functools.partial(load_data, options[DataOptions]), options[DeviceOptions].build(0), title
    )
    hardware = training_hardware(setup)
    trainings = out / TRAININGS
    with ExitStack() as stack:
        stack.enter_context(resumable(options.command.name, out))
        if not asked.resume:
            stack.enter_context(claimed_folder(out, trainings, overwrite=asked.overwrite))
            options.save(out)
        stack.enter_context(alone(out))
        rows = run(
            problem,
            plan,
            settings,
            trainings,
            hardware=hardware,
            processes=asked.processes,
            resume=asked.resume and trainings.exists(),
            on_cell=_tell,
            progress=setup.progress and sys.stderr.isatty(),
        )
    about = {
        "command": again(options.command.name, out),
        "versions": versions(),
        "options": options.config(),
    }
    paths = write_report(out, rows, title=title, about=about)
    print_table(rows, title, draws=asked.draws)
    print(f"written: {', '.join(path.name for path in paths)} in {out}")
    if asked.hand_over:
        cells = list(plan.cells())
        # What is trained for the largest errors, where each is trained for its own.
        most = max(cell.train_sigma_d for cell in cells)
        folders = [trainings / "cells" / cell.folder for cell in cells if cell.train_sigma_d == most]
        hand_over(options, folders, out)
    return rows


def describe(options: Options, shape: tuple[int, int, int]) -> str:
    """Return data, network and length of training, for titles."""
    model = options[ModelOptions]
    told = "".join(f" {name} {value}" for name, value in model.model_options.items())
    data = options[DataOptions]
    images = f", {data.train_images:,} images" if data.train_images else ""
    epochs = options[TrainingOptions].epochs
    return f"{data.data} {shape[1]}×{shape[2]}{images}, {model.model}{told}, {epochs} epochs"


def _fresh(options: ModelOptions, classes: int, shape: tuple[int, int, int], seed: int) -> nn.Module:
    return build_model(options, classes, shape, seed)


def _tell(done: int, all_: int, cell: Cell, rows: Sequence[Mapping[str, Any]]) -> None:
    accuracies = ", ".join(f"{100 * row['accuracy']['mean']:.2f} % at {row['sigma_d']:g}" for row in rows)
    trained = f"{cell.recipe.name}, trained at sigma_d {cell.train_sigma_d:g}, seed {cell.seed}"
    print(f"[{done}/{all_}] {trained}: {accuracies}", file=sys.stderr, flush=True)
