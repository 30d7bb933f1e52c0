"""train, evaluate and compare do their work on real digits, and what they write fits together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data.pictures import picture, write
from steadynet.cli.main import main
from steadynet.folders import alone

QUICK = [
    "--model",
    "cnn",
    "--model.width",
    "0.25",
    "--train-images",
    "200",
    "--test-images",
    "50",
    "--no-progress",
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished training of two epochs."""
    monkeypatch.chdir(tmp_path)
    words = ["train", *QUICK, "--epochs", "2", "--recipe", "noise-t4", "--sigma-d", "0.1", "--out", "run"]
    assert main(words) == 0
    return tmp_path / "run"


def test_train_leaves_options_history_weights_and_result(run: Path) -> None:
    from safetensors import safe_open

    assert yaml.safe_load((run / "config.yaml").read_text())["recipe"] == "noise-t4"
    result = json.loads((run / "result.json").read_text())
    assert len(result["history"]) == 2
    assert result["recipe"]["objective"] == {"class": "CrossEntropy", "temperature": 4.0}
    noisy = [row["val_accuracy_noisy"] for row in result["history"]]
    assert result["best_epoch"] == noisy.index(max(noisy))
    assert (run / "training" / "history.csv").read_text().count("\n") == 1 + 2
    with safe_open(run / "backbone.safetensors", "pt") as weights:
        assert any("weight" in name for name in weights.keys())  # noqa: SIM118  (no mapping)


def test_the_effective_options_give_the_same_run_again(run: Path) -> None:
    from safetensors.torch import load_file

    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert (saved["recipe"], saved["epochs"], saved["model_options"]) == ("noise-t4", 2, {"width": 0.25})
    assert saved["optimizer"] == "adam", "defaults stand there too"
    assert main(["train", "--config", "run/config.yaml", "--out", "again"]) == 0
    first, again = (load_file(Path(name) / "backbone.safetensors") for name in ("run", "again"))
    assert all((first[name] == again[name]).all() for name in first)
    assert yaml.safe_load(Path("again/config.yaml").read_text()) == {**saved, "out": "again"}


def test_what_is_not_finished_is_refused_by_name_of_what_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command, below in (("train", "training"), ("compare", "trainings")):
        (tmp_path / command / below).mkdir(parents=True)
        assert main([command, "--data", "digits", "--model", "cnn", "--out", command]) == 2
        assert "is not finished: --resume goes on with it, --overwrite starts anew" in capsys.readouterr().err


def test_a_filled_folder_is_refused_unless_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "result.json").read_bytes()
    assert main(["train", *QUICK, "--out", "run"]) == 2
    assert "output folder run is not empty" in capsys.readouterr().err
    assert main(["train", *QUICK, "--out", "run", "--overwrite", "--recipe", "irs", "--taps", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert main(["train", "--out", "run", "--resume"]) == 2
    assert "is finished" in capsys.readouterr().err
    assert main(["train", "--out", "elsewhere", "--resume"]) == 2
    assert "elsewhere holds no run to resume" in capsys.readouterr().err
    assert (run / "result.json").read_bytes() == before, "a refused run costs no earlier one"
    assert sorted(path.name for path in run.parent.iterdir()) == ["run"]
    assert main(["train", *QUICK, "--out", "run", "--overwrite", "--epochs", "1"]) == 0
    assert (run / "result.json").read_bytes() != before
    assert sorted(path.name for path in run.parent.iterdir()) == ["run"]


def test_evaluate_takes_the_runs_options_and_writes_every_draw(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "run", "--draws", "4", "--sigma-d", "0.2", "0", "--no-progress"]
    assert main([*words, "--target-accuracy", "0.05", "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert "50 test images, 4 chips each, seed 0" in printed
    assert "yield at 5 %" in printed
    found = json.loads(Path("out/results.json").read_text())
    assert [row["sigma_d"] for row in found["rows"]] == [0.0, 0.2]
    assert [len(row["accuracy_values"]) for row in found["rows"]] == [1, 4]
    assert found["rows"][0]["recipe"] == "noise-t4"
    assert found["rows"][0]["train_sigma_d"] == 0.1
    assert found["rows"][0]["accuracy"]["mean"] == pytest.approx(found["rows"][0]["quantised_accuracy"])
    # The command that the file tells gives the same numbers again.
    command = found["about"]["command"].split()
    assert main([*command[1:], "--out", "again"]) == 0
    assert json.loads(Path("again/results.json").read_text())["rows"] == found["rows"]


def test_a_run_on_a_folder_that_has_changed_since_is_not_tested_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it was trained on might be among the test images."""
    monkeypatch.chdir(tmp_path)
    for label, name in enumerate(("apple", "bear")):
        for number in range(20):
            write(tmp_path / "pics" / name / f"{number}.png", picture(label, number))
    quick = ["--model", "cnn", "--model.width", "0.25", "--no-progress"]
    assert main(["train", *quick, "--data", "folder:pics", "--epochs", "1", "--out", "run"]) == 0
    test = ["--draws", "2", "--sigma-d", "0.1", "--no-progress"]
    # From anywhere: the folder is kept as an absolute path.
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert main(["evaluate", "../run", *test]) == 0
    write(tmp_path / "pics" / "apple" / "20.png", picture(0, 20))
    capsys.readouterr()
    for command in (["evaluate", *test], ["layers", "--sigma-d", "0.1", "--draws", "2"]):
        assert main([command[0], "../run", *command[1:]]) == 2
        told = capsys.readouterr().err
        assert "holds other images than when ../run was trained" in told
        assert told.count("\n") == 1
    # Others on purpose.
    assert main(["evaluate", "../run", *test, "--data-seed", "3"]) == 0


def test_a_folder_that_another_process_trains_in_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(run):
        for words in (
            ["train", "--out", "run", "--resume"],
            ["train", *QUICK, "--out", "run", "--overwrite"],
        ):
            capsys.readouterr()
            assert main(words) == 2
            assert "another process is at run: wait until it has ended" in capsys.readouterr().err
    assert (run / "backbone.safetensors").is_file()


def test_evaluate_refuses_what_is_no_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["evaluate", "none"], "there is no none"),
        (["evaluate", "."], ". holds no backbone.safetensors, so it is no run; runs in it: run"),
        (["evaluate", "run/training"], "holds no backbone.safetensors"),
        (["evaluate", "run/result.json"], "run/result.json"),
        (["evaluate", "run", "--model.width", "0.5"], "backbone"),
        (["evaluate", "run", "--out", "run"], "is not empty"),
    ):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


def test_training_from_a_runs_weights_starts_at_them(run: Path) -> None:
    import torch
    from safetensors.torch import load_file

    words = [
        "--recipe",
        "noise",
        "--epochs",
        "1",
        "--lr",
        "1e-12",
        "--init",
        "run",
        "--out",
        "more",
        "--sigma-d",
        "0",
    ]
    assert main(["train", *QUICK, *words]) == 0
    before, after = (load_file(Path(name) / "backbone.safetensors") for name in ("run", "more"))
    for name, tensor in before.items():
        if name.endswith("weight"):
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-6)


def test_compare_tables_all_and_runs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["compare", *QUICK, "--recipes", "vanilla", "ovf", "--sigma-d", "0.3", "0.1", "--draws", "3"]
    assert main([*words, "--epochs", "1", "--seeds", "2", "--train-sigma-d", "0.2", "--out", "c"]) == 0
    captured = capsys.readouterr()
    assert "trained once, at sigma_d 0.2" in captured.out
    assert "over 2 trainings (Student's t)" in captured.out
    assert "[4/4]" in captured.err
    found = json.loads(Path("c/results.json").read_text())
    grid = [(row["recipe"], row["seed"], row["sigma_d"]) for row in found["rows"]]
    assert sorted(grid) == sorted((r, s, d) for r in ("vanilla", "ovf") for s in (0, 1) for d in (0.1, 0.3))
    assert Path("c/results.csv").read_text().count("\n") == 1 + 8
    for name in ("accuracy.png", "accuracy.svg", "ekl.png", "ekl.svg", "results.md"):
        assert Path("c", name).stat().st_size > 0
    trained = {path: path.stat().st_mtime_ns for path in Path("c").rglob("last.ckpt")}
    assert len(trained) == 4
    assert main(["compare", "--out", "c", "--resume"]) == 0
    assert {path: path.stat().st_mtime_ns for path in Path("c").rglob("last.ckpt")} == trained
    assert json.loads(Path("c/results.json").read_text())["rows"] == found["rows"]
    assert main(["compare", "--out", "c", "--resume", "--draws", "9"]) == 2
    bad = ["--recipes", "ovf", "irs", "--recipe.irs.taps", "[nowhere]", "--overwrite"]
    assert main(["compare", *QUICK, "--out", "c", *bad]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert json.loads(Path("c/results.json").read_text())["rows"] == found["rows"]
    assert main(["compare", "--out", "c"]) == 2
    cell = next(iter(trained)).parent
    capsys.readouterr()
    assert main(["evaluate", str(cell), "--draws", "2", "--sigma-d", "0.1", "--no-progress"]) == 0
    assert "50 test images" in capsys.readouterr().out


def test_a_network_and_a_recipe_of_the_users_own_by_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_nets.py").write_text(
        "import torch\n"
        "import steadynet as sn\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self, classes, width=2):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64, 8 * width), torch.nn.ReLU(),\n"
        "                         torch.nn.Linear(8 * width, classes))\n"
        "mine = sn.Recipe(constraint=sn.Clip(2.0), name='mine')\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = ["--model", "my_nets.Net", "--model.width", "3", "--recipe", "my_nets.mine", "--temperature", "2"]
    command = [str(Path(sys.executable).parent / "steadynet"), "train", *words, "--epochs", "1", "--out", "r"]
    subprocess.run(
        [*command, "--no-progress"], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    result = json.loads((tmp_path / "r" / "result.json").read_text())
    assert (result["recipe"]["constraint"]["class"], result["recipe"]["constraint"]["alpha"]) == ("Clip", 2.0)
    assert result["recipe"]["objective"] == {"class": "CrossEntropy", "temperature": 2.0}


def test_evaluate_gives_means_as_narrow_as_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "evaluate",
        "run",
        "--sigma-d",
        "0.1",
        "0.2",
        "--half-width",
        "2",
        "--no-progress",
        "--out",
        "means",
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "each chip sees one block of images" in printed
    assert "--design full" in printed
    rows = json.loads((run.parent / "means" / "results.json").read_text())["rows"]
    assert [row["sigma_d"] for row in rows] == [0.1, 0.2]
    for row in rows:
        accuracy = row["accuracy"]
        assert row["reached"]
        assert 0 < accuracy["hi"] - accuracy["mean"] <= 0.02
        assert row["draws"] == pytest.approx(row["blocks"] * row["cycles"], abs=1)
        assert row["draws"] >= 100
        assert "kpp5" not in row
    assert (run.parent / "means" / "accuracy.png").exists()
    words = [
        "evaluate",
        "run",
        "--sigma-d",
        "0.2",
        "--half-width",
        "0.01",
        "--max-draws",
        "120",
        "--no-progress",
    ]
    assert main(words) == 0
    assert "--max-draws ended the work" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "evaluate run",
        "export run",
        "train --init run",
        "train --data folder:run",
        "train --recipe distill --teacher run",
        "compare --recipes noise distill --recipe.distill.teacher run",
    ],
)
def test_no_folder_is_emptied_that_holds_what_is_read(
    run: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in run.rglob("*"))
    assert main([*command.split(), "--out", "run", "--overwrite"]) == 2
    assert "which is read: give another folder" in capsys.readouterr().err
    # The folder around it is no better.
    below = run.parent / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    words = [word.replace("run", str(run)) for word in command.split()]
    assert main([*words, "--out", str(run.parent / "."), "--overwrite"]) == 2
    assert sorted(path.name for path in run.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("--optimizer sgd", "stride says how far a step of Adam goes"),
        ("--batch-size 3", "2 chips cannot share a batch of 3 images"),
    ],
)
def test_compare_refuses_what_one_recipe_cannot_before_any_is_trained(
    tmp_path: Path, changes: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        f"compare --data digits --model cnn --model.width 0.25 --train-images 100 --test-images 20 --epochs 1 "
        f"--recipes noise steady --sigma-d 0.1 --draws 2 --no-progress --out {tmp_path / 'out'} {changes}"
    )
    assert main(words.split()) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]
    assert not (tmp_path / "out").exists()


def test_a_teacher_is_a_path_as_others_are(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(run.parent))
    monkeypatch.chdir(tmp_path)
    words = (
        f"train --data digits --model cnn --model.width 0.25 --train-images 100 --epochs 1 --no-progress --recipe distill "
        f"--teacher ~/{run.name} --out out"
    )
    assert main(words.split()) == 0
    # From elsewhere it is the same one.
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["teacher"] == str(run)
    # "none" is the word for no teacher at all, and no folder's name.
    words = (
        "train --data digits --model cnn --model.width 0.25 --train-images 100 --epochs 1 --no-progress --recipe distill "
        "--teacher none --out none"
    )
    assert main(words.split()) == 0
