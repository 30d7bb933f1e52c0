"""Which packages each optional part needs, asked for without importing them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from steadynet.errors import SteadyNetError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "ray": ("ray",),
    "study": ("optuna", "plotly", "pandas", "pyarrow"),
    "tensorboard": ("tensorboard",),
    "hdf5": ("h5py",),
}


def require_extra(extra: str, what: str) -> None:
    """Raise `SteadyNetError` unless the packages of `extra`, which `what` needs, are installed."""
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise SteadyNetError(f"{what} needs {', '.join(missing)}: pip install 'steadynet[{extra}]'")
