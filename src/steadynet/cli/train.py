"""`steadynet train`: one network, one recipe, one device."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from steadynet.cli.command_options import RunOptions
from steadynet.cli.outputs import check_output
from steadynet.cli.parser import CONFIG_NAME, Command, Options, parse
from steadynet.cli.runs import BACKBONE, check_resumed, resumable, resumed_folder, trained_weights
from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.folders import alone, check_free, claimed_folder
from steadynet.options.build import (
    build_model,
    check_model,
    check_recipe,
    is_main_process,
    load_data,
    teacher_of,
    training_hardware,
    training_settings,
)
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import DataOptions, ModelOptions, RecipeOptions, TrainingOptions

GROUPS = (DataOptions, ModelOptions, DeviceOptions, RecipeOptions, TrainingOptions, RunOptions)
COMMAND = Command(
    "train",
    "Train a network for a noisy device by one recipe. The weights of the epoch with the best accuracy on "
    "noisy chips, over validation images, are kept; test images are left to `steadynet evaluate`.",
    GROUPS,
    inherits=GROUPS,
    examples=(
        "steadynet train --recipe noise --sigma-d 0.2 --out runs/noise",
        "steadynet train --data mnist --model.width 0.25 --recipe ovf --beta 0.01 --out runs/ovf",
        "steadynet train --out runs/ovf --resume",
    ),
)
# Checkpoint and history lie in a folder of their own, which the training alone writes to.
TRAINING = "training"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv, resumed_folder)
    if options is None:
        return 0
    run = options[RunOptions]
    out = Path(run.out)
    if is_main_process():
        check_free(out)
    check_recipe(options[RecipeOptions].build(), options[DeviceOptions].build(run.sigma_d))
    if run.resume:
        _check_resumable(out)
        check_resumed(options, out)
    elif is_main_process():
        start = [Path(run.init)] if run.init else []
        teacher = teacher_of(options[RecipeOptions].build())
        if not run.overwrite and (out / TRAINING).is_dir() and not (out / BACKBONE).exists():
            raise SteadyNetError(
                f"{out} holds a training that is not finished: --resume goes on with it, --overwrite starts anew"
            )
        check_output(out, options, *start, *teacher, overwrite=run.overwrite)
    if run.init is not None and not run.resume:
        trained_weights(Path(run.init))
    return train(options)


def train(options: Options) -> int:
    """Train, and write the run's folder."""
    from steadynet.data import checksums
    from steadynet.deploy import save_backbone
    from steadynet.training import fit

    run, setup = options[RunOptions], options[TrainingOptions]
    recipe, device = options[RecipeOptions].build(), options[DeviceOptions].build(run.sigma_d)
    out, folder = Path(run.out), Path(run.out) / TRAINING
    data = load_data(options[DataOptions])
    model = build_model(options[ModelOptions], data.classes, data.shape, run.seed)
    check_model(model, data)
    settings, hardware = training_settings(setup, run.seed), training_hardware(setup)
    started = run.resume and (folder / "last.ckpt").exists()
    if run.resume and not started:
        print(f"steadynet: {out} has no checkpoint yet; it starts at the beginning", file=sys.stderr)
    writes = is_main_process()
    with ExitStack() as stack:
        stack.enter_context(resumable("train", out))
        if writes and not run.resume:
            stack.enter_context(claimed_folder(out, folder, overwrite=run.overwrite))
            options.save(out)
        if writes:
            stack.enter_context(alone(out))
        result = fit(
            model,
            recipe,
            device,
            data.train,
            data.validation,
            settings=settings,
            hardware=hardware,
            out=folder,
            resume=started,
            overwrite=run.resume and not started,
            init=None if started or run.init is None else trained_weights(Path(run.init)),
            loggers=tuple(setup.loggers),
            progress=setup.progress and sys.stderr.isatty(),
        )
        if result.interrupted:
            raise KeyboardInterrupt
    if not writes:
        return 0
    save_backbone(model, out / BACKBONE)
    best = result.history[result.best_epoch]
    write_json_atomically(
        out / "result.json",
        {
            "recipe": recipe.describe(),
            "device": str(device),
            "images": checksums(data),
            "best_epoch": result.best_epoch,
            "val_accuracy": best["val_accuracy"],
            "val_accuracy_noisy": best["val_accuracy_noisy"],
            "seconds": result.seconds,
            "history": [dict(row) for row in result.history],
        },
    )
    print(
        f"best epoch {result.best_epoch} of 0 to {len(result.history) - 1}: validation accuracy "
        f"{100 * best['val_accuracy']:.2f} % clean, {100 * best['val_accuracy_noisy']:.2f} % on noisy chips "
        f"({setup.val_draws} chips, sigma_d {run.sigma_d:g})"
    )
    print(f"weights: {out / BACKBONE}; next: steadynet evaluate {out}")
    return 0


def _check_resumable(out: Path) -> None:
    if (out / BACKBONE).exists():
        raise SteadyNetError(
            f"the run in {out} is finished; train longer in another folder, with --init {out}"
        )
    if not (out / CONFIG_NAME).exists():
        raise SteadyNetError(f"{out} holds no run to resume: start it without --resume")
