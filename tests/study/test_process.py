"""Studies as processes: killed and started again, shared out and copied together, with the same table at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from cli import processes
from cli.forked import run, start
from cli.processes import wait_for
from steadynet.study.plan import plan
from steadynet.study.rows import rows_of
from steadynet.study.specification import read_study
from study.small import WRITTEN, write

AXES = {
    "recipe": {"W/O": {"recipe": "vanilla"}, "W/": {"recipe": "noise"}, "OVF": {"recipe": "ovf"}},
    "sigma_d": [0.1, 0.2],
    "seed": [0],
}
BASE = {**WRITTEN["base"], "epochs": 5, "batch_size": 20}
# What two runs of the same cell may differ in.
TIMES = ("train_seconds", "test_seconds", "peak_mib", "finished")


def rows(file: Path, out: Path) -> list[dict[str, Any]]:
    """The rows of a finished study, without times."""
    whole = plan([read_study(file)], out)
    found, missing = rows_of(whole, whole.studies[0], file.name)
    assert missing == []
    return [{key: value for key, value in row.items() if key not in (*TIMES, "options")} for row in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, and its cells as nothing disturbed them, under `whole`."""
    folder = tmp_path_factory.mktemp("study")
    write(folder, axes=AXES, base=BASE)
    done = processes.run(folder, "study", "run", "small.yaml", "--out", "whole")
    assert "5 cells: 5 waiting; 5 to do" in done.stdout
    assert "5/5 finished" in done.stdout
    assert done.stdout.strip().endswith("5 cells: 5 finished")
    assert done.stderr == ""
    return folder


def test_a_study_that_is_killed_twice_ends_with_the_same_table(folder: Path) -> None:
    out = folder / "killed"

    def results() -> list[Path]:
        return sorted(out.glob("cells/*/result.json"))

    def training() -> list[Path]:
        found = (path.parents[1] for path in out.glob("cells/*/training/last.ckpt"))
        return [folder for folder in found if not (folder / "result.json").exists()]

    times: dict[Path, int] = {}
    for done in (1, 3):
        process = start(folder, "study", "run", "small.yaml", "--out", "killed")
        # Killed in the middle of a training, with cells finished before it.
        wait_for(lambda done=done: len(results()) >= done and bool(training()), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert len(results()) < 5
        assert all(times.get(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns for path in results())
        times = {path: path.stat().st_mtime_ns for path in results()}
    status = run(folder, "study", "status", "small.yaml", "--out", "killed")
    tested = [path for path in results() if list(path.parent.glob("tests/*.json"))]
    assert f"{len(tested)} finished" in status.stdout
    assert "begun" in status.stdout
    run(folder, "study", "run", "small.yaml", "--out", "killed")
    assert all(path.stat().st_mtime_ns == times[path] for path in times), "no finished cell is run again"
    assert rows(folder / "small.yaml", out) == rows(folder / "small.yaml", folder / "whole")
    logs = [(path.parent / "log.txt").read_text() for path in results()]
    assert sum(log.count("started") for log in logs) <= 5 + 2, (
        "each kill costs one cell a second start, at most"
    )


def test_shards_in_folders_of_their_own_merge_by_copying(folder: Path) -> None:
    for i in (1, 2):
        done = run(folder, "study", "run", "small.yaml", "--out", f"part{i}", "--shard", f"{i}/2")
        assert "waiting" not in done.stdout.splitlines()[-1]
    shutil.copytree(folder / "part1", folder / "merged")
    shutil.copytree(folder / "part2", folder / "merged", dirs_exist_ok=True)
    assert rows(folder / "small.yaml", folder / "merged") == rows(folder / "small.yaml", folder / "whole")
    assert "0 to do" in run(folder, "study", "run", "small.yaml", "--out", "merged").stdout


def test_two_runners_on_one_folder_share_the_cells(folder: Path) -> None:
    both = [start(folder, "study", "run", "small.yaml", "--out", "shared") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, (out, err)
    assert rows(folder / "small.yaml", folder / "shared") == rows(folder / "small.yaml", folder / "whole")
    logs = [path.read_text() for path in (folder / "shared").glob("cells/*/log.txt")]
    assert [log.count("ended early") for log in logs] == [0] * 5
    assert sum(log.count("started") for log in logs) == 5, "none was run twice"


def test_workers_give_the_table_of_one_process(folder: Path) -> None:
    done = run(folder, "study", "run", "small.yaml", "--out", "workers", "--workers", "2")
    assert "5/5 finished" in done.stdout
    assert rows(folder / "small.yaml", folder / "workers") == rows(folder / "small.yaml", folder / "whole")


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(folder: Path) -> None:
    out = folder / "interrupted"
    process = start(folder, "study", "run", "small.yaml", "--out", "interrupted")
    wait_for(lambda: bool(list(out.glob("cells/*/training/last.ckpt"))), process)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing finished is lost; the same command goes on" in err
    run(folder, "study", "run", "small.yaml", "--out", "interrupted", "--limit", "1")
    assert "1 finished" in run(folder, "study", "status", "small.yaml", "--out", "interrupted").stdout


def test_a_failed_cell_is_reported_at_the_end_and_ends_with_1(folder: Path) -> None:
    axes = {"recipe": {"bad": {"recipe": "irs", "taps": ["nowhere"]}, "W/": {"recipe": "noise"}}, "seed": [0]}
    write(folder, "failing", axes=axes)
    done = run(folder, "study", "run", "failing.yaml", "--out", "failing", code=1)
    assert "2/2 finished" in done.stdout
    assert "failed: failing: recipe=bad seed=0" in done.stderr
    assert "nowhere" in done.stderr
    assert "log.txt)" in done.stderr
    status = run(folder, "study", "status", "failing.yaml", "--out", "failing")
    assert "failed: failing: recipe=bad seed=0" in status.stdout


def test_a_dry_run_lists_cells_with_time_and_memory_and_runs_none(folder: Path) -> None:
    done = run(folder, "study", "run", "small.yaml", "--out", "dry", "--dry-run", "--steps", "2")
    assert "5 cells: 5 waiting. About" in done.stdout
    assert done.stdout.count("MiB") == 5
    assert not (folder / "dry" / "cells").exists()
    kept = json.loads((folder / "dry" / "estimates.json").read_text())["paces"]
    assert len(kept) == 3, "one measurement for each kind of cell"
    assert all(pace["step"] > 0 and pace["image"] > 0 and pace["peak_mib"] > 0 for pace in kept.values())


def test_a_cell_can_be_trained_by_several_processes_of_which_one_speaks(folder: Path) -> None:
    done = run(
        folder,
        "study",
        "run",
        "small.yaml",
        "--out",
        "two",
        "--devices",
        "2",
        "--accelerator",
        "cpu",
        "--limit",
        "2",
    )
    assert [line.split(" in ")[0] for line in done.stdout.splitlines()[1:3]] == [
        "1/2 finished",
        "2/2 finished",
    ]
    assert len(done.stdout.splitlines()) == 4
    [one, other] = (folder / "two").glob("cells/*/result.json")
    assert json.loads(one.read_text())["steps"] == json.loads(other.read_text())["steps"] == 5 * 9
