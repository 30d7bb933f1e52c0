"""A study that takes seconds: digits, a small network, two recipes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

WRITTEN: dict[str, Any] = {
    "title": "Small",
    "base": {
        "data": "digits",
        "model": "cnn",
        "model.width": 0.25,
        "epochs": 2,
        "train_images": 200,
        "test_images": 50,
        "batch_size": 60,
        "val_draws": 1,
        "checkpoint_every": 1,
    },
    "axes": {
        "recipe": {
            "W/O": {"recipe": "vanilla"},
            "W/": {"recipe": "noise"},
            "OVF": {"recipe": "ovf", "beta": "1e-2"},
        },
        "sigma_d": [0.1, 0.2],
        "seed": [0, 1],
    },
    "test": {"draws": 3},
}


def written(**changes: Any) -> dict[str, Any]:
    """Return the small study with some keys replaced; None removes one."""
    made = copy.deepcopy(WRITTEN)
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = value
    return made


def write(folder: Path, name: str = "small", **changes: Any) -> Path:
    """Write it as a file, and return its path."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(written(**changes), allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path
