"""Files are written whole or not at all, and folders of results are never mixed or lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steadynet.cli.parser import CONFIG_NAME
from steadynet.comparison import IDENTITY
from steadynet.deploy.export import SUMMARY
from steadynet.errors import SteadyNetError
from steadynet.files import write_atomically, write_json_atomically, write_text_atomically
from steadynet.folders import alone, check_free, prepare_folder
from steadynet.training.callbacks import HISTORY
from steadynet.training.checkpoints import CHECKPOINT

root = os.geteuid() == 0


def test_a_file_is_written_and_nothing_else_left(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "a.txt", "σ\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "σ\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="files have no such modes there")
def test_a_file_may_be_read_by_whom_others_may_whoever_writes_it(tmp_path: Path) -> None:
    def private(path: Path) -> None:
        path.touch(mode=0o600)

    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    write_atomically(tmp_path / "a", private)
    assert (tmp_path / "a").stat().st_mode == usual
    (tmp_path / "a").chmod(0o640)
    write_text_atomically(tmp_path / "a", "again")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640, "what a user made of it stays"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_temporary_file_is_in_the_same_folder_and_keeps_the_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []
    write_atomically(tmp_path / "a.png", lambda temporary: (seen.append(temporary), temporary.touch())[1])
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".png"
    assert seen[0].name != "a.png"


def test_a_missing_folder_and_a_folder_as_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="does not exist; make it first"):
        write_text_atomically(tmp_path / "none" / "a.txt", "")
    with pytest.raises(SteadyNetError, match="it is a folder"):
        write_text_atomically(tmp_path, "")


def test_json_reads_back_and_refuses_what_json_has_not(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {"σ": [0.1, 1, None, True], "b": {"c": "d"}}
    write_json_atomically(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    for wrong in (float("nan"), {1, 2}):
        with pytest.raises(SteadyNetError, match="as JSON"):
            write_json_atomically(path, wrong)
    assert json.loads(path.read_text(encoding="utf-8")) == value


def test_a_folder_is_made_with_its_parents_and_an_empty_one_taken(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert not any((tmp_path / "a" / "b").iterdir())


def test_a_folder_that_holds_something_is_refused_or_emptied(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "x").touch()
    (out / "link").symlink_to(outside)
    (out / "history.csv").touch()
    with pytest.raises(SteadyNetError, match="not empty; give another, or --overwrite"):
        prepare_folder(out)
    assert (out / "sub" / "x").exists()
    prepare_folder(out, overwrite=True)
    assert not any(out.iterdir())
    assert (outside / "kept").exists(), "a link is removed, not what it points to"


def test_overwrite_never_empties_a_checkout_the_current_folder_or_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / "x").touch()
    monkeypatch.setenv("HOME", str(home))
    here = tmp_path / "parent" / "here"
    here.mkdir(parents=True)
    (here / "x").touch()
    monkeypatch.chdir(here)
    for precious in (checkout, home, here, here.parent, Path()):
        with pytest.raises(SteadyNetError, match="no folder of results"):
            prepare_folder(precious, overwrite=True)
        assert any(precious.iterdir())


@pytest.mark.parametrize("held", ["thesis.txt", "run/config.yaml", "run/last.ckpt", "config.yaml"])
def test_overwrite_empties_folders_of_results_alone(held: str, tmp_path: Path) -> None:
    """Neither a folder of several runs nor one of somebody's files, whose options may have the name of ours."""
    out = tmp_path / "runs"
    (out / held).parent.mkdir(parents=True)
    (out / held).write_text("# mine\n")
    with pytest.raises(SteadyNetError, match=f"holds {held.partition('/')[0]}, and no results of its own"):
        prepare_folder(out, overwrite=True)
    assert (out / held).read_text() == "# mine\n"


@pytest.mark.parametrize("name", [CHECKPOINT, HISTORY, IDENTITY, SUMMARY, CONFIG_NAME, "result.json"])
def test_overwrite_knows_results_by_what_is_written_first(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("# steadynet train --config config.yaml\n")
    (tmp_path / "more").mkdir()
    assert not any(prepare_folder(tmp_path, overwrite=True).iterdir())


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(SteadyNetError, match="is a file"):
        prepare_folder(tmp_path / "f", overwrite=True)
    with pytest.raises(SteadyNetError, match="cannot be written to"):
        prepare_folder(tmp_path / "f" / "below")


@pytest.mark.skipif(root, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(SteadyNetError, match="cannot be written to"):
        prepare_folder(locked)
    with pytest.raises(SteadyNetError, match="cannot be written to"):
        prepare_folder(locked / "below")
    with pytest.raises(SteadyNetError, match="cannot write"):
        write_text_atomically(locked / "a.txt", "")


def test_one_process_works_in_a_folder_at_a_time(tmp_path: Path) -> None:
    check_free(tmp_path / "none")
    with alone(tmp_path):
        told = f"another process is at {tmp_path}: wait until it has ended"
        code = f"from pathlib import Path; from steadynet.folders import alone, check_free; p = Path({str(tmp_path)!r})\n"
        for what in ("check_free(p)", "alone(p).__enter__()"):
            done = subprocess.run(
                [sys.executable, "-c", code + what], capture_output=True, text=True, check=False
            )
            assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
    check_free(tmp_path)
    with alone(tmp_path):
        pass
