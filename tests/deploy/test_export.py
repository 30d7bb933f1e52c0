"""Export leaves the files that it lists, with their checksums, or nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from steadynet.deploy import FORMATS, export, load_levels, load_state
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.presets import preset
from training.small import small_net

DEVICE = Device(weight_bits=6, device_bits=3, variation=preset("rram4", 0.2), scale="channel")
EXAMPLE = torch.linspace(-1, 1, 128).view(2, 1, 8, 8)


def test_all_files_are_there_with_their_checksums(tmp_path: Path) -> None:
    model = small_net(1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    out = tmp_path / "a" / "export"
    written = export(model, DEVICE, out, formats=FORMATS, example=EXAMPLE, metadata={"run": "runs/σ"})
    assert [file.format for file in written] == list(FORMATS)
    assert sorted(path.name for path in out.iterdir()) == [
        "backbone.onnx", "backbone.pt", "backbone.safetensors", "export.json", "levels.h5", "levels.npz",
    ]  # fmt: skip
    for file in written:
        content = (out / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    for name in ("backbone.pt", "backbone.safetensors"):
        other = small_net(2)
        load_state(other, out / name)
        assert all(torch.equal(tensor, before[key]) for key, tensor in other.state_dict().items())
    levels = load_levels(out / "levels.npz")
    assert (levels.weight_bits, levels.device_bits, levels.scale) == (6, 3, "channel")


def test_export_json_tells_files_device_and_what_lies_where(tmp_path: Path) -> None:
    model = small_net(1)
    written = export(model, DEVICE, tmp_path / "out", metadata={"run": "runs/σ"})
    told: Any = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert told["files"] == [
        {"format": f.format, "path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in written
    ]
    assert [file["format"] for file in told["files"]] == ["safetensors", "state_dict", "levels"]
    assert {key: told["device"][key] for key in ("weight_bits", "device_bits", "scale")} == {
        "weight_bits": 6,
        "device_bits": 3,
        "scale": "channel",
    }
    assert "0.2" in told["device"]["variation"]
    # J = 2 devices in each of two crossbars.
    assert told["mapped"] == [
        {
            "name": "conv1.weight",
            "shape": [4, 1, 3, 3],
            "kind": "convolution",
            "devices": 36 * 4,
            "crossbars": 2,
        },
        {
            "name": "conv2.weight",
            "shape": [6, 4, 3, 3],
            "kind": "convolution",
            "devices": 216 * 4,
            "crossbars": 2,
        },
        {"name": "fc.weight", "shape": [3, 96], "kind": "linear", "devices": 288 * 4, "crossbars": 2},
    ]
    names = {entry["name"] for entry in told["digital"]} | {entry["name"] for entry in told["mapped"]}
    assert names == {name for name, _ in model.named_parameters()}
    assert {entry["name"]: entry["reason"] for entry in told["digital"]}["conv2.bias"] == "bias of Conv2d"
    assert told["metadata"] == {"run": "runs/σ"}


def test_the_same_network_gives_the_same_files(tmp_path: Path) -> None:
    one, two = (export(small_net(1), DEVICE, tmp_path / name) for name in ("a", "b"))
    assert one == two
    assert export(small_net(2), DEVICE, tmp_path / "c") != one


def test_only_what_is_asked_for_is_written_once(tmp_path: Path) -> None:
    written = export(small_net(), DEVICE, tmp_path / "out", formats=("levels", "levels"))
    assert [file.format for file in written] == ["levels"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "levels.npz"]


def broken() -> nn.Module:
    model = small_net()
    with torch.no_grad():
        model.fc.weight[0, 0] = float("inf")
    return model


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        (small_net(), {"formats": ("onxx",)}, "unknown export format 'onxx': did you mean 'onnx'?"),
        (small_net(), {"formats": ("levels", "onnx")}, "ONNX needs example inputs of two images"),
        (small_net(), {"formats": ("onnx",), "example": EXAMPLE[:1]}, "ONNX needs example inputs of two"),
        (broken(), {}, "fc.weight of SmallNet holds 1 NaN or infinite"),
        (nn.Sequential(nn.BatchNorm2d(1)), {}, "has no weight that lies on devices"),
        (small_net(), {"metadata": {"a": float("nan")}}, "as JSON"),
        (small_net(), {"metadata": {"a": object()}}, "as JSON"),
    ],
)
@pytest.mark.parametrize("filled", [False, True])
def test_what_is_refused_leaves_the_folder_as_it_was(
    model: nn.Module, options: dict[str, Any], told: str, filled: bool, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if filled:
        out.mkdir()
        (out / "export.json").write_text("mine")
    with pytest.raises(SteadyNetError, match=told):
        export(model, DEVICE, out, overwrite=filled, **options)
    assert [path.name for path in tmp_path.rglob("*")] == (["out", "export.json"] if filled else [])


def test_missing_packages_for_onnx_leave_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SteadyNetError, match=r"ONNX needs onnx, onnxscript, onnxruntime: pip install"):
        export(small_net(), DEVICE, tmp_path / "out", formats=FORMATS, example=EXAMPLE)
    assert not (tmp_path / "out").exists()


def test_a_filled_folder_is_refused_unless_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(SteadyNetError, match="is not empty"):
        export(small_net(), DEVICE, tmp_path)
    with pytest.raises(SteadyNetError, match="is a file"):
        export(small_net(), DEVICE, tmp_path / "mine", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "mine"]
    export(small_net(), DEVICE, tmp_path, overwrite=True)
    assert "mine" not in [path.name for path in tmp_path.iterdir()]


class Branches(nn.Module):
    """A network that ONNX cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(x.flatten(1))
        return logits if float(x.sum()) > 0 else -logits


def test_a_network_that_onnx_cannot_hold_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(SteadyNetError, match="cannot be written as ONNX"):
        export(Branches(), DEVICE, tmp_path, formats=FORMATS, example=EXAMPLE, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "mine"]
