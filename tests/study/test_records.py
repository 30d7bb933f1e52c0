"""Results in one file without weights: what comes back, what is left alone, what is trained again, what is refused."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from cli.processes import run as command
from steadynet.cli.main import main
from steadynet.errors import SteadyNetError
from steadynet.folders import LOCK
from steadynet.study.plan import Plan, plan
from steadynet.study.records import Packed, Unpacked, pack, unpack
from steadynet.study.rows import rows_of
from steadynet.study.runner import run
from steadynet.study.specification import study
from steadynet.study.store import BACKBONE, RESULT
from study.searching import SEARCH, with_search
from study.small import write, written

# A training, and two that start from it.
RECIPES: dict[str, Any] = {
    "W/O": {"recipe": "vanilla"},
    "tuned": {"recipe": "noise", "init_from": {"recipe": "vanilla"}},
    "hotter": {"recipe": "noise", "temperature": 4, "init_from": {"recipe": "vanilla"}},
}


def axes(*labels: str) -> dict[str, Any]:
    """The axes with some of the recipes."""
    return {"recipe": {label: RECIPES[label] for label in labels}, "sigma_d": [0.1], "seed": [0]}


def small(out: Path, *labels: str, **changes: Any) -> Plan:
    """The study with some of its recipes."""
    return plan([study(written(axes=axes(*(labels or ("W/O", "tuned"))), **changes))], out)


def table(whole: Plan) -> list[dict[str, Any]]:
    rows, missing = rows_of(whole, whole.studies[0], "x.yaml")
    assert missing == []
    return rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished cells, one of which starts from the other."""
    out = tmp_path_factory.mktemp("records") / "out"
    whole = small(out)
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished"] * 2
    return out


@pytest.fixture(scope="module")
def records(finished: Path) -> Path:
    file = finished.parent / "records.jsonl"
    pack(finished, file)
    return file


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.jsonl.xz"])
def test_what_is_packed_comes_back_as_it_was_without_weights_or_images(
    finished: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, again, out = tmp_path / name, tmp_path / f"again-{name}", tmp_path / "out"
    (finished / "images" / "mine.json").write_text("{}")
    assert pack(finished, file) == Packed(trainings=2, tests=2, searches=0)
    assert unpack(file, out) == (Packed(2, 2, 0), Unpacked(new=2, there=0, kept=0, busy=0))
    assert not list(out.rglob(BACKBONE))
    monkeypatch.setattr("steadynet.study.images.load", None)
    assert table(small(out)) == table(small(finished))
    for path in sorted(finished.glob("cells/*/*.json")):
        assert (out / path.relative_to(finished)).read_text() == path.read_text(), "to the order of keys"
    pack(out, again)
    assert again.read_bytes() == file.read_bytes()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert unpack(file, out)[1] == Unpacked(0, there=2, kept=0, busy=0)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == before


def test_what_needs_no_weights_is_not_trained_again(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(records, tmp_path)
    whole = small(tmp_path)
    assert [place.state() for place in whole.places] == ["finished"] * 2
    monkeypatch.setattr("steadynet.study.execute.fit", None)
    assert run(whole, whole.places) == []


def test_a_further_test_trains_the_same_weights_again_and_leaves_the_finished_test(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    unpack(records, tmp_path)
    more = small(tmp_path, "W/O", test={"draws": 4})
    [place] = more.places
    assert place.state() == "begun"
    assert [outcome.end for _, outcome in run(more, more.places)] == ["finished"]
    assert place.has_weights()
    assert table(more)[0]["draws"] == 4
    [before, _] = small(finished).places
    assert place.result()["weights"] == before.result()["weights"]
    [old] = small(tmp_path, "W/O").places
    assert old.finished(), "the packed test is of the same weights"


def test_what_starts_from_packed_weights_has_them_trained_again_and_nothing_else(
    records: Path, tmp_path: Path
) -> None:
    unpack(records, tmp_path)
    whole = small(tmp_path, "W/O", "tuned", "hotter")
    left = whole.left(whole.places)
    assert [place.cell.points[0].labels["recipe"] for place in left] == ["W/O", "hotter"]
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished"] * 2
    assert [place.has_weights() for place in whole.places] == [True, False, True]
    assert whole.left(whole.places) == ()
    assert len(table(whole)) == 3


def test_old_records_are_shown_but_no_weights_of_other_code_take_their_place(
    finished: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table(small(finished, "W/O"))
    unpack(records, tmp_path)
    monkeypatch.setattr("steadynet.study.cells.Cell.code", lambda self: {"training.module": "newer"})

    def kept(**changes: Any) -> Plan:
        made = study(written(axes=axes("W/O"), **changes))
        return plan([made], tmp_path, other_code="keep")

    assert table(kept())[0]["accuracy"] == rows[0]["accuracy"]
    more = kept(test={"draws": 4})
    [(_, outcome)] = run(more, more.places)
    assert outcome.end == "failed"
    assert "its weights are not here" in outcome.message
    assert kept().places[0].finished()


def test_a_folder_that_knows_better_or_is_at_work_is_left_alone(records: Path, tmp_path: Path) -> None:
    unpack(records, tmp_path)
    one, other = small(tmp_path).places
    held = json.loads((one.folder / RESULT).read_text())
    (one.folder / RESULT).write_text(json.dumps(held | {"weights": "others"}))
    [test] = one.tests.values()
    test.unlink()
    with FileLock(other.folder / LOCK):
        assert unpack(records, tmp_path)[1] == Unpacked(new=0, there=0, kept=1, busy=1)
    assert not test.exists()
    assert one.result()["weights"] == "others"


def test_an_unpacking_that_was_cut_off_goes_on(records: Path, tmp_path: Path) -> None:
    unpack(records, tmp_path)
    one, other = small(tmp_path).places
    (one.folder / RESULT).unlink()
    [test] = other.tests.values()
    test.unlink()
    assert unpack(records, tmp_path)[1] == Unpacked(new=1, there=1, kept=0, busy=0)
    assert all(place.finished() for place in small(tmp_path).places)


def test_searches_come_back_with_their_choice_and_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    file = tmp_path / "sought.yaml"
    file.write_text(yaml.safe_dump(with_search(SEARCH)))
    words = ["study", "run", str(file), "--no-progress", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    packed = pack(tmp_path / "out", tmp_path / "r.jsonl.xz")
    assert packed.searches == 1
    assert packed.trainings >= 4 + 3
    unpack(tmp_path / "r.jsonl.xz", tmp_path / "again")
    [before] = plan([study(with_search(SEARCH))], tmp_path / "out").searches
    [after] = plan([study(with_search(SEARCH))], tmp_path / "again").searches
    assert after.chosen() == before.chosen()
    assert after.trials() == before.trials()
    # One that was cut off is not trained again either.
    shutil.rmtree(tmp_path / "again")
    after.path.parent.mkdir(parents=True)
    unpack(tmp_path / "r.jsonl.xz", tmp_path / "again")
    after.path.rename(after.trials_path)
    monkeypatch.setattr("steadynet.study.execute.fit", None)
    assert main([*words, str(tmp_path / "again")]) == 0
    [after] = plan([study(with_search(SEARCH))], tmp_path / "again").searches
    assert after.chosen() == before.chosen()


def _changed(path: str, change: dict[str, Any] | None) -> Any:
    """Return what changes the entries whose path ends so, or leaves them out."""

    def do(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for line in lines:
            if not str(line.get("path")).endswith(path):
                found.append(line)
            elif change is not None:
                found.append({**line, "holds": {**line["holds"], **change}})
        return found

    return do


REFUSED: dict[str, tuple[Any, str]] = {
    "other weights": (_changed("result.json", {"weights": "others"}), "is not what its name says"),
    "other options": (_changed("cell.json", {"images": "others"}), "is not what its name says"),
    "no description": (_changed("cell.json", None), "lacks cell.json"),
    "no result": (_changed("result.json", None), "lacks result.json"),
    "a key too few": (
        lambda lines: [*lines, {"path": "searches/0a.json", "holds": {"trials": []}}],
        "line 9: no file of results",
    ),
    "a way out": (
        lambda lines: [*lines, {"path": "cells/../cell.json", "holds": dict(lines[1]["holds"])}],
        "line 9: no file of results",
    ),
    "no header": (lambda lines: lines[1:], "no records of steadynet study pack, version 1"),
    "a later version": (
        lambda lines: [{**lines[0], "version": 2}, *lines[1:]],
        "no records of steadynet study pack, version 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_records_that_are_not_what_they_say_are_refused_before_anything_is_written(
    records: Path, tmp_path: Path, what: str
) -> None:
    change, message = REFUSED[what]
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    assert len(lines) == 8, (
        "a header, two files of images, and of two cells what they are, their result and a test"
    )
    file = tmp_path / "r.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))
    with pytest.raises(SteadyNetError, match=message) as raised:
        unpack(file, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_damaged_files_of_records_are_refused(records: Path, tmp_path: Path) -> None:
    data = records.read_bytes()
    packed, zipped = lzma.compress(data), gzip.compress(data)
    for name, held, message in (
        ("cut.jsonl", data[:-10], "is cut short"),
        ("empty.jsonl", b"", "is cut short"),
        ("cut.jsonl.xz", packed[:-10], "cannot be read"),
        ("plain.jsonl.gz", data, "cannot be read"),
        (
            "flipped.jsonl.gz",
            zipped[:200] + bytes(b ^ 255 for b in zipped[200:210]) + zipped[210:],
            "cannot be read",
        ),
        ("binary.jsonl", packed, "cannot be read"),
        ("records.json", data, "must end in .jsonl"),
    ):
        (tmp_path / name).write_bytes(held)
        with pytest.raises(SteadyNetError, match=message) as raised:
            unpack(tmp_path / name, tmp_path / "out")
        assert "\n" not in str(raised.value)
    with pytest.raises(SteadyNetError, match="there are no records"):
        unpack(tmp_path / "none.jsonl", tmp_path / "out")


def test_the_commands(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = command(tmp_path, "study", "pack", "r.jsonl.xz", "--out", str(finished))
    assert done.stdout == "r.jsonl.xz: trainings 2, tests 2, searches 0\n"
    done = command(tmp_path, "study", "unpack", "r.jsonl.xz", "--out", "out")
    assert done.stdout == "r.jsonl.xz: trainings 2, tests 2, searches 0\nout: 2 new, 0 there already\n"
    file = write(tmp_path, axes=axes("W/O", "tuned"))
    words = [str(file), "--out", str(tmp_path / "out")]
    assert main(["study", "status", *words]) == 0
    assert "2 cells: 2 finished" in capsys.readouterr().out
    for words, message in (
        (["pack", str(tmp_path / "r.jsonl.xz"), "--out", str(finished)], "already exists"),
        (["pack", str(tmp_path / "s.jsonl"), "--out", str(tmp_path / "none")], "holds no finished training"),
        (["pack", str(tmp_path / "s.zip"), "--out", str(finished)], "must end in .jsonl"),
        (["pack"], "name the file to write"),
        (["unpack"], "name the records"),
        (["unpack", str(tmp_path / "none.jsonl")], "there are no records"),
    ):
        assert main(["study", *words]) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert said.err.count("\n") == 1
