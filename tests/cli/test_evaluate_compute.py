"""`steadynet evaluate`: ways of computing give the same chips, and what is missing for one is told in one line."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cli.processes import SMALL
from steadynet.cli.evaluate_options import ComputeOptions
from steadynet.cli.main import main
from steadynet.compute import Compute


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network."""
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *SMALL, "--epochs", "2", "--sigma-d", "0.1", "--out", str(run)]) == 0
    return run


@pytest.fixture
def words(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return ["evaluate", str(trained), "--sigma-d", "0.1", "0.2", "--draws", "8", "--no-progress"]


def accuracies(folder: str) -> list[list[float]]:
    rows: Any = json.loads(Path(folder, "results.json").read_text())["rows"]
    return [row["accuracy_values"] for row in rows]


def test_every_option_reaches_the_library() -> None:
    options = ComputeOptions(
        accelerator="cpu", precision="bf16", channels_last=True, chunk="auto", processes=3, ray=None
    )
    assert options.build() == Compute("cpu", "bf16", True, False, "auto", 3, None)
    assert ComputeOptions(accelerator="cpu", precision="fp32").build() == Compute("cpu", "32"), "train's word"
    assert ComputeOptions(compile=True).build() == Compute("auto", compile=True)


def test_processes_give_the_very_accuracies_of_one(words: list[str]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert main([*words, "--out", "one"]) == 0
        assert main([*words, "--processes", "2", "--out", "two"]) == 0
    finally:
        torch.set_num_threads(before)
    assert accuracies("two") == accuracies("one")


@pytest.mark.parametrize(
    "how", ["--precision bf16", "--precision auto", "--channels-last", "--chunk 3", "--chunk auto", "--compile",
            "--precision bf16 --channels-last --chunk auto", "--accelerator cpu"],
)  # fmt: skip
def test_other_ways_see_the_same_chips(how: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as ever, but its code left as it is, for which no compiler is needed.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    assert main([*words, "--out", "plain"]) == 0
    assert main([*words, *how.split(), "--out", "other"]) == 0
    config = Path("other/config.yaml").read_text()
    assert all(f"{word[2:].replace('-', '_')}: " in config for word in how.split() if word.startswith("--"))
    # One image of 50 is 2 points: rounding changes at most a few, another chip most of them.
    difference = np.abs(np.array(accuracies("other")) - np.array(accuracies("plain")))
    assert difference.mean() <= (0.01 if "bf16" in how or "auto" in how else 1e-12)


@pytest.mark.parametrize("design", ["--draws 4", "--half-width 2"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("--ray 127.0.0.1:1", "no Ray cluster can be reached at 127.0.0.1:1"),
        ("--ray head", "'head' is no address of a Ray cluster: give 'local' or HOST:PORT"),
        ("--ray head:6379 --processes 2", "processes 2 says nothing to a Ray cluster"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_told_in_one_line(
    how: str, told: str, design: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert (
        main(["evaluate", str(trained), *design.split(), *how.split(), "--no-progress", "--out", str(out)])
        == 2
    )
    captured = capsys.readouterr()
    assert captured.err.startswith("steadynet: error: ")
    assert told in captured.err
    assert (captured.err.count("\n"), captured.out, out.exists()) == (1, "", False)


def test_ray_that_is_not_installed_is_told_before_anything_is_loaded(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "ray" else real(name))
    assert main(["evaluate", str(trained), "--ray", "local"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "steadynet: error: --ray needs ray: pip install 'steadynet[ray]'\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("--processes 0", "processes must be an integer ≥ 1, got 0"),
        ("--chunk 0", "chunk must be an integer ≥ 1, got 0"),
        ("--chunk all", "option --chunk takes an integer or 'auto', got 'all'"),
        ("--compile --chunk 4", "compile and chunk do not go together"),
        ("--precision 16", "unknown --precision '16'"),
        ("--accelerator tpu", "unknown --accelerator 'tpu'"),
        ("--ray ''", "ray must be 'local' or the HOST:PORT"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    how: str, told: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained), *(word.strip("'") for word in how.split())]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="it needs a machine without CUDA")
def test_an_accelerator_that_is_not_here_is_told_in_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--accelerator", "cuda", "--out", "out"]) == 2
    captured = capsys.readouterr()
    assert "device 'cuda' cannot be used here" in captured.err
    assert (captured.err.count("\n"), captured.out, Path("out").exists()) == (1, "", False)


def test_converters_change_what_chips_give_and_many_bits_hardly(words: list[str]) -> None:
    assert main([*words, "--out", "plain"]) == 0
    assert main([*words, "--input-bits", "14", "--output-bits", "16", "--out", "many"]) == 0
    assert main([*words, "--input-bits", "3", "--output-bits", "3", "--tile", "8", "8", "--out", "few"]) == 0
    assert "input_bits: 3" in Path("few/config.yaml").read_text()
    plain, many, few = (np.array(accuracies(out)) for out in ("plain", "many", "few"))
    assert np.abs(many - plain).mean() <= 0.005
    assert few.mean() < plain.mean() - 0.05


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("--input-bits 1", "--input-bits must be an integer ≥ 2 and ≤ 16, got 1"),
        ("--output-bits 17", "--output-bits must be an integer ≥ 2 and ≤ 16, got 17"),
        ("--output-bits 8 --coverage 0", "--coverage"),
        ("--coverage 0.9", "are for converters: give --input-bits or --output-bits"),
        ("--input-bits 8 --calibration-images 0", "--calibration-images must be an integer ≥ 1, got 0"),
    ],
)
def test_converters_are_refused_at_the_door(
    how: str, told: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *how.split()]) == 2
    assert told in capsys.readouterr().err
