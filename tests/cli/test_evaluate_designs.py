"""`steadynet evaluate`: its designs and what they refuse, two runs held against each other, results kept if it ends early."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.processes import SMALL
from steadynet.cli.evaluate_options import EvaluateOptions
from steadynet.cli.main import main
from steadynet.errors import SteadyNetError
from steadynet.montecarlo.session import Session

QUIET = "--no-progress"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained networks of different widths on the same digits: `one` and `other`."""
    folder = tmp_path_factory.mktemp("runs")
    train = ["train", *SMALL, "--epochs", "1", "--recipe", "noise-t4", "--sigma-d", "0.1"]
    assert main([*train, "--out", str(folder / "one")]) == 0
    assert main([*train, "--seed", "1", "--model.width", "0.5", "--out", str(folder / "other")]) == 0
    return folder


@pytest.fixture
def here(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder from which the runs are seen as `one` and `other`."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "other"):
        (tmp_path / name).symlink_to(runs / name)
    return tmp_path


def values(row: dict[str, Any]) -> list[float]:
    """Return the accuracy of each chip, or of each cycle where no chip saw all images."""
    return row["cycle_values"] if "blocks" in row else row["accuracy_values"]


def results(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, "results.json").read_text())


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, "full"),
        ({"draws": 5}, "full"),
        ({"half_width": 0.5}, "auto"),
        ({"blocks": 10}, "blocks"),
        ({"blocks": 10, "half_width": 1.0}, "blocks"),
        ({"blocks": 10, "cycles": 2}, "blocks"),
        ({"blocks": 10, "cycles": 2, "half_width": 1.0}, "blocks"),
        ({"design": "full", "target_accuracy": 0.9}, "full"),
        ({"design": "auto"}, "auto"),
        ({"design": "auto", "half_width": 2.0, "max_draws": 100}, "auto"),
        ({"design": "blocks", "blocks": 50, "max_draws": 100}, "blocks"),
    ],
)
def test_the_design_follows_from_what_is_given(given: dict[str, Any], chosen: str) -> None:
    options = EvaluateOptions(run="one", **given)
    assert options.chosen == chosen
    assert options.means == (chosen != "full")


REFUSED = [
    ("--half-width 0", r"--half-width (points) must be a finite number > 0 and ≤ 50, got 0"),
    ("--half-width -1", "--half-width (points) must be a finite number > 0"),
    ("--half-width 51", "--half-width (points) must be a finite number > 0 and ≤ 50, got 51"),
    ("--blocks 0", "--blocks must be an integer ≥ 1, got 0"),
    ("--blocks 10 --cycles 1", "--cycles must be a finite number ≥ 2, got 1"),
    ("--cycles 3", "--design blocks needs --blocks; --design auto chooses them itself"),
    ("--design blocks", "--design blocks needs --blocks"),
    ("--design blocks --cycles 3", "--design blocks needs --blocks"),
    ("--design auto --blocks 10", "--design auto chooses the blocks itself: take --design blocks to name them"),
    ("--design auto --cycles 3", "--design auto chooses the blocks itself"),
    ("--design full --half-width 1", "--half-width is for means by blocks of images: leave it out, or take"),
    ("--design full --blocks 10", "--blocks is for means by blocks of images"),
    ("--design full --cycles 2", "--cycles is for means by blocks of images"),
    ("--half-width 1 --draws 9", "--draws is for --design full; design auto runs until --half-width"),
    ("--blocks 9 --draws 9", "--draws is for --design full; design blocks runs until --half-width"),
    ("--half-width 1 --target-accuracy 0.9", "--target-accuracy asks for a yield, which needs chips that each see all"),
    ("--half-width 1 --sigma-d 0 0.1", "at sigma_d 0 all chips are alike: leave it out of --sigma-d with design auto"),
    ("--blocks 60 --max-draws 100", "--max-draws 100 allows no two cycles over 60 blocks: raise it to 120 or more"),
    ("--half-width 1 --max-draws 99", "--max-draws must be an integer ≥ 100, got 99"),
    ("--design best", "unknown --design 'best'"),
    ("--blocks 51", "51 blocks are more than the 50 images: ask for 50 or fewer"),
    ("--against none", "there is no none"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_a_design_cannot_do_is_refused_in_one_line(
    words: str, told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "one", *words.split(), "--out", "out"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("steadynet: error: ")
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (here / "out").exists()


@pytest.mark.usefixtures("here")
def test_chips_with_faults_differ_at_sigma_d_0_for_blocks_too() -> None:
    words = [
        "evaluate",
        "one",
        "--sigma-d",
        "0",
        "--stuck-hrs",
        "0.05",
        "--blocks",
        "5",
        "--cycles",
        "4",
        QUIET,
    ]
    assert main([*words, "--out", "out"]) == 0
    (row,) = results("out")["rows"]
    assert len(set(values(row))) > 1


@pytest.mark.usefixtures("here")
def test_the_command_of_a_means_run_gives_the_very_same_accuracies() -> None:
    words = ["evaluate", "one", "--sigma-d", "0.1", "0.3", "--half-width", "3", "--seed", "4", QUIET]
    assert main([*words, "--out", "out"]) == 0
    found = results("out")
    commands = found["about"]["command"].split(" && ")
    assert len(commands) == 2
    for row, command in zip(found["rows"], commands, strict=True):
        name, *rest = shlex.split(command)
        assert name == "steadynet"
        assert f" --design blocks --blocks {row['blocks']} --cycles {row['cycles']} " in command
        assert main(rest) == 0
        (again,) = results(rest[-1])["rows"]
        # The time that it took is its own.
        assert {**again, "seconds": 0} == {**row, "seconds": 0}


@pytest.mark.parametrize("design", ["--draws 6", "--blocks 10 --cycles 4"])
def test_two_runs_are_held_against_each_other_each_by_its_own_options(
    design: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--sigma-d", "0.2", "0.1", *design.split(), QUIET]
    assert main(["evaluate", "one", "--against", "other", *words, "--out", "both"]) == 0
    printed = capsys.readouterr().out
    assert "one minus other on the same chips and images" in printed
    assert "difference, points" in printed
    both = results("both")
    for name in ("one", "other"):
        assert main(["evaluate", name, *words, "--out", f"{name}-alone"]) == 0
        rows = [row for row in both["rows"] if row["recipe"] == name]
        alone = results(f"{name}-alone")["rows"]
        assert [row["sigma_d"] for row in rows] == [row["sigma_d"] for row in alone] == [0.1, 0.2]
        for row, other in zip(rows, alone, strict=True):
            assert values(row) == values(other)
            for same in ("accuracy", "clean_accuracy", "quantised_accuracy", "nll"):
                assert row[same] == other[same], same
    means = {(row["recipe"], row["sigma_d"]): row["accuracy"]["mean"] for row in both["rows"]}
    for found in both["about"]["against"]:
        mean = means["one", found["sigma_d"]] - means["other", found["sigma_d"]]
        assert found["mean"] == pytest.approx(mean)
        assert found["lo"] < found["mean"] < found["hi"]
        assert f"{100 * mean:+.2f} ± " in printed
    assert [found["sigma_d"] for found in both["about"]["against"]] == [0.1, 0.2]


@pytest.mark.usefixtures("here")
def test_a_width_is_that_of_the_difference_and_told_where_it_is_not_reached(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["evaluate", "one", "--against", "other", "--sigma-d", "0.3", "--blocks", "25", QUIET]
    assert main([*words, "--half-width", "0.01", "--max-draws", "100", "--out", "short"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("(not reached)") == 1
    (line,) = [line for line in printed.splitlines() if "(not reached)" in line]
    assert line.rstrip(" │|").endswith("(not reached)"), "beside the difference"
    assert (
        "at sigma_d 0.3 --max-draws ended the work before the difference's interval was as narrow" in printed
    )
    assert results("short")["about"]["against"][0]["reached"] is False
    assert main([*words, "--half-width", "50", "--out", "wide"]) == 0
    printed = capsys.readouterr().out
    assert "not reached" not in printed
    assert "ended the work" not in printed
    assert results("wide")["about"]["against"][0]["reached"] is True


@pytest.mark.usefixtures("here")
def test_a_run_against_a_file_of_weights_and_not_against_itself(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sigma-d", "0.2", "--draws", "3", QUIET, "--out"]
    assert main(["evaluate", "one", "--against", "other/backbone.safetensors", *words, "file"]) == 0
    assert "one minus other/backbone.safetensors" in capsys.readouterr().out
    assert results("file")["about"]["against"][0]["mean"] != 0
    for same in ("one", "one/", "one/backbone.safetensors"):
        assert main(["evaluate", "one", "--against", same, *words, "same"]) == 2
        assert "is one itself: name another run" in capsys.readouterr().err
    assert not Path("same").exists()


STOPS: dict[str, tuple[BaseException, int | None, str]] = {
    "a refusal": (SteadyNetError("draw 3 at sigma_d 0.2: the logits are not finite"), 2, "logits are not finite"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted"),
    "want of memory": (MemoryError("no more"), None, ""),
}  # fmt: skip


@pytest.mark.parametrize("design", ["--draws 4", "--blocks 10 --cycles 3"])
@pytest.mark.parametrize("how", STOPS)
@pytest.mark.usefixtures("here")
def test_what_is_finished_is_printed_and_written_if_the_next_sigma_d_ends_early(
    how: str, design: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code, told = STOPS[how]

    def until(ask: Callable[..., Any]) -> Callable[..., Any]:
        def stopping(self: Session, sigma_d: float, numbers: Any) -> Any:
            if sigma_d == 0.2:
                raise error
            return ask(self, sigma_d, numbers)

        return stopping

    words = ["evaluate", "one", *design.split(), QUIET]
    assert main([*words, "--sigma-d", "0.1", "--out", "alone"]) == 0
    alone = results("alone")["rows"]
    monkeypatch.setattr(Session, "draws", until(Session.draws))
    monkeypatch.setattr(Session, "cells", until(Session.cells))
    capsys.readouterr()
    stopped = [*words, "--sigma-d", "0.1", "0.2", "0.3", "--out", "out"]
    if code is None:
        with pytest.raises(type(error)):
            main(stopped)
    else:
        assert main(stopped) == code
    captured = capsys.readouterr()
    assert told in captured.err
    assert f"{100 * alone[0]['accuracy']['mean']:.2f} ±" in captured.out
    assert "out/results.json" in captured.out
    rows = results("out")["rows"]
    assert [row["sigma_d"] for row in rows] == [0.1]
    assert values(rows[0]) == values(alone[0])


@pytest.mark.usefixtures("here")
def test_nothing_is_written_if_the_first_sigma_d_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Iterator[Any]:
        raise SteadyNetError("draw 0 at sigma_d 0.1: the logits are not finite")

    monkeypatch.setattr(Session, "draws", fail)
    assert main(["evaluate", "one", "--draws", "2", QUIET, "--out", "out"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.usefixtures("here")
def test_chips_at_once_are_refused_at_the_door_where_blocks_cannot_use_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["evaluate", "one", "--half-width", "1", "--chunk", "4"]) == 2
    assert "--chunk is for --design full" in capsys.readouterr().err
