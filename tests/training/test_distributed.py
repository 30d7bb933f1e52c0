"""Two gloo processes train as one process does on the same global batch: same chips, gradients and weights."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steadynet.training import Hardware
from steadynet.training.checkpoints import load_checkpoint
from training.ranks import train
from training.small import differences

TESTS = Path(__file__).parents[1]
SCRIPT = TESTS / "training" / "ranks.py"


def start(command: list[str], **environment: str) -> None:
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MASTER_", "RANK", "LOCAL_RANK"))
    }
    done = subprocess.run(
        command,
        env={**inherited, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def by_torchrun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("torchrun")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    start([*launcher, str(SCRIPT), str(out), "noise", "ovf", "ovf lean", "irs", "sam", "awp"])
    return out


def left(out: Path, name: str) -> tuple[Any, Any]:
    return torch.load(out / f"{name}.0.pt"), torch.load(out / f"{name}.1.pt")


def close(found: Tensor, expected: Tensor) -> None:
    # float64; the orders of summation differ.
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def check_against_one_process(out: Path, name: str) -> None:
    first, second = left(out, name)
    for key in ("gradients", "chips", "state", "accuracy", "best", "loss"):
        assert differences(first[key], second[key], key) == []
    single = train(name, Hardware(accelerator="cpu", devices=1), None)
    # Three batches an epoch, three epochs; OVF makes four forwards of each, and its lean form each of them twice.
    assert len(first["gradients"]) == len(single["gradients"]) == 9
    assert (
        len(first["chips"])
        == len(single["chips"])
        == {"ovf": 36, "ovf lean": 72, "sam": 18, "awp": 18}.get(name, 9)
    )
    for found, expected in zip(first["gradients"], single["gradients"], strict=True):
        assert found.keys() == expected.keys()
        for parameter, gradient in expected.items():
            close(found[parameter], gradient)
    for found, expected in zip(first["chips"], single["chips"], strict=True):
        close(found, expected)
    for parameter, tensor in single["state"].items():
        close(first["state"][parameter], tensor)
    assert first["accuracy"] == single["accuracy"]
    assert first["best"] == single["best"]
    assert first["loss"] == pytest.approx(single["loss"], rel=1e-9)


@pytest.mark.parametrize("name", ["noise", "ovf", "ovf lean", "irs", "sam", "awp"])
def test_torchruns_processes_train_as_one(name: str, by_torchrun: Path) -> None:
    check_against_one_process(by_torchrun, name)


def test_ranks_that_compute_forwards_again_train_the_same(by_torchrun: Path) -> None:
    fast, lean = left(by_torchrun, "ovf")[0], left(by_torchrun, "ovf lean")[0]
    for found, expected in zip(lean["gradients"], fast["gradients"], strict=True):
        for parameter, gradient in expected.items():
            torch.testing.assert_close(found[parameter], gradient, rtol=1e-12, atol=1e-12)
    for parameter, tensor in fast["state"].items():
        torch.testing.assert_close(lean["state"][parameter], tensor, rtol=1e-12, atol=1e-12)
    for step in range(9):
        once, again = fast["chips"][4 * step : 4 * step + 4], lean["chips"][8 * step : 8 * step + 8]
        for found, expected in zip(again, [*once, *once[::-1]], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_ranks_share_one_folder(by_torchrun: Path) -> None:
    with (by_torchrun / "noise" / "history.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    assert sorted(p.name for p in (by_torchrun / "noise").iterdir()) == [
        "history.csv",
        "last.ckpt",
        "tensorboard",
    ]
    checkpoint = load_checkpoint(by_torchrun / "noise" / "last.ckpt")
    assert checkpoint["global_step"] == 9
    assert checkpoint["steadynet"]["world"] == 2


def test_with_batchnorm_the_ranks_end_in_one_state(by_torchrun: Path) -> None:
    first, second = left(by_torchrun, "batchnorm")
    assert differences(first, second) == []
    assert int(first["bn1.num_batches_tracked"]) > 0


def test_a_layer_that_takes_no_part_hangs_nobody(by_torchrun: Path) -> None:
    first, second = left(by_torchrun, "unused")
    assert differences(first, second) == []
    used = {name: tensor for name, tensor in first.items() if not name.startswith("pooler")}
    assert differences(used, left(by_torchrun, "noise")[0]["state"]) == []
    assert "take strategy 'ddp_find_unused_parameters_true'" in left(by_torchrun, "refused")[0]


def test_ranks_resume_together_in_the_middle_of_an_epoch(by_torchrun: Path) -> None:
    first, second = left(by_torchrun, "resumed")
    whole, _ = left(by_torchrun, "irs")
    for key in ("state", "accuracy", "best", "loss"):
        assert differences(first[key], second[key], key) == []
    assert differences(first["state"], whole["state"]) == []
    assert (first["accuracy"], first["best"]) == (whole["accuracy"], whole["best"])
    assert first["loss"] == pytest.approx(whole["loss"], rel=1e-12)
    assert differences(first["gradients"], whole["gradients"][4:]) == []


def test_lightnings_own_launcher_does_the_same(tmp_path: Path) -> None:
    start([sys.executable, str(SCRIPT), str(tmp_path), "noise"], DEVICES="2")
    check_against_one_process(tmp_path, "noise")
