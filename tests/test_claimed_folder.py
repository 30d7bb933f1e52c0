"""A job that is refused before it starts leaves its folder as it was, and one that starts replaces it."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadynet.errors import SteadyNetError
from steadynet.folders import check_folder, claimed_folder, left_aside


class RefusedError(Exception):
    """The job's own refusal."""


def tree(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("error", [RefusedError, KeyboardInterrupt, None])
@pytest.mark.parametrize("before", [None, {}, {"history.csv": "old", "sub/old": "deep"}])
@pytest.mark.parametrize("starts", [False, True])
def test_the_folder_is_as_before_unless_the_job_has_started(
    error: type[BaseException] | None, before: dict[str, str] | None, starts: bool, tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "out"
    out.parent.mkdir()
    if before is not None:
        out.mkdir()
        for name, text in before.items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text(text)
    was = tree(tmp_path)

    def job() -> None:
        with claimed_folder(out, out / "started", overwrite=True) as folder:
            assert folder == out
            assert not list(out.iterdir()), "the job finds it empty"
            (out / "new").mkdir()
            (out / "new" / "file").write_text("new")
            if starts:
                (out / "started").write_text("")
            if error is not None:
                raise error

    if error is None:
        job()
    else:
        with pytest.raises(error):
            job()
    wanted = {"runs": None, "runs/out": None, "runs/out/new": None}
    wanted |= {"runs/out/new/file": "new", "runs/out/started": ""}
    assert tree(tmp_path) == (wanted if starts else was)


def test_a_filled_folder_is_refused_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    with pytest.raises(SteadyNetError, match="is not empty"), claimed_folder(tmp_path, tmp_path / "started"):
        pytest.fail("it was entered")
    assert tree(tmp_path) == {"old": "old"}


def test_a_link_to_a_folder_stays_a_link_and_its_folder_is_emptied(tmp_path: Path) -> None:
    """Results are put on another disk so."""
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    (disk / "last.ckpt").write_text("old")
    link.symlink_to(disk)
    with pytest.raises(RefusedError), claimed_folder(link, link / "started", overwrite=True):
        raise RefusedError
    assert tree(disk) == {"last.ckpt": "old"}
    with claimed_folder(link, link / "started", overwrite=True) as folder:
        (folder / "started").write_text("new")
    assert link.is_symlink()
    assert tree(disk) == {"started": "new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_what_a_killed_job_moved_aside_is_told(tmp_path: Path) -> None:
    out, left = tmp_path / "out", tmp_path / ".out-0123abcd.steadynet-tmp"
    for folder in (out, left, tmp_path / ".out-other-0123abcd.steadynet-tmp"):
        folder.mkdir()
        (folder / "last.ckpt").touch()
    assert left_aside(out) == [left], "what another folder's job moved aside is not of this one"
    with pytest.raises(SteadyNetError, match=r"is not empty.*lies in .*\.out-0123abcd"):
        check_folder(out)
    warned = pytest.warns(UserWarning, match=r"0123abcd.* holds what .*out held before")
    with warned, claimed_folder(out, out / "started", overwrite=True):
        (out / "started").touch()
    assert left.exists()
    assert left_aside(out) == [left], "what was overwritten now is gone"
