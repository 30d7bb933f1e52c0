"""Everything that a chip and other tools need of a trained network, into one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from steadynet.batches import size_of
from steadynet.deploy.levels import levels_of, save_levels
from steadynet.deploy.measured_chip import save_measured, simulated_chip, with_weights
from steadynet.deploy.onnx import save_onnx
from steadynet.deploy.state import save_backbone, save_state_dict
from steadynet.errors import SteadyNetError, check_choice, check_integer
from steadynet.extras import require_extra
from steadynet.files import write_json_atomically
from steadynet.folders import claimed_folder
from steadynet.mapping import check_finite, layout
from steadynet.nvm.device import Device

Format = Literal["safetensors", "state_dict", "levels", "hdf5", "onnx"]
FORMATS: tuple[Format, ...] = ("safetensors", "state_dict", "levels", "hdf5", "onnx")
DEFAULT_FORMATS: tuple[Format, ...] = ("safetensors", "state_dict", "levels")
FILES: Mapping[str, str] = {
    "safetensors": "backbone.safetensors",
    "state_dict": "backbone.pt",
    "levels": "levels.npz",
    "hdf5": "levels.h5",
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
    example: Any = None,
    chips: Sequence[int] = (),
    seed: int = 0,
    overwrite: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Exported, ...]:
    """Write a trained backbone for deployment.

    - `backbone.safetensors` and `backbone.pt`: its state_dict, as it was trained;
    - `levels.npz`, `levels.h5`: the target level and the crossbar of every device (layout: docs/levels.md; the latter by the
      extra `hdf5`);
    - `backbone.onnx`: the clean network, checked in ONNX Runtime (extra `onnx`);
    - `chip-K.npz`, and with ONNX `chip-K.onnx`: the simulated chip of draw K, its conductances, and the network with its weights;
    - `export.json`: the files with their checksums, the device, and what lies on devices.

    Args:
        model: A trained network; it is not changed.
        device: The device that the levels are for.
        out: The folder; it must be new or empty.
        formats: Which files are written.
        example: Inputs of two items or more, as the network takes them; needed for ONNX.
        chips: Draws of simulated chips that are written too; the device's `sigma_d` is theirs.
        seed: Of those chips.
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
        if example is None or size_of(example) < 2:
            raise SteadyNetError("ONNX needs example inputs of two images or more: pass example=…")
    if "hdf5" in formats:
        require_extra("hdf5", "HDF5 files")
    for draw in chips:
        check_integer("chips", draw, at_least=0)
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
            elif name in ("levels", "hdf5"):
                save_levels(levels, path)
            elif example is not None:
                save_onnx(model, example, path)
            written.append(_exported(name, path))
        for draw in dict.fromkeys(chips):
            path = folder / f"chip-{draw}.npz"
            chip = simulated_chip(model, device, seed=seed, draw=draw)
            save_measured(chip, levels, path)
            written.append(_exported("chip", path))
            if "onnx" in formats and example is not None:
                path = folder / f"chip-{draw}.onnx"
                save_onnx(with_weights(model, chip.weights(levels)), example, path)
                written.append(_exported("onnx", path))
        write_json_atomically(
            folder / SUMMARY,
            {
                "files": [asdict(file) for file in written],
                "device": {
                    "weight_bits": device.weight_bits,
                    "device_bits": device.device_bits,
                    "scale": device.scale,
                    "crossbars": device.crossbars,
                    "on_off_ratio": device.on_off_ratio,
                    "tile": list(device.tile),
                    "variation": str(device.variation),
                },
                "mapped": [
                    {
                        "name": t.name,
                        "shape": list(t.shape),
                        "kind": t.kind,
                        "devices": t.devices,
                        "crossbars": t.crossbars,
                    }
                    for t in mapped.mapped
                ],
                "digital": [{"name": t.name, "reason": t.reason} for t in mapped.digital],
                "metadata": dict(metadata or {}),
            },
        )
    return tuple(written)


def _exported(kind: str, path: Path) -> Exported:
    return Exported(kind, path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
