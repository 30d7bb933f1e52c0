"""`write-verify`, `layers`, `recalibrate`, `calibrate` and `worst-case`: a process each, their files, and what they refuse."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cli.processes import SMALL, run
from steadynet.cli.main import main
from steadynet.compute import Compute
from steadynet.deploy import held
from steadynet.montecarlo.forward import Forward

CHECKS = {
    "layers": ("layers", ("--draws", "3"), "noisy layer"),
    "recalibrate": ("recalibration", ("--draws", "3", "--images", "8", "20"), "images"),
    "calibrate": ("calibration", ("--draws", "3"), "divided by"),
    "write-verify": (
        "write-verify",
        ("--draws", "3", "--nwc", "0", "0.5", "--rank", "sensitivity", "random"),
        "ranking",
    ),
    "worst-case": (
        "worst-case",
        ("--draws", "4", "--steps", "2", "--norm", "linf", "--bound", "0.3"),
        "chip",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run."""
    folder = tmp_path_factory.mktemp("checks")
    run(folder, "train", *SMALL, "--recipe", "noise", "--sigma-d", "0.2", "--epochs", "2", "--out", "run")
    return folder


@pytest.mark.parametrize("command", CHECKS)
def test_a_process_prints_a_table_and_writes_files_that_agree_with_it(folder: Path, command: str) -> None:
    name, words, heading = CHECKS[command]
    done = run(folder, command, "run", *words, "--out", command)
    assert heading in done.stdout
    assert "sigma_d 0.2, " in done.stdout, "it is that of the training"
    out = folder / command
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["config.yaml", *(f"{name}.{suffix}" for suffix in ("csv", "json", "png", "svg"))]
    )
    written = json.loads((out / f"{name}.json").read_text())
    with (out / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in written["rows"]
    ] == rows
    assert written["about"]["sigma_d"] == 0.2
    assert written["about"]["command"].startswith(f"steadynet {command} --config {command}/config.yaml")
    for row in written["rows"]:
        label = str(
            row.get("ranking", row.get("layer", row.get("images", row.get("chip", row.get("logits")))))
        )
        second = f"{row['nwc']:g}" if "nwc" in row else ""
        line = next(
            line
            for line in done.stdout.splitlines()
            if line.strip().startswith(label) and (not second or line.split()[1] == second)
        )
        assert f"{100 * row['accuracy']:.2f}" in line


def values(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the numbers of a command's rows, NaN where there is none."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return np.array(
        [
            [np.nan if one is None else one for one in row.values() if not isinstance(one, str)]
            for row in rows
        ],
        dtype=float,
    )


# Of torch, which asks traced weights that are no leaves for their gradients.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("command", CHECKS)
def test_other_ways_of_computing_see_the_same_chips(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    # Traced as ever, but its code left as it is, for which no compiler is needed.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    asked: list[Compute] = []
    monkeypatch.setattr(
        held, "Forward", lambda model, compute: asked.append(compute) or Forward(model, compute)
    )
    name, words, _ = CHECKS[command]
    found: list[np.ndarray[Any, np.dtype[Any]]] = []
    for how in ("--accelerator cpu", "--precision 32 --accelerator cpu --compile", "--precision bf16"):
        out = tmp_path / str(len(found))
        assert main([command, str(folder / "run"), *words, *how.split(), "--out", str(out)]) == 0
        found.append(values(out / f"{name}.json"))
        assert all(
            f"{word[2:]}: " in (out / "config.yaml").read_text() for word in how.split() if word[:2] == "--"
        )
    assert list(dict.fromkeys(asked)) == [
        Compute("cpu"),
        Compute("cpu", compile=True),
        Compute("auto", precision="bf16"),
    ]
    plain, compiled, half = found
    np.testing.assert_allclose(compiled, plain, rtol=1e-5)
    # Rounding changes few of 50 images, and in a descent's last steps a few more.
    np.testing.assert_allclose(half, plain, atol=0.1, rtol=0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it needs a machine without CUDA")
@pytest.mark.parametrize("command", CHECKS)
def test_an_accelerator_that_is_not_here_is_told_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    _, words, _ = CHECKS[command]
    out = tmp_path / "out"
    assert main([command, str(folder / "run"), *words, "--accelerator", "cuda", "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert "device 'cuda' cannot be used here" in captured.err
    assert (captured.err.count("\n"), captured.out, out.exists()) == (1, "", False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *((f"{command} run --chunk 3", "--chunk") for command in CHECKS),
        ("layers run --processes 2", "--processes"),
        ("layers run --channels-last", "--channels-last"),
        ("layers run --precision 16", "unknown --precision '16'"),
        ("layers run --accelerator tpu", "unknown --accelerator 'tpu'"),
        ("layers", "name what to check: RUN"),
        ("layers missing", "there is no missing"),
        ("layers run --sigma-d 0", "--sigma-d must be a finite number > 0"),
        ("layers run --draws 1", "--draws must be an integer ≥ 2"),
        ("calibrate run --draws 1", "--draws must be an integer ≥ 2"),
        ("recalibrate run --images 1", "calibration on 1 images: give 0, or 2 to 180"),
        ("recalibrate run --images 5000", "calibration on 5000 images"),
        ("write-verify run --nwc 1.5", "--nwc must be a finite number ≥ 0 and ≤ 1, got 1.5"),
        ("write-verify run --nwc -0.1", "--nwc must be a finite number ≥ 0"),
        ("write-verify run --tolerance 0", "--tolerance must be a finite number > 0"),
        ("write-verify run --tolerance 1e-9 --draws 2", "are still not within 1e-09 of their target"),
        ("write-verify run --rank size", "--rank"),
        ("worst-case run --bound 0", "--bound must be a finite number > 0"),
        ("worst-case run --norm l1", "--norm"),
        ("worst-case run --steps 0", "--steps must be an integer ≥ 1"),
    ],
)
def test_refused_in_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(words.split()) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]
