"""Writing files: whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from steadynet.errors import DiskFullError, SteadyNetError

TEMPORARY_SUFFIX = ".steadynet-tmp"


# It can only be read by setting it, which is no work for threads.
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that `path` holds either what it held before or all of the new content.

    `write` is given a temporary path in the same folder, with the same final suffix (matplotlib and
    others choose a format by it); the file is flushed to the disk and then renamed to `path`.
    If anything fails, the temporary file is removed and `path` stays as it was.

    Args:
        path: The file to write. Its folder must exist.
        write: Writes the content to the path that it is given.

    Raises:
        SteadyNetError: If the folder is missing or cannot be written to.
        DiskFullError: If there is no space left.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise SteadyNetError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise SteadyNetError(f"cannot write {path}: it is a folder; give the path of a file")
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # Some writers make files that their owner alone may read, whatever is usual here.
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_UMASK)
        temporary.replace(path)
    except PermissionError as error:
        raise SteadyNetError(f"cannot write {path}: {error.strerror}; give another folder") from error
    except Exception as error:
        if _is_full(error, path.parent):
            raise DiskFullError(f"cannot write {path}: no space left on the disk; free some") from error
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            raise SteadyNetError(f"cannot write {path}: {error.strerror}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(error: Exception, folder: Path) -> bool:
    """Return whether an error is for want of space; torch and safetensors raise errors of their own for it."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return not isinstance(error, SteadyNetError) and shutil.disk_usage(folder).free < 1 << 20


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all; see `write_atomically`."""
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def write_json_atomically(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all; see `write_atomically`.

    Raises:
        SteadyNetError: If `value` holds what JSON cannot: NaN, an infinity, an object of another type.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SteadyNetError(f"cannot write {path} as JSON: {error}") from error
    write_text_atomically(path, text + "\n")


def checksum(path: Path) -> str:
    """Return 16 hexadecimal digits of a file's SHA-256, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def check_new(path: Path, *, overwrite: bool = False) -> None:
    """Raise `SteadyNetError` if a file is there already, and is not to be replaced."""
    if path.exists() and not overwrite:
        raise SteadyNetError(f"{path} already exists: name another file, or overwrite it by --overwrite")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
