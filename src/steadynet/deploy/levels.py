"""The target conductance levels of every device, as one file. Its layout is documented in docs/levels.md."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steadynet.errors import SteadyNetError, check_choice
from steadynet.files import write_atomically
from steadynet.mapping import check_finite, layout
from steadynet.nvm.device import Device
from steadynet.nvm.quantize import SCALES, Scale, from_codes, max_abs, to_codes
from steadynet.nvm.slicing import Crossbars, check_bits, from_crossbars, to_crossbars

FORMAT = "steadynet-levels"
VERSION = 1
HEADER = "header"


@dataclass(frozen=True, eq=False)
class TensorLevels:
    """The devices of one weight tensor.

    Attributes:
        crossbars: Target levels of both crossbars, each [J, *weight's shape], least significant slice first.
        maximum: max|W|, float32 () or [C, 1, …].
    """

    crossbars: Crossbars
    maximum: Tensor


@dataclass(frozen=True, eq=False)
class Levels:
    """The target levels of a whole network, by parameter name."""

    weight_bits: int
    device_bits: int
    scale: Scale
    tensors: dict[str, TensorLevels]

    def weights(self) -> dict[str, Tensor]:
        """Return the quantised weights that error-free devices would hold, float32."""
        return {
            name: from_codes(
                from_crossbars(held.crossbars, self.device_bits).float(), held.maximum, self.weight_bits
            )
            for name, held in self.tensors.items()
        }


def levels_of(model: nn.Module, device: Device) -> Levels:
    """Return the target levels of every weight of `model` that lies on devices.

    Raises:
        SteadyNetError: If the model has no such weights, or one is not finite.
    """
    check_finite(model)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    tensors: dict[str, TensorLevels] = {}
    for mapped in layout(model, device):
        weight = parameters[mapped.name].detach().cpu().contiguous()
        # As programming does: half precision is computed in float32, and float64 as it is.
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        maximum = max_abs(weight, device.scale)
        codes = to_codes(weight, maximum, device.weight_bits)
        tensors[mapped.name] = TensorLevels(
            to_crossbars(codes, device.weight_bits, device.device_bits), maximum.float()
        )
    return Levels(device.weight_bits, device.device_bits, device.scale, tensors)


def save_levels(levels: Levels, path: Path) -> None:
    """Write `levels` as NPZ, with a checksum of every array, whole or not at all."""
    dtype = np.uint8 if levels.device_bits <= 8 else np.uint16
    arrays: dict[str, NDArray[Any]] = {}
    entries: list[dict[str, Any]] = []
    for index, (name, held) in enumerate(levels.tensors.items()):
        own = {
            f"{index:04d}.positive": held.crossbars.positive.numpy().astype(dtype),
            f"{index:04d}.negative": held.crossbars.negative.numpy().astype(dtype),
            f"{index:04d}.max_abs": held.maximum.numpy().astype(np.float32),
        }
        arrays |= own
        entries.append(
            {
                "name": name,
                "shape": list(held.crossbars.positive.shape[1:]),
                "arrays": {key.partition(".")[2]: key for key in own},
                "sha256": {key.partition(".")[2]: _checksum(array) for key, array in own.items()},
            }
        )
    header = {
        "format": FORMAT,
        "version": VERSION,
        "weight_bits": levels.weight_bits,
        "device_bits": levels.device_bits,
        "scale": levels.scale,
        "tensors": entries,
    }
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    # Typed loosely: NumPy's own options are keywords too, and no array has a name of theirs.
    named: dict[str, Any] = {HEADER: text, **arrays}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **named)

    write_atomically(path, write)


def load_levels(path: Path) -> Levels:
    """Return the levels in a file that `save_levels` wrote, their checksums compared.

    Raises:
        SteadyNetError: If the file is missing, damaged, of another format, or contradicts itself.
    """
    if not path.is_file():
        raise SteadyNetError(f"there is no file {path} of conductance levels")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
        header: dict[str, Any] = json.loads(arrays[HEADER].tobytes())
        kind, version = header["format"], header["version"]
    except Exception as error:  # NumPy, zipfile and zlib have many ways to say that a file is damaged.
        raise SteadyNetError(
            f"{path} is no readable file of conductance levels ({type(error).__name__}): it is cut, damaged or foreign"
        ) from error
    if kind != FORMAT or version != VERSION:
        raise SteadyNetError(f"{path} is {kind!r} version {version!r}, not {FORMAT!r} version {VERSION}")
    try:
        weight_bits, device_bits, scale = header["weight_bits"], header["device_bits"], header["scale"]
        check_bits(weight_bits, device_bits)
        check_choice("scale", scale, SCALES)
        tensors = {
            entry["name"]: _tensor(path, entry, arrays, weight_bits // device_bits, 2**device_bits - 1)
            for entry in header["tensors"]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise SteadyNetError(f"{path}: its header lacks or garbles {error}: the file was altered") from error
    return Levels(weight_bits, device_bits, scale, tensors)


def _tensor(
    path: Path, entry: dict[str, Any], arrays: dict[str, NDArray[Any]], slices: int, top: int
) -> TensorLevels:
    """Return the devices of one tensor, checked against its entry in the header."""
    name, shape = entry["name"], tuple(entry["shape"])
    found: dict[str, NDArray[Any]] = {}
    for kind in ("positive", "negative", "max_abs"):
        key = entry["arrays"][kind]
        if key not in arrays:
            raise SteadyNetError(f"{path} lacks {kind} of {name}: it was cut")
        found[kind] = arrays[key]
        if _checksum(found[kind]) != entry["sha256"][kind]:
            raise SteadyNetError(
                f"{path}: {kind} of {name} does not match its checksum: the file was altered"
            )
    sides: list[Tensor] = []
    for kind in ("positive", "negative"):
        array = found[kind]
        if array.dtype.str not in ("|u1", "<u2"):
            raise SteadyNetError(f"{path}: {kind} of {name} is {array.dtype}, not uint8 or uint16")
        if array.shape != (slices, *shape):
            raise SteadyNetError(
                f"{path}: {kind} of {name} is {array.shape}, its header says {(slices, *shape)}"
            )
        if array.size and int(array.max()) > top:
            raise SteadyNetError(
                f"{path}: {kind} of {name} has level {int(array.max())}, above 2^K − 1 = {top}"
            )
        sides.append(torch.from_numpy(array.astype(np.int64)))
    maximum = found["max_abs"]
    if maximum.dtype != np.float32 or not bool(np.isfinite(maximum).all()) or bool((maximum < 0).any()):
        raise SteadyNetError(f"{path}: max_abs of {name} must be finite float32 ≥ 0")
    if maximum.shape not in ((), (*shape[:1], *[1] * (len(shape) - 1))):
        raise SteadyNetError(f"{path}: max_abs of {name} is {maximum.shape}, the weight {shape}")
    return TensorLevels(Crossbars(*sides), torch.from_numpy(maximum))


def _checksum(array: NDArray[Any]) -> str:
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
