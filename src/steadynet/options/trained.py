"""Networks of finished runs, made again from the options that lie beside their weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steadynet.errors import SteadyNetError
from steadynet.folders import CONFIG_NAME
from steadynet.options.build import build_model
from steadynet.options.groups import ModelOptions
from steadynet.options.yaml_file import read_yaml

if TYPE_CHECKING:
    from torch import nn

BACKBONE = "backbone.safetensors"


def network_of_run(folder: Path, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the trained network of a run's folder, for inputs of `shape`.

    Raises:
        SteadyNetError: If the folder holds no finished run, or one for other inputs or another number of classes.
    """
    from steadynet.deploy.state import load_state

    weights = folder / BACKBONE
    if not weights.is_file():
        raise SteadyNetError(
            f"{folder} holds no {BACKBONE}: finish its training by --resume, or name another"
        )
    if len(shape) != 3:
        raise SteadyNetError(
            f"{folder} is a run on images [channels, height, width], the inputs here are {shape}"
        )
    saved = read_yaml(folder / CONFIG_NAME, "run ", holds="the options of a run")
    options = ModelOptions(saved.get("model", "vgg8"), saved.get("model_options") or {})
    channels, height, width = shape
    model = build_model(options, classes, (channels, height, width))
    load_state(model, weights)
    return model
