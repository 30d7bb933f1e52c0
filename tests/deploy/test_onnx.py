"""The clean backbone as ONNX gives the same logits in ONNX Runtime, at any batch size, or is refused."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from steadynet.deploy.onnx import save_onnx
from steadynet.errors import SteadyNetError
from training.small import small_net


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def trained_net() -> nn.Module:
    """Statistics of BatchNorm unlike those it starts with, so that a forgotten evaluation mode shows."""
    model = small_net(1).train()
    for seed in range(3):
        model(2 * images(16, seed) + 1)
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path, float]:
    """A network in training mode with its ONNX file, and the difference that was found."""
    model, path = trained_net(), tmp_path_factory.mktemp("onnx") / "net.onnx"
    return model, path, save_onnx(model, images(2), path)


@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_other_batch_sizes_give_the_same_logits(count: int, written: tuple[nn.Module, Path, float]) -> None:
    model, path, _ = written
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = images(count, seed=9)
    got: Any = session.run(["output"], {"input": inputs.numpy()})[0]
    was = model.training
    with torch.no_grad():
        expected = model.eval()(inputs).numpy()
    model.train(was)
    assert got.shape == (count, 3)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_the_file_is_valid_and_alone(written: tuple[nn.Module, Path, float]) -> None:
    model, path, difference = written
    onnx.checker.check_model(onnx.load(str(path)), full_check=True)
    assert [file.name for file in path.parent.iterdir()] == ["net.onnx"], "no weights in a file beside it"
    assert 0 <= difference < 1e-4
    assert all(module.training for module in model.modules()), "the network's mode is as before"


def test_missing_packages_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("onnxscript", "onnxruntime") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(
        SteadyNetError, match=r"ONNX needs onnxscript, onnxruntime: pip install 'steadynet\[onnx\]'"
    ):
        save_onnx(small_net(), images(2), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


class Branches(nn.Module):
    """A network whose way depends on its input's values, which no trace can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.flatten(1))
        return logits if float(x.sum()) > 0 else -logits


def test_a_network_that_cannot_be_exported_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    model = Branches()
    with pytest.raises(SteadyNetError, match="Branches cannot be written as ONNX") as refused:
        save_onnx(model, images(2), tmp_path / "net.onnx")
    assert "\n" not in str(refused.value)
    assert model.training
    assert not list(tmp_path.iterdir())


def test_logits_that_differ_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnxruntime.InferenceSession

    class Wrong:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.session: Any = real(*args, **kwargs)

        def run(self, *args: Any) -> Any:
            return [1.01 * output for output in self.session.run(*args)]

    monkeypatch.setattr(sys.modules["onnxruntime"], "InferenceSession", Wrong)
    with pytest.raises(SteadyNetError, match=r"differs from torch by 0\.01 of the largest output"):
        save_onnx(trained_net(), images(2), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
