"""The clean backbone as ONNX, checked in ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.files import write_atomically


def save_onnx(model: nn.Module, example: Tensor, path: Path, tolerance: float = 1e-3) -> float:
    """Write `model` in evaluation mode as ONNX with a free batch size, after checking it in ONNX Runtime.

    Args:
        model: The clean backbone.
        example: Inputs [B ≥ 2, …] to trace and compare with.
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


def _save(model: nn.Module, example: Tensor, path: Path, tolerance: float) -> float:
    import onnxruntime

    found: list[float] = []

    def write(temporary: Path) -> None:
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    model,
                    (example,),
                    str(temporary),
                    input_names=["input"],
                    output_names=["output"],
                    dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
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
            for inputs in (example, example[:1]):
                expected: Any = model(inputs).numpy()
                got: Any = session.run(None, {"input": inputs.numpy()})[0]
                found.append(float(np.abs(got - expected).max() / max(1e-12, float(np.abs(expected).max()))))
        if max(found) > tolerance:
            raise SteadyNetError(
                f"ONNX Runtime differs from torch by {max(found):.2g} of the largest output (accepted: {tolerance:g})"
            )

    write_atomically(path, write)
    return max(found)
