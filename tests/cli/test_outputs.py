"""Folders of results: never one that holds what the command reads, which emptying it would destroy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli.processes import SMALL
from steadynet.cli.main import main

TABLE = "target,mean,std\n10,11,2\n40,41,5\n100,98,4\n"
TRAIN = f"train --data digits --epochs 1 {' '.join(SMALL)}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TRAIN.split(), "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (f"{TRAIN} --device lab/own.csv", "own.csv"),
        (f"{TRAIN} --fault-map lab/faults.npz", "faults.npz"),
        ("train --config lab/own.yaml", "own.yaml"),
        ("train --config=lab/own.yaml", "own.yaml"),
        (f"compare --device lab/own.csv --recipes noise {' '.join(SMALL)}", "own.csv"),
        ("evaluate RUN --device lab/own.csv", "own.csv"),
        ("export RUN --device lab/own.csv --chips 0", "own.csv"),
        ("write-verify RUN --device lab/own.csv", "own.csv"),
        ("devices list --device pcm lab/own.csv", "own.csv"),
    ],
)
def test_what_is_read_is_not_emptied(
    words: str,
    kept: str,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "history.csv").touch()  # A folder of results, which could be emptied.
    (tmp_path / "lab" / "own.csv").write_text(TABLE, encoding="utf-8")
    (tmp_path / "lab" / "own.yaml").write_text("data: digits\nepochs: 1\n", encoding="utf-8")
    np.savez(tmp_path / "lab" / "faults.npz", **{"fc.weight": np.zeros((1, 1), np.int8)})
    before = (tmp_path / "lab" / kept).read_bytes()
    asked = words.replace("RUN", str(trained)).split()
    assert main([*asked, "--out", "lab", "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("steadynet: error: output folder lab holds ")
    assert f"lab/{kept}, which is read: give another folder" in told
    assert (tmp_path / "lab" / kept).read_bytes() == before


def test_a_run_may_be_done_anew_by_its_own_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN.split(), "--out", "run"]) == 0
    weights = (tmp_path / "run" / "backbone.safetensors").read_bytes()
    again = ["train", "--config", "run/config.yaml", "--no-progress", "--out", "run", "--overwrite"]
    assert main(again) == 0
    assert (tmp_path / "run" / "backbone.safetensors").read_bytes() == weights
