"""The clean backbone as ONNX, checked in ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from steadynet.batches import arguments, logits_of, part_of
from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.files import write_atomically


def save_onnx(model: nn.Module, example: Any, path: Path, tolerance: float = 1e-3) -> float:
    """Write `model` in evaluation mode as ONNX with a free batch size, after checking it in ONNX Runtime.

    Args:
        model: The clean backbone.
        example: Inputs [B ≥ 2, …] to trace and compare with; a tuple or a mapping of tensors for a network that takes several.
        path: The .onnx file.
        tolerance: Largest difference of an output, relative to the largest output, that is accepted.

    Returns:
        The largest difference found, relative to the largest output.

    Raises:
        SteadyNetError: If the packages are missing, the network cannot be exported, or the outputs differ.
    """
    require_extra("onnx", "ONNX")
    modes = [module.training for module in model.modules()]
    model.eval()
    try:
        return _save(model, example, path, tolerance)
    finally:
        for module, training in zip(model.modules(), modes, strict=True):
            module.training = training


def _save(model: nn.Module, example: Any, path: Path, tolerance: float) -> float:
    import onnxruntime

    args, kwargs = arguments(example)
    # One input is called "input"; named ones keep their names.
    names = list(kwargs) or (
        ["input"] if len(args) == 1 else [f"input_{index}" for index in range(len(args))]
    )
    batch: Any = {0: torch.export.Dim("batch", min=1)}
    found: list[float] = []

    def write(temporary: Path) -> None:
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    model,
                    args,
                    str(temporary),
                    kwargs=kwargs,
                    input_names=names,
                    output_names=["output"],
                    dynamic_shapes=dict.fromkeys(names, batch) if kwargs else tuple(batch for _ in args),
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:
            raise SteadyNetError(
                f"{type(model).__name__} cannot be written as ONNX ({type(error).__name__}): leave --onnx out"
            ) from error
        session: Any = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        with torch.no_grad():
            for inputs in (example, part_of(example, 0, 1)):
                own, named = arguments(inputs)
                expected: Any = logits_of(model(*own, **named)).numpy()
                given = zip(names, named.values() if named else own, strict=True)
                got: Any = session.run(None, {name: tensor.numpy() for name, tensor in given})[0]
                found.append(float(np.abs(got - expected).max() / max(1e-12, float(np.abs(expected).max()))))
        if max(found) > tolerance:
            raise SteadyNetError(
                f"ONNX Runtime differs from torch by {max(found):.2g} of the largest output (accepted: {tolerance:g})"
            )

    write_atomically(path, write)
    return max(found)
