"""`steadynet devices`, device files as options, and sizes that are a device's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import steadynet as sn
from cli.processes import SMALL, run
from steadynet.cli.main import main
from steadynet.nvm.device_file import read_device
from steadynet.options.device_group import DeviceOptions

TABLE = "target (µS),mean,std\n10,11,2\n40,41,5\n100,98,4\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lab.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    return told.err


def test_measurements_become_a_device_that_a_network_is_trained_and_tested_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.csv").write_text(TABLE, encoding="utf-8")
    done = run(tmp_path, "devices", "fit", "lab.csv", "--technology", "RRAM")
    assert "through 3 measured targets, sigma_d 0.04" in done.stdout
    for name in ("lab.yaml", "lab.png", "lab.svg"):
        assert (tmp_path / name).stat().st_size > 100
        assert name in done.stdout
    own = read_device(tmp_path / "lab.yaml")
    assert (own.name, own.technology, own.on_off_ratio) == ("lab", "RRAM", 10.0)
    assert (
        main(
            [
                "train",
                *SMALL,
                "--recipe",
                "noise",
                "--epochs",
                "1",
                "--device",
                "lab.yaml",
                "--sigma-d",
                "own",
                "--out",
                "r",
            ]
        )
        == 0
    )
    saved = (tmp_path / "r" / "config.yaml").read_text()
    assert f"sigma_d: {own.own_sigma_d!r}" in saved, "a number is saved, whatever becomes of the file"
    words = (
        "--draws",
        "4",
        "--stuck-lrs",
        "0.01",
        "--drift",
        "3600",
        "--read-sigma",
        "0.01",
        "--no-progress",
        "--out",
        "e",
    )
    assert main(["evaluate", "r", "--sigma-d", "0", "own", *words]) == 0
    rows: list[dict[str, Any]] = json.loads((tmp_path / "e" / "results.json").read_text())["rows"]
    assert [row["sigma_d"] for row in rows] == [0.0, own.own_sigma_d]
    assert [row["draws"] for row in rows] == [4, 4], "faults make chips differ at sigma_d 0 too"


def test_the_list_draws_what_it_lists(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "fit", "lab.csv", "--fit", "polynomial", "--degree", "1"]) == 0
    capsys.readouterr()
    assert main(["devices", "list", "--device", "pcm", "lab.yaml", "--out", "drawn"]) == 0
    printed = capsys.readouterr().out
    assert "lab.yaml" in printed
    assert "10 to 100 µS" in printed
    assert "rram4" not in printed
    assert (table.parent / "drawn" / "devices.svg").stat().st_size > 1000
    # It is known as a folder of results by the options that lie there.
    assert main(["devices", "list", "--device", "pcm", "--out", "drawn", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("devices", "fits"), "unknown word after steadynet devices 'fits': did you mean 'fit'"),
        (("devices", "fit"), "name the measurements"),
        (("devices", "fit", "none.csv"), "there is no file none.csv of measurements"),
        (("devices", "fit", "lab.csv", "--degree", "2"), "--degree is that of --fit polynomial"),
        (("devices", "fit", "lab.csv", "--out", "lab.json"), "--out must end in .yaml"),
        (("devices", "fit", "lab.csv", "--g-max", "200"), "g_max 200 µS lies above the largest target 100"),
        (("devices", "list", "--device", "rram5"), "unknown device 'rram5'"),
        (("devices", "list", "--device-bits", "9"), "--device-bits must be an integer ≥ 1 and ≤ 8, got 9"),
        (("train", "--device", "none.yaml"), "none.yaml: `steadynet devices fit` makes one"),
        (("train", "--sigma-d", "own"), "--sigma-d own: device gaussian is given at any size"),
        (("train", "--sigma-d", "owned"), "option --sigma-d takes"),
        (("train", "--device", "rram-milo", "--on-off-ratio", "10"), "give an on_off_ratio of 4.5 at most"),
        (("train", "--stuck-lrs", "2"), "Stuck's lrs must be a finite number ≥ 0 and ≤ 1, got 2"),
        (("train", "--fault-map", "none.npz"), "none.npz: give an NPZ file"),
        (("train", "--drift", "-1"), "Drift's seconds must be a finite number ≥ 0, got -1"),
        (("train", "--crossbars", "two"), "unknown --crossbars 'two'"),
    ],
)
@pytest.mark.usefixtures("table")
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, *words)


def test_a_device_that_drifts_already_takes_no_other_drift(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "fit", "lab.csv"]) == 0
    capsys.readouterr()
    with (table.parent / "lab.yaml").open("a", encoding="utf-8") as file:
        file.write("effects: [{class: Drift, seconds: 3600}]\n")
    said = refused(capsys, "train", "--data", "digits", "--device", "lab.yaml", "--drift", "86400")
    assert "--drift 86400: device " in said
    assert "lab.yaml' drifts already" in said


ODD = (
    ("Read", {"sigma": 0.3}),
    ("Bounded", {"high": 1.0}),
    ("PCMRead", {"seconds": 20}),
    ("Stuck", {"lrs": 0.01, "hrs": 0.0}),
)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (2, 0, 3, 1), (3, 1, 2)])
def test_a_files_effects_act_in_their_order_on_the_command_line_as_in_python(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "odd.yaml"
    told = [{"class": name, **given} for name, given in (ODD[index] for index in order)]
    law = {"class": "Gaussian", "sigma_d": 0.1}
    path.write_text(
        json.dumps({"format": "steadynet-device", "version": 1, "law": law, "effects": told}),
        encoding="utf-8",
    )
    own = read_device(path)
    assert [type(effect).__name__ for effect in own.device().effects] == [ODD[index][0] for index in order]
    found = DeviceOptions(device=str(path)).build(0.1)
    assert found == sn.Device(variation=own.at(0.1), on_off_ratio=own.on_off_ratio)
    # What the command line adds acts behind them, in an order of its own, and before the readings at their end.
    added = DeviceOptions(
        device=str(path), read_sigma=0.02, stuck_hrs=0.1, drift=60.0, chip_gain=0.05, column_gain=0.01
    ).build(0.1)
    readings = [effect for effect in found.effects[-1:] if effect.per_read]
    assert added.effects == (
        *found.effects[: len(found.effects) - len(readings)],
        sn.Common(0.05, 0.01),
        sn.Drift(60.0),
        sn.Stuck(0.0, 0.1),
        *readings,
        sn.Read(0.02),
    )


def test_a_device_file_that_is_there_is_kept(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "fit", "lab.csv"]) == 0
    before = (table.parent / "lab.yaml").read_bytes()
    table.write_text(TABLE.replace("98", "99"), encoding="utf-8")
    capsys.readouterr()
    assert "lab.yaml already exists" in refused(capsys, "devices", "fit", "lab.csv")
    (table.parent / "other.png").write_bytes(b"a picture of the user's own")
    assert "other.png already exists" in refused(capsys, "devices", "fit", "lab.csv", "--out", "other.yaml")
    assert (table.parent / "lab.yaml").read_bytes() == before
    assert main(["devices", "fit", "lab.csv", "--overwrite"]) == 0
    assert (table.parent / "lab.yaml").read_bytes() != before


def test_a_chip_is_exported_and_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            [
                "train",
                *SMALL,
                "--recipe",
                "noise",
                "--epochs",
                "2",
                "--sigma-d",
                "0.3",
                "--path",
                "device",
                "--out",
                "r",
            ]
        )
        == 0
    )
    assert main(["export", "r", "--chips", "0", "1", "--hdf5", "--out", "x"]) == 0
    printed = capsys.readouterr().out
    for name in ("levels.npz", "levels.h5", "chip-0.npz", "chip-1.npz"):
        assert name in printed
    assert main(["evaluate", "r", "--sigma-d", "0.3", "--draws", "2", "--no-progress", "--out", "e"]) == 0
    rows: list[dict[str, Any]] = json.loads((tmp_path / "e" / "results.json").read_text())["rows"]
    for draw in (0, 1):
        words = ("import", f"x/chip-{draw}.npz", "--run", "r", "--json", f"i{draw}.json")
        if draw:
            assert main(words) == 0
            printed = capsys.readouterr().out
        else:
            printed = run(tmp_path, *words).stdout
        told = json.loads((tmp_path / f"i{draw}.json").read_text())
        accuracy = told["networks"][f"chip-{draw}.npz"]["accuracy"]
        assert accuracy == pytest.approx(rows[0]["accuracy_values"][draw]), "the very chip of the evaluation"
        assert f"{100 * accuracy:.2f}" in printed
        assert told["errors"]["fc2.weight"] == pytest.approx(0.3 * 0.77763, rel=0.1)
    capsys.readouterr()
    assert "name the training" in refused(capsys, "import", "x/chip-0.npz")
    assert "programmed to other levels" in refused(
        capsys, "import", "x/chip-0.npz", "--run", "r", "--weight-bits", "6"
    )
    assert "there is no file" in refused(capsys, "import", "x/chip-7.npz", "--run", "r")
    assert "i0.json already exists" in refused(capsys, *words[:-1], "i0.json")
    assert "--sigma-d is that of simulated chips" in refused(
        capsys, "export", "r", "--sigma-d", "0.1", "--out", "y"
    )
    assert not (tmp_path / "y").exists()
