"""The network whose accuracy is estimated: trained once with noise, kept in the cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType] (typed in parts)
from torch import nn

import steadynet as sn
from benchmarks.task import Task
from steadynet.data.imageset import ImageSet
from steadynet.files import write_atomically, write_json_atomically

WIDTH, SIZE, BATCH, TRAIN_SIGMA_D = 0.25, 16, 128, 0.1
DATA = "STEADYNET_DATA"


def source() -> str:
    """Return "mnist" where the environment variable names the folder of data sets, else the embedded "digits"."""
    return "mnist" if os.environ.get(DATA) else "digits"


def trained(task: Task) -> tuple[nn.Module, ImageSet]:
    """Return VGG-8 trained by the recipe "noise" for some hundred steps, and its test images.

    All 10,000 of MNIST at the full scale, or as many as the scale and the data set allow.
    """
    scale, name = task.scale, source()
    known = 60_000 if name == "mnist" else None
    wanted = scale.train_steps * BATCH * 10 // 9
    splits = sn.data.load(
        name,
        root=os.environ.get(DATA, "data"),
        size=SIZE,
        channels=1,
        train_images=min(known, wanted) if known and wanted >= 20 else None,
        download=False,
    )
    net = sn.models.build("vgg8", classes=10, shape=splits.shape, options={"width": WIDTH})
    path = _place(task, ".safetensors")
    if path.exists():
        net.load_state_dict(load_file(path))
    else:
        epochs = max(1, round(scale.train_steps * BATCH / len(splits.train)))
        sn.fit(
            net,
            sn.recipe("noise"),
            sn.Device(variation=sn.Gaussian(TRAIN_SIGMA_D)),
            splits.train,
            splits.validation,
            augment=False,
            epochs=epochs,
            batch_size=BATCH,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: save_file(net.state_dict(), temporary))
    test = splits.test
    return net.eval(), test.subset(torch.arange(min(scale.images, len(test))))


def remembered(task: Task) -> dict[str, float]:
    """Return the std over chips that this network was found to have, by σ_d."""
    path = _place(task, "-stds.json")
    return cast("dict[str, float]", json.loads(path.read_text())) if path.exists() else {}


def remember(task: Task, stds: dict[str, float]) -> None:
    """Keep them."""
    write_json_atomically(_place(task, "-stds.json"), stds)


def _place(task: Task, suffix: str) -> Path:
    return task.cache / f"vgg8-{WIDTH}-{SIZE}-{source()}-{task.scale.train_steps}steps{suffix}"
