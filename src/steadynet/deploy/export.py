"""Everything that a chip and other tools need of a trained network, into one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from steadynet.deploy.levels import levels_of, save_levels
from steadynet.deploy.onnx import save_onnx
from steadynet.deploy.state import save_backbone, save_state_dict
from steadynet.errors import SteadyNetError, check_choice
from steadynet.extras import require_extra
from steadynet.files import claimed_folder, write_json_atomically
from steadynet.mapping import check_finite, layout
from steadynet.nvm.device import Device

Format = Literal["safetensors", "state_dict", "levels", "onnx"]
FORMATS: tuple[Format, ...] = ("safetensors", "state_dict", "levels", "onnx")
DEFAULT_FORMATS: tuple[Format, ...] = ("safetensors", "state_dict", "levels")
FILES: Mapping[str, str] = {
    "safetensors": "backbone.safetensors",
    "state_dict": "backbone.pt",
    "levels": "levels.npz",
    "onnx": "backbone.onnx",
}
SUMMARY = "export.json"


@dataclass(frozen=True)
class Exported:
    """One file that was written: its format, path, size in bytes and SHA-256."""

    format: str
    path: str
    bytes: int
    sha256: str


def export(
    model: nn.Module,
    device: Device,
    out: Path | str,
    *,
    formats: Sequence[Format] = DEFAULT_FORMATS,
    example: Tensor | None = None,
    overwrite: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Exported, ...]:
    """Write a trained backbone for deployment.

    - `backbone.safetensors` and `backbone.pt`: its state_dict, as it was trained;
    - `levels.npz`: the target conductance level of every device (layout: docs/levels.md);
    - `backbone.onnx`: the clean network, checked in ONNX Runtime (extra `onnx`);
    - `export.json`: the files with their checksums, the device, and what lies on devices.

    Args:
        model: A trained network; it is not changed.
        device: The device that the levels are for.
        out: The folder; it must be new or empty.
        formats: Which files are written.
        example: Inputs of two images or more; needed for ONNX.
        overwrite: Whether `out` may hold files already; they are removed.
        metadata: Plain values that are kept in `export.json`.

    Raises:
        SteadyNetError: If a format is unknown or its packages are missing, a weight is not finite, or the folder cannot
            be used, or ONNX cannot hold the network. The folder is then as it was.
    """
    for name in formats:
        check_choice("export format", name, FORMATS)
    if "onnx" in formats:
        require_extra("onnx", "ONNX")
        if example is None or len(example) < 2:
            raise SteadyNetError("ONNX needs example inputs of two images or more: pass example=…")
    check_finite(model)
    levels = levels_of(model, device)
    mapped = layout(model, device)
    folder = Path(out)
    # The folder is kept if, and only if, the last file is written: a network that ONNX refuses costs nothing.
    with claimed_folder(folder, folder / SUMMARY, overwrite=overwrite):
        written: list[Exported] = []
        for name in dict.fromkeys(formats):
            path = folder / FILES[name]
            if name == "safetensors":
                save_backbone(model, path, {"format": "pt"})
            elif name == "state_dict":
                save_state_dict(model, path)
            elif name == "levels":
                save_levels(levels, path)
            elif example is not None:
                save_onnx(model, example, path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            written.append(Exported(name, path.name, path.stat().st_size, digest))
        write_json_atomically(
            folder / SUMMARY,
            {
                "files": [asdict(file) for file in written],
                "device": {
                    "weight_bits": device.weight_bits,
                    "device_bits": device.device_bits,
                    "scale": device.scale,
                    "variation": str(device.variation),
                },
                "mapped": [
                    {"name": t.name, "shape": list(t.shape), "kind": t.kind, "devices": t.devices}
                    for t in mapped.mapped
                ],
                "digital": [{"name": t.name, "reason": t.reason} for t in mapped.digital],
                "metadata": dict(metadata or {}),
            },
        )
    return tuple(written)
