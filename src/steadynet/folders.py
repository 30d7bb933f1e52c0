"""Folders of results: made, emptied, moved aside and locked, so that nothing that somebody had is lost."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import uuid
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from steadynet.errors import SteadyNetError
from steadynet.files import TEMPORARY_SUFFIX

# In a folder that a process works in: held as long as it does.
LOCK = ".lock"
# The options that a command was started with, which it writes first, and how they begin.
CONFIG_NAME = "config.yaml"
CONFIG_START = "# steadynet "
# By one of these, too, a folder is known as one that results were written into: a training's, a comparison's, an export's.
RESULTS = (
    "last.ckpt", "damaged-last.ckpt", "history.csv", "tensorboard", "result.json", "comparison.json", "export.json",
)  # fmt: skip
# Digits that tell apart what is moved aside at the same time.
_TAG = 8


def prepare_folder(path: Path, *, overwrite: bool = False) -> Path:
    """Make the folder `path` for results, and refuse one that already holds something.

    Args:
        path: The folder; parents are made as needed.
        overwrite: Empty a folder that already holds results. A folder that holds anything else without them, as several
            runs or a version-control checkout, the current folder, one of its parents and the home folder are never emptied.

    Returns:
        The folder, which exists, is empty and can be written to.

    Raises:
        SteadyNetError: If it holds something and `overwrite` is off, holds no results, is a file, or cannot be written to.
    """
    path = Path(path)
    check_folder(path, overwrite=overwrite)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _empty(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    check_writable(path)
    return path


@contextmanager
def claimed_folder(path: Path, started: Path, *, overwrite: bool = False) -> Generator[Path]:
    """Make `path` an empty folder for a job, and undo that if the job ends before `started` exists.

    What is overwritten is only moved aside at first: an input that the job refuses in its own checks
    costs no earlier result. It is removed when the job is over.

    Raises:
        SteadyNetError: If the folder holds something and `overwrite` is off, or cannot be written to.
    """
    path = Path(path)
    if path.is_symlink():
        path = path.resolve()  # Moved aside, it would be the link that moves.
    check_folder(path, overwrite=overwrite)
    existed, aside = path.is_dir(), None
    if existed and any(path.iterdir()):
        aside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:_TAG]}{TEMPORARY_SUFFIX}")
        try:
            path.rename(aside)
        except OSError as error:
            raise _unwritable(path, error) from error
    try:
        for left in left_aside(path):
            if left != aside:
                warnings.warn(
                    f"{left} holds what {path} held before a run that was cut off: move it back, or delete it",
                    stacklevel=3,
                )
        yield prepare_folder(path)
    finally:
        if started.exists():
            if aside is not None:
                shutil.rmtree(aside)
        elif aside is not None:
            shutil.rmtree(path, ignore_errors=True)
            aside.rename(path)
        elif path.is_dir():
            _empty(path)
            if not existed:
                path.rmdir()


def left_aside(path: Path) -> list[Path]:
    """Return where earlier contents of a folder lie, which were moved aside by jobs that were killed before they were over."""
    return sorted(
        left
        for left in path.parent.glob(f".{glob.escape(path.name)}-{'?' * _TAG}{TEMPORARY_SUFFIX}")
        if left.is_dir()
    )


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Let no other process work in a folder, which exists, meanwhile.

    Raises:
        SteadyNetError: If one does.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _busy(folder) from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def check_free(folder: Path) -> None:
    """Raise `SteadyNetError` if another process works in a folder, which may not be there."""
    if is_locked(folder):
        raise _busy(folder)


def is_locked(folder: Path) -> bool:
    """Return whether a living process works in the folder."""
    path = folder / LOCK
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def check_folder(path: Path, *, overwrite: bool = False) -> None:
    """Raise if `prepare_folder` would refuse `path`, changing nothing: a long job asks before it starts.

    Raises:
        SteadyNetError: If it holds something and `overwrite` is off, is a file, or cannot be read.
    """
    try:
        if path.exists() and not path.is_dir():
            raise SteadyNetError(f"output folder {path} is a file; give another folder")
        filled = path.is_dir() and any(path.iterdir())
        nearest = next((place for place in (path, *path.absolute().parents) if place.exists()), path)
    except OSError as error:
        raise _unwritable(path, error) from error
    if not nearest.is_dir():
        raise _unwritable(path, NotADirectoryError(errno.ENOTDIR, f"{nearest} is a file"))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _unwritable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if not filled:
        return
    if not overwrite:
        left = left_aside(path)
        told = f" (what it held before a run that was cut off lies in {left[0]})" if left else ""
        raise SteadyNetError(f"output folder {path} is not empty; give another, or --overwrite{told}")
    here = Path.cwd().resolve()
    resolved = path.resolve()
    precious = resolved == Path.home().resolve() or resolved == here or resolved in here.parents
    if precious or (path / ".git").exists():
        raise SteadyNetError(f"output folder {path} is no folder of results; --overwrite does not empty it")
    others = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    if others and not holds_results(path):
        raise SteadyNetError(
            f"output folder {path} holds {others[0]}{' and others' if len(others) > 1 else ''}, and no results of its own; "
            "--overwrite does not empty it: give another folder, or delete it yourself"
        )


def holds_results(folder: Path) -> bool:
    """Return whether a folder is one that a training, a comparison, an export or a command wrote its results into."""
    if any((folder / name).exists() for name in RESULTS):
        return True
    try:
        with (folder / CONFIG_NAME).open(encoding="utf-8") as file:
            return file.readline().startswith(CONFIG_START)
    except (OSError, ValueError):
        return False


def check_apart(out: Path, *inputs: Path, around: Sequence[Path] = ()) -> None:
    """Raise if an input lies in the folder `out`, which emptying it would destroy, or `out` in a folder that is read whole.

    Args:
        out: Folder of results.
        inputs: What is read.
        around: Folders of which every folder is read, as a class of images.

    Raises:
        SteadyNetError: If it does.
    """
    folder = out.expanduser().resolve()
    for path in around:
        if path.expanduser().resolve() in folder.parents:
            raise SteadyNetError(
                f"output folder {out} lies in {path}, whose folders are classes of images: give a folder outside of it"
            )
    for path in inputs:
        source = path.expanduser().resolve()
        if source == folder or folder in source.parents:
            raise SteadyNetError(f"output folder {out} holds {path}, which is read: give another folder")


def check_writable(folder: Path) -> None:
    """Raise unless a file can be made in `folder`.

    Raises:
        SteadyNetError: If it cannot.
    """
    probe = folder / f".probe-{uuid.uuid4().hex[:_TAG]}{TEMPORARY_SUFFIX}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _busy(folder: Path) -> SteadyNetError:
    return SteadyNetError(
        f"another process is at {folder}: wait until it has ended, or end it, or name another folder"
    )


def _unwritable(folder: Path, error: OSError) -> SteadyNetError:
    return SteadyNetError(f"output folder {folder} cannot be written to ({error.strerror}); give another")


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
