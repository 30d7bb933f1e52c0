"""The target conductance level of every device, and which crossbar holds it. docs/levels.md has the file's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steadynet.batchnorm import check_unfolded
from steadynet.computed import named_weights
from steadynet.deploy.archive import Archive, damaged, read_archive, write_archive
from steadynet.errors import SteadyNetError, check_choice
from steadynet.mapping import check_finite, layout
from steadynet.nvm.device import CROSSBARS, Device
from steadynet.nvm.device import Crossbars as CrossbarMode
from steadynet.nvm.matrix import PLAIN, Matrix
from steadynet.nvm.quantize import SCALES, Scale, from_codes, max_abs, to_codes
from steadynet.nvm.slicing import Crossbars, check_bits, from_crossbars, to_crossbars

FORMAT = "steadynet-levels"
VERSION = 2


@dataclass(frozen=True, eq=False)
class TensorLevels:
    """The devices of one weight tensor.

    Attributes:
        crossbars: Target levels of both crossbars, each [J, *weight's shape], least significant slice first.
        maximum: max|W|, float32, broadcastable to the weight.
        matrix: How the weight lies on crossbars.
    """

    crossbars: Crossbars
    maximum: Tensor
    matrix: Matrix = PLAIN


@dataclass(frozen=True, eq=False)
class Levels:
    """The target levels of a whole network, by parameter name.

    Attributes:
        weight_bits: M.
        device_bits: K.
        scale: What shares one max|W|.
        tensors: The devices of each weight tensor.
        crossbars: How a sign lies in two crossbars; see `Device`.
        on_off_ratio: Largest conductance over that of level 0; None for a level 0 that conducts nothing.
        tile: Rows and columns of a crossbar, in devices.
    """

    weight_bits: int
    device_bits: int
    scale: Scale
    tensors: dict[str, TensorLevels]
    crossbars: CrossbarMode = "one"
    on_off_ratio: float | None = None
    tile: tuple[int, int] = (256, 256)

    def device(self) -> Device:
        """Return a device without error that holds such levels."""
        return Device(
            self.weight_bits, self.device_bits, scale=self.scale, crossbars=self.crossbars,
            on_off_ratio=self.on_off_ratio, tile=self.tile,
        )  # fmt: skip

    def weights(self) -> dict[str, Tensor]:
        """Return the quantised weights that error-free devices would hold, float32."""
        return {
            name: from_codes(
                from_crossbars(held.crossbars, self.device_bits).float(), held.maximum, self.weight_bits
            )
            for name, held in self.tensors.items()
        }

    def __str__(self) -> str:
        return f"{len(self.tensors)} tensors, M = {self.weight_bits}, K = {self.device_bits}"


def levels_of(model: nn.Module, device: Device) -> Levels:
    """Return the target levels of every weight of `model` that lies on devices.

    Raises:
        SteadyNetError: If the model has no such weights, or one is not finite.
    """
    check_unfolded(device)
    check_finite(model)
    placed = layout(model, device)
    parameters = named_weights(model, placed.names)
    tensors: dict[str, TensorLevels] = {}
    for mapped in placed:
        weight = parameters[mapped.name].detach().cpu().contiguous()
        # As programming does: half precision is computed in float32, and float64 as it is.
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        maximum = max_abs(weight, device.scale, mapped.matrix, device.tile_weights)
        codes = to_codes(weight, maximum, device.weight_bits)
        tensors[mapped.name] = TensorLevels(to_crossbars(codes, device), maximum.float(), mapped.matrix)
    return Levels(
        device.weight_bits, device.device_bits, device.scale, tensors, device.crossbars, device.on_off_ratio, device.tile
    )  # fmt: skip


def save_levels(levels: Levels, path: Path) -> None:
    """Write `levels` as NPZ, or as HDF5 where the name ends in .h5, with a checksum of every array, whole or not at all."""
    dtype = np.uint8 if levels.device_bits <= 8 else np.uint16
    tile = levels.device().tile_weights
    tensors: dict[str, dict[str, NDArray[Any]]] = {}
    about: dict[str, dict[str, Any]] = {}
    crossbar = 0
    for name, held in levels.tensors.items():
        shape = tuple(held.crossbars.positive.shape[1:])
        tiles = [(crossbar + index, *part) for index, part in enumerate(held.matrix.tiles(shape, tile))]
        crossbar += len(tiles)
        tensors[name] = {
            "positive": held.crossbars.positive.numpy().astype(dtype),
            "negative": held.crossbars.negative.numpy().astype(dtype),
            "max_abs": held.maximum.numpy().astype(np.float32),
            "tiles": np.array(tiles, dtype=np.int32),
        }
        groups, rows, columns = held.matrix.size(shape)
        about[name] = {
            "shape": list(shape), "groups": groups, "rows": rows, "columns": columns, "input_major": held.matrix.input_major,
        }  # fmt: skip
    header = {
        "format": FORMAT,
        "version": VERSION,
        "weight_bits": levels.weight_bits,
        "device_bits": levels.device_bits,
        "scale": levels.scale,
        "crossbars": levels.crossbars,
        "on_off_ratio": levels.on_off_ratio,
        "tile": list(levels.tile),
    }
    write_archive(path, Archive(header, about, tensors))


def load_levels(path: Path) -> Levels:
    """Return the levels in a file that `save_levels` wrote, their checksums compared.

    Raises:
        SteadyNetError: If the file is missing, damaged, of another format, or contradicts itself.
    """
    archive = read_archive(
        path, FORMAT, VERSION, "conductance levels", ("positive", "negative", "max_abs", "tiles")
    )
    header = archive.header
    with damaged(path):
        check_bits(header["weight_bits"], header["device_bits"])
        check_choice("scale", header["scale"], SCALES)
        check_choice("crossbars", header["crossbars"], CROSSBARS)
        found = Levels(
            header["weight_bits"], header["device_bits"], header["scale"], {}, header["crossbars"],
            header["on_off_ratio"], tuple(header["tile"]),
        )  # fmt: skip
        device = found.device()
        for name, arrays in archive.tensors.items():
            found.tensors[name] = _tensor(path, name, archive.about[name], arrays, device)
    return found


def _tensor(
    path: Path, name: str, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: Device
) -> TensorLevels:
    """Return the devices of one tensor, checked against what its header says."""
    shape, top = tuple(about["shape"]), device.max_level
    sides: list[Tensor] = []
    for kind in ("positive", "negative"):
        array = arrays[kind]
        if array.dtype.str not in ("|u1", "<u2"):
            raise SteadyNetError(f"{path}: {kind} of {name} is {array.dtype}, not uint8 or uint16")
        if array.shape != (device.slices, *shape):
            raise SteadyNetError(
                f"{path}: {kind} of {name} is {array.shape}, its header says {(device.slices, *shape)}"
            )
        if array.size and int(array.max()) > top:
            raise SteadyNetError(
                f"{path}: {kind} of {name} has level {int(array.max())}, above 2^K − 1 = {top}"
            )
        sides.append(torch.from_numpy(array.astype(np.int64)))
    maximum = arrays["max_abs"]
    if maximum.dtype != np.float32 or not bool(np.isfinite(maximum).all()) or bool((maximum < 0).any()):
        raise SteadyNetError(f"{path}: max_abs of {name} must be finite float32 ≥ 0")
    if maximum.ndim not in (0, len(shape)) or any(
        m not in (1, s) for m, s in zip(maximum.shape, shape, strict=False)
    ):
        raise SteadyNetError(f"{path}: max_abs of {name} is {maximum.shape}, the weight {shape}")
    matrix = Matrix(about["groups"], about["input_major"])
    if matrix.size(shape) != (about["groups"], about["rows"], about["columns"]):
        raise SteadyNetError(
            f"{path}: the matrix of {name} is not that of a weight {shape}: the file was altered"
        )
    expected = list(matrix.tiles(shape, device.tile_weights))
    if arrays["tiles"][:, 1:].tolist() != [list(part) for part in expected]:
        raise SteadyNetError(
            f"{path}: the tiles of {name} do not cover its matrix as crossbars of {device.tile} do"
        )
    return TensorLevels(Crossbars(*sides), torch.from_numpy(maximum), matrix)
