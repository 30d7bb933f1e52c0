"""One command line from measurements and a network to a robust backbone, a chip file and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import steadynet as sn
from cli.processes import SMALL
from steadynet.cli.hand_over import best_training
from steadynet.cli.main import main

LAB = "target (µS),mean,std\n10,11,2\n40,41,5\n100,98,6\n"


def test_measurements_train_test_and_hand_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.csv").write_text(LAB, encoding="utf-8")
    words = ["--device", "lab.csv", "--sigma-d", "own", "--epochs", "1", "--draws", "3", "--out", "mine"]
    recipes = ["--recipes", "noise", "steady"]
    assert main(["compare", *SMALL, *recipes, *words, "--hand-over"]) == 0
    shown = capsys.readouterr().out
    own = sn.named_device("lab.csv").own_sigma_d
    rows: Any = json.loads(Path("mine/results.json").read_text())["rows"]
    assert [row["sigma_d"] for row in rows] == [own, own]
    # The one that was better over validation images.
    cells = sorted(Path("mine/trainings/cells").iterdir())
    best = best_training(cells)
    assert f"handed over, by validation accuracy on noisy chips: {best.name}" in shown
    told, kept = (load_file(p / "backbone.safetensors") for p in (Path("mine/export"), best))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in told.items())
    assert json.loads(Path("mine/export/export.json").read_text())["device"]
    # The run knows its device from wherever it is read.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config: Any = yaml.safe_load((tmp_path / "mine/config.yaml").read_text())
    assert config["device"] == str(tmp_path / "lab.csv")
    assert (
        main(
            [
                "evaluate",
                str(tmp_path / "mine/trainings/cells" / best.name),
                "--sigma-d",
                "own",
                "--draws",
                "2",
            ]
        )
        == 0
    )


def test_the_training_for_the_largest_error_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--sigma-d", "0.1", "0.3", "--epochs", "1", "--draws", "2", "--recipes", "noise", "--out", "two"]
    assert main(["compare", *SMALL, *words, "--hand-over"]) == 0
    assert "noisy chips: noise-sigma0.3-seed0" in capsys.readouterr().out


def test_what_was_compared_can_be_handed_over_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--sigma-d", "0.1", "--epochs", "1", "--draws", "2", "--recipes", "noise", "--out", "one"]
    assert main(["compare", *SMALL, *words]) == 0
    assert not Path("one/export").exists()
    assert main(["compare", *SMALL, *words, "--resume", "--hand-over"]) == 0
    assert "noisy chips: noise-sigma0.1-seed0" in capsys.readouterr().out
    assert Path("one/export/export.json").exists()


def test_the_best_is_chosen_by_its_best_epoch(tmp_path: Path) -> None:
    for name, accuracies in (("a", (0.5, 0.7)), ("b", (0.9, 0.2)), ("c", (0.9, 0.9))):
        (tmp_path / name).mkdir()
        rows = "".join(f"{epoch},{value}\n" for epoch, value in enumerate(accuracies))
        (tmp_path / name / "history.csv").write_text("epoch,val_accuracy_noisy\n" + rows)
    assert best_training(sorted(tmp_path.iterdir())) == tmp_path / "b"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("target,mean\n1,2\n", "lacks the columns std"),
        ("target,mean,std\n2,2,0.1\n1,1,0.1\n", "lab.csv"),
        ("target,mean,std\n1,1,0.1\n2,2,-0.1\n", "lab.csv"),
    ],
)
def test_bad_measurements_are_refused_in_one_line(
    table: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.csv").write_text(table, encoding="utf-8")
    for command in ("train", "compare"):
        assert main([command, "--device", "lab.csv", "--sigma-d", "0.1"]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--device", "none.csv"]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_preset_makes_a_device_at_its_own_size_or_another() -> None:
    pcm = sn.preset("pcm")
    named = sn.named_device("pcm")
    assert named.device().sigma_d == pytest.approx(named.own_sigma_d)
    assert named.device(0.1, weight_bits=6, device_bits=3).slices == 2
    assert named.device(on_off_ratio=20).on_off_ratio == 20
    assert pcm == named.at()
