"""Searches as processes: killed in mid-trial, several at once, on workers, on a storage by URL, with one choice at the end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cli.forked import run, start
from cli.processes import wait_for
from steadynet.study.plan import Plan, plan
from steadynet.study.specification import read_study
from study.searching import AXES
from study.small import WRITTEN, write

SEARCH = {"over": {"beta": [1e-1, 1e-2, 1e-3, 1e-4]}, "when": {"recipe": "OVF"}, "draws": 4}
RANGE = {**SEARCH, "over": {"beta": {"low": 1e-4, "high": 1e-1, "log": True}}, "trials": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies, and what nothing disturbed, under `whole`."""
    folder = tmp_path_factory.mktemp("searches")
    base = {**WRITTEN["base"], "epochs": 4, "batch_size": 20, "checkpoint_every": 0}
    axes = {**AXES, "seed": [0]}
    write(folder, "grid", base=base, axes=axes, search=[SEARCH])
    write(folder, "range", base=base, axes=axes, search=[RANGE])
    for name in ("grid", "range"):
        done = run(folder, "study", "run", f"{name}.yaml", "--out", "whole", "--only", "recipe=OVF")
        assert done.stderr == ""
    return folder


def planned(folder: Path, name: str, out: str) -> Plan:
    return plan([read_study(folder / f"{name}.yaml")], folder / out)


def found(folder: Path, name: str, out: str) -> tuple[Any, list[Any]]:
    """The choice, and the trials."""
    [search] = planned(folder, name, out).searches
    return search.chosen(), list(search.trials())


def starts(folder: Path, out: str) -> int:
    """How often a trial's training was started."""
    return sum(
        path.read_text().count("started") for path in (folder / out).glob("cells/*-seed1000-*/log.txt")
    )


# The sampler of a range looks back at earlier trials, which a grid does not: it has more to lose.
@pytest.mark.parametrize("name", ["range"])
def test_a_search_that_is_killed_in_mid_trial_twice_ends_with_the_same_trials(
    folder: Path, name: str
) -> None:
    out = f"killed-{name}"

    def finished() -> int:
        return len(list((folder / out).glob("cells/*-seed1000-*/result.json")))

    def training() -> bool:
        found = (path.parents[1] for path in (folder / out).glob("cells/*/training/last.ckpt"))
        return any(not (one / "result.json").exists() for one in found)

    for after in (0, 2):
        process = start(folder, "study", "run", f"{name}.yaml", "--out", out, "--only", "recipe=OVF")
        wait_for(lambda after=after: finished() >= after and training(), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert finished() < 4
    assert found(folder, name, out)[0] is None
    done = run(folder, "study", "run", f"{name}.yaml", "--out", out, "--only", "recipe=OVF")
    assert "trial 4/4" in done.stdout
    assert "trial 1/4" not in done.stdout, "what was finished is not done again"
    assert found(folder, name, out) == found(folder, name, "whole")
    assert len(list((folder / out).glob("cells/*-seed1000-*"))) == 4
    assert starts(folder, out) <= 4 + 2, "each kill costs one trial a second start"


def test_two_runners_at_once_do_each_trial_once_and_one_waits_for_the_other(folder: Path) -> None:
    words = ("study", "run", "grid.yaml", "--out", "shared", "--only", "recipe=OVF")
    both = [start(folder, *words) for _ in range(2)]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    trials = [line for out, _ in told for line in out.splitlines() if line.startswith("trial")]
    assert len(trials) == 4
    assert starts(folder, "shared") == 4, "none was run twice"
    assert found(folder, "grid", "shared")[0] == found(folder, "grid", "whole")[0]
    for out, _ in told:
        assert "4 of 4 trials; chosen beta" in out
        assert "1 cells: 1" in out


def test_workers_and_a_storage_by_url_give_the_choice_of_one_process(folder: Path) -> None:
    url = f"sqlite:///{folder / 'elsewhere.db'}"
    words = ("study", "run", "grid.yaml", "--out", "workers", "--only", "recipe=OVF")
    done = run(folder, *words, "--workers", "2", "--storage", url)
    assert done.stdout.count("trial ") == 4
    assert (folder / "elsewhere.db").exists()
    assert not (folder / "workers" / "searches.db").exists()
    assert found(folder, "grid", "workers")[0] == found(folder, "grid", "whole")[0]
    assert starts(folder, "workers") == 4


def test_a_trial_whose_runner_is_killed_is_taken_over_by_the_one_that_waits(folder: Path) -> None:
    words = ("study", "run", "grid.yaml", "--out", "over", "--only", "recipe=OVF")
    out = folder / "over"
    first = start(folder, *words)
    wait_for(lambda: bool(list(out.glob("cells/*/training/last.ckpt"))), first)
    os.kill(first.pid, signal.SIGSTOP)  # it holds its trial, and does nothing
    second = start(folder, *words)
    wait_for(lambda: len(list(out.glob("cells/*-seed1000-*/result.json"))) == 3, second)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    told, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert told.count("trial ") == 4
    assert found(folder, "grid", "over")[0] == found(folder, "grid", "whole")[0]


def test_ctrl_c_in_a_trial_says_how_to_go_on(folder: Path) -> None:
    words = ("study", "run", "grid.yaml", "--out", "interrupted", "--only", "recipe=OVF")
    process = start(folder, *words)
    wait_for(lambda: bool(list((folder / "interrupted").glob("cells/*/training/last.ckpt"))), process)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing finished is lost; the same command goes on" in err
    assert "4/4" in run(folder, *words).stdout
    assert len(found(folder, "grid", "interrupted")[1]) == 4
