"""`steadynet inspect`: the map of a network, by name, library or import path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.processes import run
from steadynet.cli.main import main


def test_it_prints_and_writes_the_map(tmp_path: Path) -> None:
    done = run(
        tmp_path, "inspect", "cnn", "--model.width", "0.25", "--tile", "32", "16", "--json", "map.json"
    )
    told: dict[str, Any] = json.loads((tmp_path / "map.json").read_text())
    assert [t["kind"] for t in told["mapped"]] == ["convolution"] * 3 + ["linear"] * 2
    conv2 = told["mapped"][1]
    groups, rows, columns = conv2["matrix"]
    assert (groups, rows * columns) == (1, conv2["weights"])
    # 32 rows, and 16 columns of four devices a weight, for each of two signs.
    assert conv2["crossbars"] == 2 * -(-rows // 32) * -(-columns // 4)
    assert conv2["devices"] == 8 * conv2["weights"]
    for tensor in told["mapped"]:
        (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == [tensor["name"]]]
        assert f"{tensor['weights']:,}" in line
        assert line.split()[-1] == f"{tensor['crossbars']:,}"
    assert {t["reason"] for t in told["digital"]} >= {"bias of Linear", "norm (BatchNorm2d)"}
    total = sum(t["weights"] for t in (*told["mapped"], *told["digital"]))
    assert f"of {total:,} parameters" in done.stdout


def test_grouped_layers_and_other_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("timm", reason="timm is not installed: pip install timm")
    assert main(["inspect", "timm:mobilenetv3_small_050", "--classes", "7", "--shape", "3", "32", "32"]) == 0
    printed = capsys.readouterr().out
    assert "16 of 9 × 1" in printed
    assert "1024 × 7" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vgg9",), "unknown model 'vgg9': did you mean 'vgg8'"),
        (("cnn", "--shape", "3", "32"), "--shape takes channels, height and width, got 3 32"),
        (("cnn", "--tile", "256"), "--tile takes rows and columns, got 256"),
        (
            ("cnn", "--tile", "256", "3"),
            "a tile of 3 columns is smaller than one weight, whose 4 slices lie side by side",
        ),
        (("cnn", "--exclude", "*"), "CNN has no weight that lies on devices"),
        (("timm:resnet19", "--classes", "3", "--shape", "3", "32", "32"), "unknown model of timm 'resnet19'"),
        (("torchvision:vgg11", "--classes", "0"), "--classes must be an integer ≥ 1, got 0"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
