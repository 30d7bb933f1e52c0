"""Searches by real trainings: chosen on validation images alone, then the cells, the report, and files that merge."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

import steadynet as sn
from steadynet.cli.main import main
from steadynet.montecarlo.session import Session
from steadynet.study import code_version, testing
from steadynet.study.estimate import Estimates
from steadynet.study.plan import Plan, plan
from steadynet.study.report.assemble import content_of
from steadynet.study.rows import rows_of
from steadynet.study.search_run import run_searches
from steadynet.study.search_store import Planned, told_searches
from steadynet.study.specification import study
from study.searching import AXES, GRID, SEARCH, forget_images, searches, with_search
from study.small import WRITTEN, write


def planned(out: Path, **changes: Any) -> Plan:
    return plan([study(with_search(SEARCH, **changes))], out)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study that was run, search included, and what was printed."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("search")
    file = write(folder, axes=AXES, search=[SEARCH])
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert main(["study", "run", str(file), "--out", str(folder / "out"), "--no-progress"]) == 0
    return folder, told.getvalue()


def scores(out: Path, search: Planned) -> list[float]:
    """Each trial's mean accuracy over its chips, straight from its cell's file."""
    found: list[float] = []
    for trial in search.trials():
        [test] = (out / "cells" / trial.cell / "tests").glob("*.json")
        held = json.loads(test.read_text())
        assert held["test"]["split"] == "validation"
        assert held["result"]["stream"] == "validation"
        values = held["result"]["values"]["accuracy"]
        assert len(values) == SEARCH["draws"]
        found.append(sum(values) / len(values))
    return found


def test_a_study_searches_first_and_then_trains_with_what_was_found(done: tuple[Path, str]) -> None:
    folder, told = done
    lines = told.splitlines()
    assert lines[0] == "1 searches, for which 2 points wait"
    assert [line.split(":")[0] for line in lines[1:4]] == [f"trial {n}/3 of small" for n in (1, 2, 3)]
    assert lines[4].startswith("search small: beta for recipe=OVF sigma_d=0.1: 3 of 3 trials; chosen beta 0.")
    assert lines[5] == "4 cells: 4 waiting; 4 to do"
    assert lines[-1] == "4 cells: 4 finished"
    whole = planned(folder / "out")
    [search] = whole.searches
    own = scores(folder / "out", search)
    assert [trial.score for trial in search.trials()] == pytest.approx(own, abs=1e-12)
    beta = GRID[own.index(max(own))]
    assert search.chosen() == {"beta": beta}
    rows, missing = rows_of(whole, whole.studies[0], "small.yaml")
    assert missing == []
    assert [row["options"]["beta"] for row in rows if row["recipe"] == "OVF"] == [beta] * 2
    assert {row["seed"] for row in rows} == {0, 1}, "no trial is reported"


def test_it_is_not_searched_again(done: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = done
    assert main(["study", "run", str(folder / "small.yaml"), "--out", str(folder / "out")]) == 0
    assert capsys.readouterr().out.splitlines() == ["4 cells: 4 finished; 0 to do"]
    assert main(["study", "status", str(folder / "small.yaml"), "--out", str(folder / "out")]) == 0
    assert "beta for recipe=OVF sigma_d=0.1: 3 of 3 trials; chosen beta" in capsys.readouterr().out


def test_the_report_tells_what_was_found_and_how(done: tuple[Path, str]) -> None:
    whole = planned(done[0] / "out")
    content, _ = content_of(whole, whole.studies[0], "small.yaml", Estimates(whole.out))
    [line] = [line for line in content.setting if "found by search" in line]
    beta = (whole.searches[0].chosen() or {})["beta"]
    assert line.startswith(
        f"beta {beta:g} found by search on validation images for recipe OVF, sigma_d 0.1 (3 trials, "
    )
    assert "training seed 1000, accuracy over 4 simulated chips" in line
    assert content.missing == ()


def test_the_choice_alone_is_enough_for_a_folder_that_is_copied(
    done: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(done[0] / "out" / "searches", tmp_path / "searches")
    whole = planned(tmp_path)
    assert whole.waiting == ()
    assert len(whole.places) == 4
    assert not (tmp_path / "searches.db").exists()


def test_cells_of_trials_that_are_there_are_not_trained_again(done: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(done[0] / "out" / "cells", tmp_path / "cells")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/*.json")}
    [search] = planned(tmp_path).searches
    assert run_searches([search]) == []
    assert search.chosen() == planned(done[0] / "out").searches[0].chosen()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/*.json")} == before


def test_a_choice_cut_short_or_without_its_values_is_refused_by_name(
    done: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(done[0] / "out" / "searches", tmp_path / "searches")
    [path] = (tmp_path / "searches").glob("*.json")
    text = path.read_text()
    for damaged in (text[:-40], json.dumps({**json.loads(text), "chosen": {"bet": 1}}), "{}"):
        path.write_text(damaged)
        with pytest.raises(sn.SteadyNetError, match=rf"{path.name}.*delete it, and run the study again"):
            planned(tmp_path)


def test_a_choice_by_another_version_of_the_code_is_refused_kept_or_made_again(
    done: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done[0] / "out" / "searches", tmp_path / "searches")

    def changed(model: str, **told: Any) -> dict[str, str]:
        return {**code_version.testing_code(model, **told), "montecarlo.metrics": "other"}

    monkeypatch.setattr("steadynet.study.search_store.testing_code", changed)
    with pytest.raises(
        sn.SteadyNetError, match=r"is of another code version \(montecarlo\.metrics changed\)"
    ):
        planned(tmp_path)
    made = study(with_search(SEARCH))
    assert plan([made], tmp_path, other_code="keep").waiting == ()
    assert len(plan([made], tmp_path, other_code="rerun").waiting) == 2


def test_no_trial_ever_sees_a_test_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_images()
    [search] = searches(tmp_path, SEARCH)
    seen: list[tuple[str, int]] = []

    class Watched(Session):
        def __init__(self, model: Any, device: Any, images: Any, *, stream: Any, **rest: Any) -> None:
            from steadynet.study.images import load

            data = load(search.sought.cell({"beta": 0.1}).training.data)
            assert images is data.validation
            assert images is not data.test
            seen.append((stream, len(images)))
            super().__init__(model, device, images, stream=stream, **rest)

    monkeypatch.setattr(testing, "Session", Watched)
    assert run_searches([search]) == []
    assert seen == [("validation", search.images.validation_images)] * 3
    assert [path.name.split("-")[0] for path in tmp_path.glob("cells/*/tests/*")] == ["validation"] * 3


@pytest.mark.parametrize("score", ["kpp5", "nll"])
def test_other_scores_are_those_of_the_trials_chips(tmp_path: Path, score: str) -> None:
    [search] = searches(tmp_path, {**SEARCH, "score": score, "draws": 30, "over": {"beta": GRID[:2]}})
    run_searches([search])
    for trial in search.trials():
        [test] = (tmp_path / "cells" / trial.cell / "tests").glob("*.json")
        values = json.loads(test.read_text())["result"]["values"]
        # The 5th percentile of 30: the second lowest, 2 being the least whole number from 0.05 · 30.
        expected = sorted(values["accuracy"])[1] if score == "kpp5" else math.fsum(values["nll"]) / 30
        assert trial.score == pytest.approx(expected, rel=1e-9)
    both = [trial.score or 0.0 for trial in search.trials()]
    wanted = both.index(min(both) if score == "nll" else max(both))
    assert search.chosen() == {"beta": GRID[wanted]}


def test_with_several_seeds_a_trial_is_worth_the_mean_of_its_trainings(tmp_path: Path) -> None:
    entry = {**SEARCH, "over": {"beta": GRID[:2]}, "seed": [1000, 1001]}
    [search] = searches(tmp_path, entry)
    [once] = searches(tmp_path, {**entry, "seed": 1000})
    assert search.key != once.key
    assert run_searches([search]) == []
    assert len(list(tmp_path.glob("cells/*"))) == 4
    for trial in search.trials():
        found: list[float] = []
        for name, seed in zip(trial.cell.split(" "), (1000, 1001), strict=True):
            assert f"-seed{seed}-" in name
            [test] = (tmp_path / "cells" / name / "tests").glob("*.json")
            values = json.loads(test.read_text())["result"]["values"]["accuracy"]
            found.append(sum(values) / len(values))
        assert trial.score == pytest.approx(sum(found) / 2, rel=1e-12)
    [line] = told_searches([search], "small")
    assert "the mean of trainings with seeds 1000, 1001, accuracy over 4 simulated chips" in line


def test_only_the_searches_that_are_meant_are_done_and_the_rest_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = {**AXES, "sigma_d": [0.1, 0.2], "seed": [0]}
    file = str(write(tmp_path, axes=axes, search=[{**SEARCH, "set": {"epochs": 1}}]))
    words = [file, "--out", str(tmp_path / "out")]
    assert main(["study", "run", *words, "--only", "recipe=W/", "--limit", "1"]) == 0
    assert "search" not in capsys.readouterr().out
    assert main(["study", "run", *words, "--only", "recipe=OVF", "sigma_d=0.2"]) == 0
    out = capsys.readouterr().out
    assert "1 searches, for which 1 points wait" in out
    assert "1 cells: 1 finished" in out
    assert main(["study", "status", *words]) == 0
    status = capsys.readouterr().out
    assert "search small: beta for recipe=OVF sigma_d=0.2: 3 of 3 trials; chosen beta" in status
    assert "search small: beta for recipe=OVF sigma_d=0.1: 0 of 3 trials" in status
    assert "1 points wait for their searches" in status
    assert main(["study", "run", *words, "--dry-run", "--steps", "1"]) == 0
    dry = " ".join(capsys.readouterr().out.split())
    assert "Their 3 trials that are left: about" in dry
    assert "the 1 cells that come after them: about" in dry
    whole = plan([study(with_search({**SEARCH, "set": {"epochs": 1}}, axes=axes))], tmp_path / "out")
    content, _ = content_of(whole, whole.studies[0], file, Estimates(whole.out))
    assert [line for line in content.missing if "waits for the search" in line] == [
        "recipe OVF, sigma_d 0.1, seed 0: waits for the search for beta (0 of 3 trials)"
    ]


def test_points_whose_trials_all_failed_are_told_and_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = {"recipe": {"W/": {"recipe": "noise"}, "bad": {"recipe": "irs", "taps": ["nowhere"]}}, "seed": [0]}
    search = {"over": {"beta": GRID[:2]}, "when": {"recipe": "bad"}}
    file = str(write(tmp_path, axes=axes, search=[search]))
    words = ["study", "run", file, "--out", str(tmp_path / "out")]
    for _ in range(2):  # the second run tries again
        assert main(words) == 1
        told = capsys.readouterr()
        assert "trial 1/2 of small: beta for recipe=bad: beta 0.1: failed: " in told.out
        assert told.out.strip().endswith("1 cells: 1 finished; 0 to do") or "1/1 finished" in told.out
        [line] = [line for line in told.err.splitlines() if line.startswith("failed")]
        assert "none of the 2 trials of its search finished; the first: " in line
        assert "nowhere" in line
        assert line.endswith("1 points wait for it")
    with pytest.raises(sn.SteadyNetError, match="none of the 2 trials of its search finished"):
        sn.run_study(file, out=tmp_path / "out")


def test_from_python_a_study_searches_too(tmp_path: Path) -> None:
    rows = sn.run_study(
        with_search({**SEARCH, "over": {"beta": GRID[:2]}}), out=tmp_path, only=["recipe=OVF", "seed=0"]
    )
    assert len(rows) == 1
    assert rows[0]["options"]["beta"] in GRID


def test_trials_of_one_search_start_from_a_training_that_is_done_once(tmp_path: Path) -> None:
    base = {**WRITTEN["base"], "init_from": {"recipe": "vanilla", "sigma_d": 0.1}}
    [search] = searches(tmp_path, {**SEARCH, "over": {"beta": GRID[:2]}}, base=base)
    assert run_searches([search]) == []
    names = sorted(path.name for path in (tmp_path / "cells").iterdir())
    assert [name.split("-")[2] for name in names] == ["ovf", "ovf", "vanilla"]


def test_a_trial_that_kills_its_process_fails_and_the_others_go_on(tmp_path: Path) -> None:
    base = {key: value for key, value in WRITTEN["base"].items() if key not in ("model", "model.width")}
    search = {"over": {"model": ["study.deadly.Deadly", "cnn"]}, "when": {"recipe": "W/"}, "draws": 2}
    [one] = searches(tmp_path, search, base=base, axes={**AXES, "seed": [0]})
    assert run_searches([one], workers=2) == []
    assert one.chosen() == {"model": "cnn"}
    [failed] = [trial for trial in one.trials() if trial.score is None]
    assert failed.values == {"model": "study.deadly.Deadly"}
    assert "its process died 2 times" in failed.why


def test_trials_are_not_shared_out_to_the_processes_of_one_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(write(tmp_path, axes=AXES, search=[SEARCH]))
    assert main(["study", "run", file, "--out", str(tmp_path / "out"), "--devices", "2"]) == 2
    assert "a search trains each trial on one device" in capsys.readouterr().err
