"""A chip as it was measured: the conductance of every device, and the network that it computes. Layout: docs/levels.md."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from steadynet.batchnorm import check_unfolded
from steadynet.computed import computed_places, named_weights
from steadynet.deploy.archive import Archive, checksum, damaged, read_archive, write_archive
from steadynet.deploy.levels import Levels
from steadynet.errors import SteadyNetError, check_number, unknown
from steadynet.mapping import check_finite, layout
from steadynet.nvm.device import Device
from steadynet.nvm.device_path import Devices
from steadynet.nvm.quantize import max_abs, to_codes
from steadynet.nvm.slicing import Crossbars, by_sign, from_crossbars
from steadynet.nvm.weight_law import WeightLaw
from steadynet.randomness import Source, Stream

FORMAT = "steadynet-measured"
VERSION = 1


@dataclass(frozen=True, eq=False)
class MeasuredChip:
    """The conductances of one chip.

    Attributes:
        conductances: Of both crossbars by parameter name, each float32 [J, *weight's shape], in `unit`.
        g_max: What the largest level stands for.
        g_min: What level 0 stands for.
        unit: Of all of them.
        scales: What a chip's own compensation, as of drift, multiplies a tensor's weights by, by its name; 1 where none is told.
    """

    conductances: Mapping[str, Crossbars]
    g_max: float
    g_min: float
    unit: str = "µS"
    scales: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        check_number("g_max", self.g_max, above=0)
        check_number("g_min", self.g_min, at_least=0)
        if self.g_min >= self.g_max:
            raise SteadyNetError(f"g_min {self.g_min:g} must be below g_max {self.g_max:g}")
        for name, scale in self.scales.items():
            if name not in self.conductances:
                raise unknown("tensor with a scale", name, self.conductances)
            check_number(f"scale of {name}", scale, above=0)

    def weights(self, levels: Levels) -> dict[str, Tensor]:
        """Return the weights that the chip computes with, float32.

        Each conductance stands for (g − g_min)/(g_max − g_min) (2^K − 1) levels. Where one crossbar holds a weight, that of its
        sign is read alone.

        Raises:
            SteadyNetError: If the levels are of other tensors or shapes.
        """
        missing = levels.tensors.keys() - self.conductances.keys()
        foreign = self.conductances.keys() - levels.tensors.keys()
        if missing or foreign:
            raise SteadyNetError(
                f"the measured chip holds other tensors than its levels: missing {sorted(missing)}, foreign {sorted(foreign)}"
            )
        found: dict[str, Tensor] = {}
        scale = (2**levels.device_bits - 1) / (self.g_max - self.g_min)
        for name, target in levels.tensors.items():
            own = self.conductances[name]
            for side, measured, aimed in zip(("positive", "negative"), own, target.crossbars, strict=True):
                if measured.shape != aimed.shape:
                    raise SteadyNetError(
                        f"the {side} conductances of {name} are {tuple(measured.shape)}, its levels {tuple(aimed.shape)}"
                    )
            held = Crossbars(*((side.double() - self.g_min) * scale for side in own))
            if levels.crossbars == "one":
                # Weight 0 lies in the positive crossbar.
                negative = target.crossbars.negative.amax(0) > 0
                held = Crossbars(
                    torch.where(negative, 0.0, held.positive), torch.where(negative, held.negative, 0.0)
                )
            codes = from_crossbars(held, levels.device_bits)
            unit = target.maximum.double() / (2**levels.weight_bits - 1)
            found[name] = (codes * unit * self.scales.get(name, 1.0)).float()
        return found


def with_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of the network that holds a chip's weights in place of its own, tied ones at all of their places.

    Raises:
        SteadyNetError: If the network cannot be copied.
    """
    try:
        held = copy.deepcopy(model)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise SteadyNetError(
            f"{type(model).__name__} cannot be copied ({' '.join(str(error).split())})"
        ) from error
    for name, (module, key) in computed_places(held).items():
        if name in weights:
            # A weight that is computed could not be another. remove_parametrizations would take the property from the class,
            # which a copy shares with the network that it was made of.
            kept: Any = module.parametrizations
            kept[key] = parametrize.ParametrizationList([nn.Identity()], weights[name].clone())
    parameters = dict(held.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, weight in weights.items():
            if name in parameters:
                parameters[name].copy_(weight)
    return held


def identity_of(levels: Levels) -> str:
    """Return a checksum of target levels and mapping, by which a measured chip knows what it was programmed to."""
    parts: list[Any] = [
        levels.weight_bits, levels.device_bits, levels.scale, levels.crossbars, levels.on_off_ratio, list(levels.tile),
    ]  # fmt: skip
    for name, held in levels.tensors.items():
        sides = [checksum(side.numpy().astype(np.uint16)) for side in held.crossbars]
        parts.append([name, *sides, checksum(held.maximum.numpy())])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def simulated_chip(
    model: nn.Module, device: Device, *, g_max: float = 1.0, unit: str = "g_max", seed: int = 0, draw: int = 0,
    stream: Stream = "test",
) -> MeasuredChip:  # fmt: skip
    """Return a chip as a simulation of its devices leaves it.

    It is what `program` of the same draw computes with on `Device(path="device")`; path "weight" draws other numbers of the
    same law.

    Args:
        model: A trained network.
        device: Its law and effects; what compensates them, as of drift, stands in the chip's scales.
        g_max: What the largest level stands for.
        unit: Of conductances.
        seed: Of the chip.
        draw: The chip's number.
        stream: Of the chip.

    Raises:
        SteadyNetError: If the law is one of whole weights, weights are not to be quantised, or the model cannot be mapped.
    """
    check_unfolded(device)
    check_finite(model)
    if isinstance(device.law, WeightLaw):
        raise SteadyNetError(
            f"{type(device.law).__name__} is a law of whole weights, of which devices have no conductances: take a law of devices"
        )
    if not device.quantize:
        raise SteadyNetError(
            "devices hold levels, so a chip's weights are quantised: leave out quantize=False (--no-quantize)"
        )
    placed = layout(model, device)
    parameters = named_weights(model, placed.names)
    found: dict[str, Crossbars] = {}
    scales: dict[str, float] = {}
    with torch.no_grad():
        for mapped in placed:
            weight = parameters[mapped.name].detach().cpu().contiguous()
            weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
            largest = max_abs(weight, device.scale, mapped.matrix, device.tile_weights)
            codes = to_codes(weight, largest, device.weight_bits)
            source = Source(seed, stream, draw, 0, mapped.name, matrix=mapped.matrix)
            read = Devices(codes, device).reading(source)
            x = read.x
            if float(read.scale) != 1:
                scales[mapped.name] = float(read.scale)
            own = x[0]
            other = x[1] if len(x) > 1 else torch.full_like(own, device.least)
            found[mapped.name] = by_sign(codes, own * g_max, other * g_max)
    return MeasuredChip(found, g_max, device.least * g_max, unit, scales)


def save_measured(chip: MeasuredChip, levels: Levels, path: Path) -> None:
    """Write a measured chip as NPZ, or HDF5 where the name ends in .h5, whole or not at all."""
    header = {
        "format": FORMAT, "version": VERSION, "levels": identity_of(levels), "unit": chip.unit, "g_max": chip.g_max,
        "g_min": chip.g_min, "scales": dict(chip.scales),
    }  # fmt: skip
    tensors: dict[str, dict[str, NDArray[Any]]] = {
        name: {
            "positive": own.positive.numpy().astype(np.float32),
            "negative": own.negative.numpy().astype(np.float32),
        }
        for name, own in chip.conductances.items()
    }
    about = {name: {"shape": list(own["positive"].shape)} for name, own in tensors.items()}
    write_archive(path, Archive(header, about, tensors))


def load_measured(path: Path, levels: Levels) -> MeasuredChip:
    """Return the measured chip in a file.

    Raises:
        SteadyNetError: If the file is missing, damaged, of another format, or of a chip that was programmed to other levels.
    """
    archive = read_archive(path, FORMAT, VERSION, "measured conductances", ("positive", "negative"))
    with damaged(path):
        header = archive.header
        if header["levels"] != identity_of(levels):
            raise SteadyNetError(
                f"{path} is of a chip that was programmed to other levels than this network's ({levels}): its weights, M, K, "
                "scale or mapping differ"
            )
        found: dict[str, Crossbars] = {}
        for name, arrays in archive.tensors.items():
            for kind, array in arrays.items():
                if array.dtype != np.float32 or not bool(np.isfinite(array).all()):
                    raise SteadyNetError(f"{path}: {kind} of {name} must be finite float32")
            found[name] = Crossbars(
                *(torch.from_numpy(arrays[kind].copy()) for kind in ("positive", "negative"))
            )
        # Written by an instrument, or by an earlier version, a file may tell none.
        scales = {str(name): float(scale) for name, scale in dict(header.get("scales") or {}).items()}
        chip = MeasuredChip(
            found, float(header["g_max"]), float(header["g_min"]), str(header["unit"]), scales
        )
        chip.weights(levels)
        return chip
    raise AssertionError  # pragma: no cover (damaged raises or nothing does)
