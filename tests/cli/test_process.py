"""Each command does its work as a process, and a training that is cut off is carried on to the same end.

Commands start by themselves, as a user's do; what follows one that has is forked, which spares the imports.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cli import forked
from cli.processes import SMALL, run, start, wait_for
from training.small import differences, read

# Noise in training, so that every step's draw must be found again; a checkpoint after each of 40 steps.
TRAIN = (
    "train", *SMALL, "--recipe", "noise-t4", "--sigma-d", "0.1", "--epochs", "10", "--batch-size", "48",
    "--val-draws", "1", "--checkpoint-every", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `whole`, which nothing disturbed."""
    folder = tmp_path_factory.mktemp("process")
    done = run(folder, *TRAIN, "--out", "whole")
    assert "weights: whole/backbone.safetensors; next: steadynet evaluate whole" in done.stdout
    assert done.stderr == "", "without a progress bar, nothing is said on stderr"
    return folder


def assert_same_end(folder: Path, name: str) -> None:
    """The run `name` ends as `whole` did: best weights, last weights, optimiser, history."""
    whole, other = (read(folder / run / "training" / "last.ckpt") for run in ("whole", name))
    assert whole["state_dict"].keys() == other["state_dict"].keys()
    assert all(torch.equal(tensor, other["state_dict"][key]) for key, tensor in whole["state_dict"].items())
    assert differences(whole, other) == []
    best, theirs = (load_file(folder / run / "backbone.safetensors") for run in ("whole", name))
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in best.items())
    results: list[Any] = [json.loads((folder / run / "result.json").read_text()) for run in ("whole", name)]
    for result in results:
        result.pop("seconds")
        for row in result["history"]:
            row.pop("seconds")
    assert results[0] == results[1]


def steps_done(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=True)["global_step"]) if checkpoint.exists() else 0


def test_a_killed_training_is_carried_on_to_the_same_end(folder: Path) -> None:
    checkpoint = folder / "killed" / "training" / "last.ckpt"
    process = start(folder, *TRAIN, "--out", "killed")
    wait_for(lambda: steps_done(checkpoint) >= 6, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 6 <= steps_done(checkpoint) < 40
    assert not (folder / "killed" / "backbone.safetensors").exists(), "it was killed before its end"
    forked.run(folder, "train", "--out", "killed", "--resume")
    assert_same_end(folder, "killed")


def test_ctrl_c_tells_how_to_carry_on_and_that_works(folder: Path) -> None:
    checkpoint = folder / "cut" / "training" / "last.ckpt"
    process = start(folder, *TRAIN, "--out", "cut")
    wait_for(lambda: steps_done(checkpoint) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = error.strip().splitlines()
    told = re.fullmatch(
        r"steadynet: interrupted: nothing finished is lost; to carry on: steadynet (.*)", line
    )
    assert told is not None
    assert 3 <= steps_done(checkpoint) < 40
    # Options that would make it another training are refused first, and cost nothing.
    for words in (("--lr", "0.5"), ("--data-seed", "3"), ("--recipe", "ovf"), ("--sigma-d", "0.2")):
        refused = forked.run(folder, *shlex.split(told[1]), *words, code=2)
        assert "cut was started with other options" in refused.stderr
        assert refused.stderr.count("\n") == 1
    forked.run(folder, *shlex.split(told[1]))
    assert_same_end(folder, "cut")
    refused = forked.run(folder, *shlex.split(told[1]), code=2)
    assert "the run in cut is finished" in refused.stderr


def test_evaluate_and_export_and_their_files(folder: Path) -> None:
    words = ("--sigma-d", "0.1", "0.2", "--draws", "3", "--no-progress", "--out", "evaluated")
    done = run(folder, "evaluate", "whole", *words)
    assert "50 test images, 3 chips each" in done.stdout
    rows: Any = json.loads((folder / "evaluated" / "results.json").read_text())["rows"]
    assert [row["sigma_d"] for row in rows] == [0.1, 0.2]
    done = run(folder, "export", "whole", "--onnx", "--out", "exported")
    names = {path.name for path in (folder / "exported").iterdir()}
    assert names == {"backbone.safetensors", "backbone.pt", "backbone.onnx", "levels.npz", "export.json"}
    assert all(name in done.stdout for name in names)
    best, handed = (load_file(folder / name / "backbone.safetensors") for name in ("whole", "exported"))
    assert all(torch.equal(tensor, handed[key]) for key, tensor in best.items())


def test_demo_compares_and_hands_over(tmp_path: Path) -> None:
    words = ("--recipes", "vanilla", "noise", "--epochs", "1", "--draws", "2", "--sigma-d", "0.2")
    done = run(tmp_path, "demo", *SMALL, *words)
    assert "handed over, by validation accuracy on noisy chips:" in done.stdout
    out = tmp_path / "demo-results"
    for name in (
        "results.json",
        "results.csv",
        "results.md",
        "accuracy.png",
        "accuracy.svg",
        "ekl.png",
        "config.yaml",
    ):
        assert (out / name).stat().st_size > 0
    assert (out / "export" / "levels.npz").stat().st_size > 0
    # A second call does not overwrite the first.
    refused = run(tmp_path, "demo", code=2)
    assert "output folder demo-results is not empty; give another, or --overwrite" in refused.stderr


def test_a_comparison_is_stopped_by_ctrl_c_and_carried_on(tmp_path: Path) -> None:
    words = ("--recipes", "noise", "ovf", "--sigma-d", "0.1", "0.2", "--epochs", "8", "--draws", "2")
    process = start(tmp_path, "compare", *SMALL, *words, "--out", "c")
    cells = tmp_path / "c" / "trainings" / "cells"
    wait_for(lambda: len(list(cells.glob("*/last.ckpt"))) >= 1, process)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.strip().splitlines()[-1].endswith("to carry on: steadynet compare --out c --resume")
    finished = len(list(cells.glob("*/result.json")))
    assert finished < 4
    done = forked.run(tmp_path, "compare", "--out", "c", "--resume")
    assert "[4/4]" in done.stderr
    rows: Any = json.loads((tmp_path / "c" / "results.json").read_text())["rows"]
    assert [(row["recipe"], row["sigma_d"]) for row in rows] == [
        ("noise", 0.1), ("noise", 0.2), ("ovf", 0.1), ("ovf", 0.2),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["devices", "models", "recipes"])
def test_lists_are_printed_whole_into_a_pipe(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, name)
    assert done.stderr == ""
    assert {"devices": "rram4", "models": "resnet18", "recipes": "correctnet-lognormal"}[name] in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_warning_is_one_line(tmp_path: Path) -> None:
    words = ("--recipe", "trice", "--stuck-hrs", "0.05", "--read-sigma", "0.1", "--epochs", "1", "--out", "r")
    (line,) = forked.run(tmp_path, "train", *SMALL, *words).stderr.splitlines()
    assert line.startswith(
        "steadynet: warning: recipe 'trice' trains on a law of its own, which cannot hold Stuck("
    )
