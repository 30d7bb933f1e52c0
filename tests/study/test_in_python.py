"""A study from Python: rows come back, and what failed is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import steadynet as sn
from steadynet.cli.main import main
from study.small import write, written

ONE = {
    "recipe": {"W/": {"recipe": "noise"}, "bad": {"recipe": "irs", "taps": ["nowhere"]}},
    "sigma_d": [0.1],
    "seed": [0],
}


def test_rows_come_back_from_a_mapping_and_from_its_file_alike(tmp_path: Path) -> None:
    rows = sn.run_study(written(axes=ONE, name="small"), out=tmp_path, only=["recipe=W/"])
    assert [row["axes"] for row in rows] == [{"recipe": "W/", "sigma_d": 0.1, "seed": 0}]
    assert len(rows[0]["accuracy_values"]) == rows[0]["draws"] == 3
    read = sn.read_study(write(tmp_path, axes=ONE))
    assert [row["accuracy"] for row in sn.run_study(read, out=tmp_path, only=["recipe=W/"])] == [
        rows[0]["accuracy"]
    ]
    assert rows[0]["command"] == "sn.run_study(…, only=['recipe=W/', 'sigma_d=0.1', 'seed=0'])"
    again = sn.run_study(tmp_path / "small.yaml", out=tmp_path, only=["recipe=W/"])
    assert again[0]["command"].endswith("small.yaml --only recipe=W/ sigma_d=0.1 seed=0")


def test_a_cell_that_fails_is_told_after_the_others_are_done(tmp_path: Path) -> None:
    ended: list[str] = []
    with pytest.raises(sn.SteadyNetError, match=r"1 of 2 cells failed; the first, digits-cnn-irs-.*nowhere"):
        sn.run_study(written(axes=ONE), out=tmp_path, on_outcome=lambda _, outcome: ended.append(outcome.end))
    assert sorted(ended) == ["failed", "finished"]


def test_a_cell_is_a_run_for_the_commands_on_finished_runs_and_a_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (row,) = sn.run_study(written(axes={**ONE, "recipe": {"W/": {"recipe": "noise"}}}), out=tmp_path / "out")
    (cell,) = (tmp_path / "out" / "cells").iterdir()
    assert json.loads((cell / "result.json").read_text())["images"].keys() == {"train", "validation", "test"}
    # Its own network, data and device: the study's very accuracies, of the same chips.
    asked = (
        f"evaluate {cell} --sigma-d 0.1 --draws 3 --seed {row['evaluation_seed']} --no-progress --out found"
    )
    assert main(asked.split()) == 0
    found = json.loads((tmp_path / "found" / "results.json").read_text())["rows"][0]
    assert found["accuracy_values"] == row["accuracy_values"]
    taught = f"train --config {cell / 'config.yaml'} --recipe distill --teacher {cell} --epochs 1 --no-progress --out t"
    assert main(taught.split()) == 0
    assert json.loads((tmp_path / "t" / "result.json").read_text())["recipe"]["objective"]["teacher"] == str(
        cell
    )
