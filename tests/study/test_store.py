"""A cell's folder: its states, what is refused in it, and cells of other code versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from steadynet.cli.main import main
from steadynet.errors import DiskFullError, SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.folders import LOCK
from steadynet.study import code_version
from steadynet.study.cells import Cell, grid, identity
from steadynet.study.plan import Plan, plan
from steadynet.study.rows import rows_of
from steadynet.study.runner import run
from steadynet.study.selection import select
from steadynet.study.specification import study
from steadynet.study.store import CELL, FAILURE, RESULT
from study.small import write, written

ONE = {"recipe": {"W/": {"recipe": "noise"}}, "sigma_d": [0.1], "seed": [0]}
OLD = {"training.module": "older"}


def small(out: Path, **options: object) -> Plan:
    return plan([study(written(axes=ONE))], out, **options)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished cell."""
    out = tmp_path_factory.mktemp("store") / "out"
    whole = small(out)
    [(_, outcome)] = run(whole, whole.places)
    assert outcome.end == "finished", outcome
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def test_a_cell_goes_through_its_states(tmp_path: Path) -> None:
    [place] = small(tmp_path).places
    assert place.state() == "waiting"
    run(small(tmp_path), [place])
    assert place.state() == "finished"
    held = place.result()
    assert held["steps"] == 2 * 3
    assert {"steadynet", "torch", "python", "hardware"} <= held["versions"].keys()
    assert held["peak_mib"] > 0
    assert (place.folder / "backbone.safetensors").is_file()
    assert not (place.folder / "training" / "last.ckpt").exists(), "a finished cell needs no checkpoint"
    for path in place.tests.values():
        path.unlink()
    assert place.state() == "begun"
    write_json_atomically(place.folder / FAILURE, {"message": "why"})
    assert (place.state(), place.failure()) == ("failed", "why")
    with FileLock(place.folder / LOCK):
        assert place.state() == "running"
    assert place.state() == "failed"


def test_a_result_file_that_is_cut_short_is_refused_and_never_a_row(out: Path) -> None:
    whole = small(out)
    [place] = whole.places
    [path] = place.tests.values()
    text = path.read_text()
    for damaged in (text[: len(text) // 2], "[]", json.dumps({"result": {"values": {}}, "seconds": 1})):
        path.write_text(damaged)
        with pytest.raises(
            SteadyNetError, match=rf"{path.name}.*delete it, and run the study again"
        ) as raised:
            rows_of(whole, whole.studies[0], "x.yaml")
        assert "\n" not in str(raised.value)
    path.write_text(text)
    (place.folder / RESULT).write_text("{")
    with pytest.raises(SteadyNetError, match=r"result\.json is cut short or no JSON"):
        rows_of(whole, whole.studies[0], "x.yaml")


def test_cells_of_another_code_version_are_refused_kept_or_run_again(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = small(out)
    rows, _ = rows_of(before, before.studies[0], "x.yaml")
    monkeypatch.setattr(Cell, "code", lambda self: OLD)
    with pytest.raises(
        SteadyNetError, match=r"1 of 1 cells in .* are of another code version .*--other-code keep"
    ) as raised:
        small(out)
    assert "\n" not in str(raised.value)
    kept = small(out, other_code="keep")
    assert kept.places[0].finished()
    again, _ = rows_of(kept, kept.studies[0], "x.yaml")
    assert again[0]["accuracy"] == rows[0]["accuracy"]
    assert "training.module" in again[0]["other_code"], "a row says so"
    anew = small(out, other_code="rerun")
    assert anew.places[0].state() == "waiting"
    assert anew.places[0].folder != before.places[0].folder


def test_of_several_other_versions_the_one_that_was_finished_last_is_kept(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times of files say when they were copied or unpacked, names nothing."""
    [place] = small(out).places
    cell = json.loads((place.folder / CELL).read_text())
    for number, finished in enumerate(("2024-05-01", "2026-05-01", "2023-05-01", "2025-05-01")):
        code = {**cell["code"], "training.fit": f"version {number}"}
        own = identity(cell["config"], cell["images"], code)
        copy = place.folder.with_name(f"{place.folder.name.rpartition('-')[0]}-{own}")
        shutil.copytree(place.folder, copy)
        write_json_atomically(copy / CELL, {**cell, "code": code})
        result = json.loads((copy / RESULT).read_text())
        write_json_atomically(copy / RESULT, {**result, "finished": f"{finished}T00:00:00+00:00"})
    shutil.rmtree(place.folder)
    [kept] = small(out, other_code="keep").places
    assert kept.result()["finished"].startswith("2026")


def test_a_test_by_other_code_is_done_again_without_training(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "steadynet.study.cells.testing_code", lambda model, **told: {"montecarlo.metrics": "newer"}
    )
    whole = small(out)
    [place] = whole.places
    assert place.trained()
    assert len(place.missing()) == 1
    assert small(out, other_code="keep").places[0].finished()
    monkeypatch.setattr("steadynet.study.execute.fit", None)
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished"]


def test_logits_are_calibrated_without_training_and_accuracy_stays(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = small(out)
    [before], _ = rows_of(plain, plain.studies[0], "x.yaml")
    monkeypatch.setattr("steadynet.study.execute.fit", None)
    calibrated = plan([study(written(axes=ONE, test={"draws": 3, "calibrated": True}))], out)
    assert [outcome.end for _, outcome in run(calibrated, calibrated.places)] == ["finished"]
    [after], _ = rows_of(calibrated, calibrated.studies[0], "x.yaml")
    assert after["cell"] == before["cell"]
    assert after["accuracy_values"] == before["accuracy_values"]
    assert after["nll"]["mean"] != before["nll"]["mean"]
    assert after["logits_temperature"] > 0
    assert "logits_temperature" not in before
    # Both tests lie side by side: neither takes the other's place.
    [again], _ = rows_of(small(out), plain.studies[0], "x.yaml")
    assert again == before
    for name, test in (("plain", {"draws": 3}), ("calibrated", {"draws": 3, "calibrated": True})):
        file = write(
            tmp_path, name, axes=ONE, test=test, report=[{"view": "table", "metric": "nll"}], title=name
        )
        pages = tmp_path / f"{name}-pages"
        assert (
            main(
                [
                    "study",
                    "render",
                    str(file),
                    "--out",
                    str(out),
                    "--report",
                    str(tmp_path / name),
                    "--markdown",
                    str(pages),
                ]
            )
            == 0
        )
        said = "Logits are divided by the temperature" in (pages / f"{name}.md").read_text(encoding="utf-8")
        assert said == (name == "calibrated")
    # What finds the temperature counts, for these tests alone.
    real = code_version.testing_code

    def newer(model: str, *, calibrated: bool) -> dict[str, str]:
        found = dict(real(model, calibrated=calibrated))
        return found | {"deploy.temperature": "newer"} if calibrated else found

    monkeypatch.setattr("steadynet.study.cells.testing_code", newer)
    assert not small(out).places[0].missing()
    assert plan(calibrated.studies, out).places[0].missing()


def test_more_draws_need_no_training(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadynet.study.execute.fit", None)
    more = plan([study(written(axes=ONE, test={"draws": 4}))], out)
    assert [outcome.end for _, outcome in run(more, more.places)] == ["finished"]
    rows, _ = rows_of(more, more.studies[0], "x.yaml")
    assert rows[0]["draws"] == 4


def test_a_cell_that_another_process_is_at_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadynet.study.execute._PATIENCE", 0.1)
    whole = small(tmp_path)
    [place] = whole.places
    place.folder.mkdir(parents=True)
    with FileLock(place.folder / LOCK):
        assert [outcome.end for _, outcome in run(whole, [place])] == ["busy"]
    assert not place.trained()


def test_a_failure_is_told_with_its_log_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"recipe": {"bad": {"recipe": "irs", "taps": ["nowhere"]}, "W/": {"recipe": "noise"}}, "seed": [0]}
    whole = plan([study(written(axes=axes))], tmp_path)
    ended = {place.cell.training.recipe.name: outcome for place, outcome in run(whole, whole.places)}
    assert ended["noise"].end == "finished"
    assert ended["irs"].end == "failed"
    assert "nowhere" in ended["irs"].message
    bad = whole.places[0]
    assert bad.state() == "failed"
    assert "nowhere" in bad.failure()
    assert "Traceback" in (bad.folder / "log.txt").read_text()


def test_a_full_disk_ends_the_run_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    whole = small(tmp_path)
    monkeypatch.setattr("steadynet.deploy.state.save_file", full)
    with pytest.raises(
        DiskFullError, match=r"cannot write .*backbone.safetensors: no space left on the disk"
    ):
        run(whole, whole.places)
    monkeypatch.undo()
    assert small(tmp_path).places[0].state() == "begun", "its checkpoint is kept"
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished"]


def test_a_folder_under_the_name_of_another_training_is_refused(out: Path) -> None:
    [place] = small(out).places
    path = place.folder / "cell.json"
    held = json.loads(path.read_text())
    held["config"]["seed"] = 99
    path.write_text(json.dumps(held))
    (place.folder / RESULT).unlink()
    whole = small(out)
    [(_, outcome)] = run(whole, whole.places)
    assert outcome.end == "failed"
    assert "holds another training than its name says" in outcome.message


def test_images_that_have_changed_since_are_refused(out: Path) -> None:
    [path] = (out / "images").glob("*.json")
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "training": "0" * 16}))
    whole = small(out)
    [(_, outcome)] = run(whole, whole.places)
    assert outcome.end == "failed"
    assert "the images of digits have changed" in outcome.message


def test_terms_shards_and_starts_are_selected(tmp_path: Path) -> None:
    whole = plan([study(written())], tmp_path)
    ovf = select(whole, only=["recipe=OVF|W/", "seed=1"])
    assert [place.cell.training.recipe.name for place in ovf] == ["noise", "noise", "ovf", "ovf"]
    assert len(select(whole, only=["sigma_d=0.1"])) == len(select(whole, only=["sigma_d=0.10"])) == 6
    assert len(select(whole, only=["*-noise-*seed0*"])) == 2
    parts = [select(whole, shard=(i, 3)) for i in (1, 2, 3)]
    assert sorted(place.folder for part in parts for place in part) == sorted(
        place.folder for place in whole.places
    )
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for term, told in [
        ("recipe=OVV", "did you mean OVF"),
        ("recipes=OVF", "no study has an axis 'recipes'"),
        ("zzz", "leaves no cell"),
    ]:
        with pytest.raises(SteadyNetError, match=told):
            select(whole, only=[term])
    with pytest.raises(SteadyNetError, match="shard must be an integer"):
        select(whole, shard=(4, 3))


def test_a_studys_points_come_in_the_order_of_its_grid_whichever_studies_stand_beside_it(
    tmp_path: Path,
) -> None:
    later = {"recipe": {"OVF": {"recipe": "ovf", "beta": 0.01}}, "sigma_d": [0.2], "seed": [1]}
    other, own = study(written(axes=later, name="other")), study(written(name="own"))
    beside, alone = plan([other, own], tmp_path), plan([own], tmp_path)
    assert [point.labels for _, point in beside.of(beside.studies[1])] == grid(own)
    assert [point.labels for _, point in alone.of(alone.studies[0])] == grid(own)
