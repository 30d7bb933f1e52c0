"""Results of an older version of the code: told by kind whether they are this one's too, and carried over where they are.

The older version is a copy of this one in which a name differs in all trainings and tests, and a number in OVF's alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import steadynet
from steadynet.cli.study_confirm import main
from steadynet.errors import SteadyNetError
from steadynet.files import write_json_atomically
from steadynet.study.carry import carry
from steadynet.study.cells import Cell, cell_of
from steadynet.study.confirm import Found, kind_of, old_ones, package_folder
from steadynet.study.plan import OtherCode, Plan, plan
from steadynet.study.records import pack, unpack
from steadynet.study.rows import rows_of
from steadynet.study.specification import study
from steadynet.study.store import CELL, CELLS, CHECKPOINT, RESULT, read_json
from study.small import written

HERE = Path(steadynet.__file__).parent
WORDS = {
    "axes": {
        "recipe": {
            "W/": {"recipe": "noise"},
            "best T": {"recipe": "noise", "temperature": 5},
            "OVF": {"recipe": "ovf"},
        },
        "sigma_d": [0.1],
        "seed": [0],
    },
    "search": [{"over": {"temperature": [2, 3]}, "when": {"recipe": "best T"}, "draws": 2}],
}
OLD = "_A_NAME_THAT_IS_GONE = 1\n"


def planned(out: Path, other_code: OtherCode = "refuse") -> Plan:
    return plan([study({"name": "small", **written(**WORDS)})], out, other_code=other_code)


def rows(found: Plan) -> list[Any]:
    """What a report is made of, without where it lies and whose it is."""
    every, _ = rows_of(found, found.studies[0], "small.yaml")
    return [{k: v for k, v in row.items() if k not in ("cell", "other_code", "command")} for row in every]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the older version in `src`, and in `studies` what it made."""
    base = tmp_path_factory.mktemp("older")
    source = base / "src" / "steadynet"
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__"))
    for module in ("training/fit.py", "montecarlo/evaluator.py"):
        with (source / module).open("a") as file:
            file.write(OLD)
    ovf = source / "recipes" / "objective" / "ovf.py"
    text = ovf.read_text()
    assert text.count("total / self.temperature") == 1
    ovf.write_text(text.replace("total / self.temperature", "2.0 * total / self.temperature"))
    path = base / "small.yaml"
    path.write_text(json.dumps(written(**WORDS)))
    words = ["study", "run", str(path), "--out", str(base / "studies"), "--no-progress"]
    subprocess.run(
        [sys.executable, "-m", "steadynet", *words],
        env={**os.environ, "PYTHONPATH": str(base / "src")},
        check=True,
        capture_output=True,
    )
    return base


def test_kinds_that_are_equal_bit_for_bit_count_as_this_versions(
    older: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "studies"
    shutil.copytree(older / "studies", out)
    with pytest.raises(SteadyNetError, match="another code version"):
        planned(out)
    before = rows(planned(out, "keep"))
    assert len(before) == 3

    assert main([str(older), "--out", str(out), "--threads", "1"]) == 0

    told = capsys.readouterr().out
    assert "5 trainings of another version of the code, of 3 kinds" in told
    assert "3 trainings: equal" in told
    assert "1 trainings: weights differ" in told
    assert "carried over: trainings 4, tests 4, searches 1; left 1" in told
    # What differs stays another version's; all else is there as it was, and nothing is to be done.
    with pytest.raises(
        SteadyNetError, match=r"1 of 3 cells .* of another code version \(recipes.objective.ovf, training.fit"
    ):
        planned(out)
    assert rows(planned(out, "keep")) == before
    again = planned(out, "rerun")
    states = {str(place.cell.points[0].labels["recipe"]): place.state() for place in again.places}
    assert states == {"W/": "finished", "best T": "finished", "OVF": "waiting"}
    assert [search.chosen() for search in again.searches] != [None]
    assert all(
        trial.cell in {p.name for p in (out / CELLS).iterdir()} for trial in again.searches[0].trials()
    )
    # Each file says what it was, and records of it are whole.
    [noise] = [place for place in again.places if place.cell.points[0].labels["recipe"] == "W/"]
    [note] = read_json(noise.folder / CELL, ("confirmed",))["confirmed"]
    assert set(note["code"]) == {"training.fit"}
    assert (older / "studies" / CELLS).joinpath(noise.folder.name[:-12] + note["identity"]).is_dir()
    pack(out, tmp_path / "records.jsonl.xz")
    assert unpack(tmp_path / "records.jsonl.xz", tmp_path / "unpacked")[1].new == 5


def test_a_process_that_was_killed_between_any_two_files_is_gone_on_with(
    older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = 0
    while True:
        out = tmp_path / str(killed)
        shutil.copytree(older / "studies", out)
        left = iter(range(killed))

        with monkeypatch.context() as patch:
            patch.setattr("steadynet.study.carry.write_json_atomically", _until(left, write_json_atomically))
            patch.setattr(Path, "rename", _until(left, Path.rename))
            try:
                carry(out, confirmed(out))
            except _KilledError:
                pass
            else:
                break
        carry(out, confirmed(out))
        found = planned(out)
        assert all(place.finished() for place in found.places), killed
        assert found.searches[0].chosen() is not None
        assert len(list((out / CELLS).iterdir())) == 5
        killed += 1
    assert killed > 10


def confirmed(out: Path) -> list[tuple[Any, Found]]:
    """All of another version, as if each were found equal."""
    found, left = old_ones(out)
    assert left == []
    return [(kept, Found(kept.code, {False: next(iter(kept.tests.values()))["code"]})) for kept in found]


class _KilledError(BaseException):
    """The process ends here."""


def _until(left: Iterator[int], do: Callable[..., Any]) -> Callable[..., Any]:
    """What is done as often as `left` lasts, and kills the process then."""

    def done(*words: Any) -> Any:
        if next(left, None) is None:
            raise _KilledError
        return do(*words)

    return done


def test_a_training_that_was_begun_goes_on_from_its_checkpoint(older: Path, tmp_path: Path) -> None:
    out = tmp_path / "studies"
    shutil.copytree(older / "studies", out)
    begun, left = sorted((out / CELLS).iterdir())[:2]
    for folder in (begun, left):
        (folder / RESULT).unlink()
    (begun / CHECKPOINT).write_text("a checkpoint")
    kept, _ = old_ones(out)
    [one] = [of for of in kept if of.folder == begun]
    assert kind_of(cell_of(one.short())) == kind_of(one.cell)
    assert carry(out, [(one, Found(one.code, {}))]).trainings == 1
    [path] = out.glob(f"{CELLS}/*/{CHECKPOINT}")
    cell = path.parents[1]
    assert cell.name == one.cell.folder(read_json(cell / CELL, ("images",))["images"])
    # What has neither a result nor a checkpoint has nothing that is worth it.
    assert left.is_dir()
    assert left not in [of.folder for of in kept]


def test_results_of_yet_another_version_and_options_that_mean_another_training_are_left(
    older: Path, tmp_path: Path
) -> None:
    out = tmp_path / "studies"
    shutil.copytree(older / "studies", out)
    one, two, three = sorted((out / CELLS).iterdir())[:3]
    _edit(one / CELL, code={"training.fit": "0123456789abcdef"})
    _edit(two / CELL, config={"seed": 77})
    _edit(three / CELL, options={"recipe": "gone"})
    kept, left = old_ones(out)
    assert [line.partition(": ")[0] for line in left] == [two.name, three.name]
    assert "mean another training today" in left[0]
    assert "gone" in left[1]
    code = next(of.code for of in kept if of.folder != one)
    done = carry(out, [(of, Found(code, {})) for of in kept if of.folder == one])
    assert done.trainings == 0
    assert "yet another version" in done.left[0]
    assert one.is_dir()


def _edit(path: Path, **changes: dict[str, Any]) -> None:
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, **{name: {**held[name], **new} for name, new in changes.items()}}))


def test_trainings_that_differ_in_numbers_alone_are_of_one_kind() -> None:
    base = {"data": "digits", "model": "cnn", "epochs": 4}

    def kind(**options: Any) -> str:
        return kind_of(cell_of({**base, **options}))

    assert kind(recipe="ovf", beta=0.01, seed=3) == kind(recipe="ovf", beta=0.1, epochs=9)
    assert kind(recipe="noise", sigma_d=0.1) == kind(recipe="noise", sigma_d=0.4)
    others = [
        kind(recipe="noise"),
        kind(recipe="noise", temperature=2),
        kind(recipe="noise", chips=2),
        kind(recipe="noise", clip=2),
        kind(recipe="noise", precision="bf16"),
        kind(recipe="noise", init_from={"recipe": "vanilla"}),
        kind(recipe="noise", init_from={"recipe": "vanilla", "epochs": 4}, epochs=0),
        kind(recipe="vanilla"),
    ]
    assert len(set(others)) == len(others)


def test_a_short_training_keeps_all_but_its_length(older: Path) -> None:
    kept, _ = old_ones(older / "studies")
    for one in kept:
        made: Cell = cell_of(one.short())
        assert kind_of(made) == kind_of(one.cell)
        assert made.training.epochs == 2


def test_a_folder_without_the_package_and_the_code_that_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="holds no package steadynet: give a checkout"):
        package_folder(tmp_path)
    with pytest.raises(SteadyNetError, match="is the code that runs"):
        package_folder(HERE.parents[1])
    with pytest.raises(SteadyNetError, match="is the code that runs"):
        package_folder(HERE.parent)
    with pytest.raises(SteadyNetError, match="name a checkout"):
        main([])
    assert not (tmp_path / RESULT).exists()
