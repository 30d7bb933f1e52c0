"""How arguments, jobs, results and errors travel between processes, as bytes.

What workers build from goes through `torch.save`: tensors that share memory still share it afterwards, and a file of
them is mapped into each process rather than read. multiprocessing's own way would move the caller's tensors into
memory that all processes share, where what one worker writes shows in the others.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from steadynet.errors import SteadyNetError

Dumps = Callable[[object], bytes]


def save_bundle(bundle: object, file: Path | IO[bytes], pickler: Any = pickle) -> None:
    """Write `bundle`, what workers build from, to `file`.

    Args:
        bundle: Anything picklable.
        file: A path or an open file.
        pickler: The module that pickles: pickle, or cloudpickle, which also takes what `__main__` defines.

    Raises:
        SteadyNetError: If it cannot be pickled or written.
    """
    try:
        torch.save(bundle, file, pickle_module=pickler)
    except (OSError, RuntimeError) as error:  # torch's writer tells a full disk by a RuntimeError
        raise SteadyNetError(
            f"what the workers need cannot be written ({_line(error)}): let TMPDIR name a folder with more room"
        ) from error
    except (pickle.PicklingError, AttributeError, TypeError, ValueError) as error:
        raise SteadyNetError(
            f"what the workers need cannot be sent to another process ({_line(error)}): "
            "use functions and classes of a module, and no open files"
        ) from error


def load_bundle(file: Path | IO[bytes]) -> Any:
    """Return what `save_bundle` wrote; tensors of a path are mapped, and private to this process once written to.

    Raises:
        SteadyNetError: If this process does not find a class or function that it needs.
    """
    try:
        return torch.load(file, weights_only=False, mmap=True if isinstance(file, Path) else None)
    except (AttributeError, ImportError) as error:
        raise SteadyNetError(
            f"what the workers need cannot be read in another process ({_line(error)}): "
            "move classes and functions of a notebook or script into a module that can be imported"
        ) from error


def success(result: object, dumps: Dumps = pickle.dumps) -> bytes:
    """Return `result` as bytes, for `outcome`."""
    return dumps((True, result))


def failure(error: Exception, dumps: Dumps = pickle.dumps) -> bytes:
    """Return `error` as bytes, for `outcome`, with a note of where it arose unless it is a refusal, of one line."""
    trace = "".join(traceback.format_exception(error))
    if not isinstance(error, SteadyNetError):
        error.add_note(f"in a worker process:\n{trace}")
    try:
        content = dumps((False, error))
        # An exception whose constructor takes other arguments than its args can be pickled, but not read again.
        pickle.loads(content)
    except Exception:
        return dumps((False, RuntimeError(f"{type(error).__name__} in a worker process:\n{trace}")))
    return content


def attempt(function: Callable[[Any], object], job: bytes, dumps: Dumps = pickle.dumps) -> bytes:
    """Return what `function` makes of the pickled `job`, a result or an exception, as bytes for `outcome`."""
    try:
        return success(function(pickle.loads(job)), dumps)
    except Exception as error:
        return failure(error, dumps)


def outcome(content: bytes) -> Any:
    """Return the result that `content` holds, or raise its exception."""
    good, value = pickle.loads(content)
    if good:
        return value
    raise value


def dump_job(index: int, job: object, dumps: Dumps = pickle.dumps) -> bytes:
    """Return `job` as bytes; raise `SteadyNetError` if it cannot be pickled."""
    try:
        return dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SteadyNetError(
            f"job {index} cannot be sent to another process ({_line(error)}): use plain data and tensors on the CPU"
        ) from error


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
