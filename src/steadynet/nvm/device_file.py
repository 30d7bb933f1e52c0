"""Device files: a named device as YAML, to be used wherever a preset's name is.

    format: steadynet-device
    version: 1
    name: lab-rram
    technology: RRAM, 1T1R, 130 nm
    source: 4,096 devices, read 1 s after programming
    on_off_ratio: 4.5                  # optional: by default the range of the law
    law: {class: Measured, unit: µS, targets: [50, 100, 225], means: [50.2, 100.1, 224.0], stds: [4.1, 3.9, 2.7]}
    effects:                           # optional, in order
    - {class: Stuck, lrs: 0.001, hrs: 0.01}
    - {class: Read, sigma: 0.005}

`law` and each of `effects` name a class of `LAWS` or `EFFECTS` and give it its arguments.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from steadynet.errors import SteadyNetError, unknown
from steadynet.files import write_text_atomically
from steadynet.nvm.composed import Composed
from steadynet.nvm.conductance_law import ConductanceLaw, Measured, Polynomial, Saturating
from steadynet.nvm.device_law import LogNormalDevice
from steadynet.nvm.effects.bounded import Bounded
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.drift import Drift
from steadynet.nvm.effects.read import PCMRead, Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.presets import PRESETS, Preset
from steadynet.nvm.variation import Gaussian, StateDependent, Variation

FORMAT = "steadynet-device"
VERSION = 1
LAWS: Mapping[str, type] = {
    law.__name__: law for law in (Gaussian, StateDependent, LogNormalDevice, Measured, Polynomial, Saturating)
}
EFFECTS: Mapping[str, type] = {
    effect.__name__: effect for effect in (Bounded, Common, Drift, PCMRead, Read, Stuck)
}
_TABLES = (".csv", ".parquet", ".pq")
_KEYS = ("format", "version", "name", "technology", "source", "on_off_ratio", "law", "effects")


def is_device_file(name: str) -> bool:
    """Return whether a device's name is that of a file: a device file, or measurements."""
    return name.lower().endswith((".yaml", ".yml", *_TABLES))


def named_device(name: str) -> Preset:
    """Return a named device: a preset, that of a device file (.yaml), or that of measurements (.csv, .parquet) as they are.

    Example:
        >>> named_device("rram-milo").device().on_off_ratio
        4.5

    Raises:
        SteadyNetError: If there is no such preset, or the file cannot be used.
    """
    if name.lower().endswith(_TABLES):
        from steadynet.nvm.measurements import fitted_law, read_measurements

        path = Path(name)
        return Preset(path.stem, "", fitted_law(read_measurements(path)), path.name)
    if is_device_file(name):
        return read_device(name)
    if name not in PRESETS:
        raise unknown("device", name, PRESETS)
    return PRESETS[name]


def read_device(path: Path | str) -> Preset:
    """Return the device in a file.

    Raises:
        SteadyNetError: If the file is missing, no YAML of this format, or holds what cannot be.
    """
    path = Path(path)
    if not path.is_file():
        raise SteadyNetError(
            f"there is no device file {path}: `steadynet devices fit` makes one of measurements"
        )
    try:
        held: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SteadyNetError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(held, dict):
        raise SteadyNetError(f"{path} is no device file: it must hold format, version, name and law")
    told = cast("dict[str, Any]", held)
    for key in told:
        if key not in _KEYS:
            raise SteadyNetError(f"{path}: {unknown('key', key, _KEYS)}")
    if told.get("format") != FORMAT or told.get("version") != VERSION:
        raise SteadyNetError(
            f"{path} is {told.get('format')!r} version {told.get('version')!r}, not {FORMAT!r} version {VERSION}"
        )
    for key in ("name", "technology", "source"):
        if not isinstance(told.get(key, ""), str):
            raise SteadyNetError(f"{path}: {key} must be text, got {told[key]!r}")
    ratio = told.get("on_off_ratio")
    if ratio is not None and (isinstance(ratio, bool) or not isinstance(ratio, int | float) or ratio <= 1):
        raise SteadyNetError(f"{path}: on_off_ratio must be a number > 1, got {ratio!r}")
    if not isinstance(told.get("effects", []), list):
        raise SteadyNetError(f"{path}: effects must be a list, got {told['effects']!r}")
    variation: Variation = _made(path, "law", told.get("law"), LAWS)
    effects = tuple(
        _made(path, f"effects[{index}]", one, EFFECTS) for index, one in enumerate(told.get("effects") or [])
    )
    return Preset(
        told.get("name") or path.stem,
        told.get("technology", ""),
        Composed(variation, effects) if effects else variation,
        told.get("source", ""),
        None if ratio is None else float(ratio),
    )


def save_device(device: Preset, path: Path | str) -> None:
    """Write a device file, whole or not at all.

    Raises:
        SteadyNetError: If the law or an effect is none that such a file can hold.
    """
    variation = device.variation
    effects = variation.effects if isinstance(variation, Composed) else ()
    told: dict[str, Any] = {"format": FORMAT, "version": VERSION, "name": device.name}
    told |= {"technology": device.technology, "source": device.source}
    if device.given_ratio is not None:
        told["on_off_ratio"] = device.given_ratio
    told["law"] = _plain(device.law, LAWS)
    if effects:
        told["effects"] = [_beside(_plain(effect, EFFECTS), Path(path).parent) for effect in effects]
    write_text_atomically(
        Path(path),
        yaml.safe_dump(told, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120),
    )


def _made(path: Path, where: str, told: Any, classes: Mapping[str, type]) -> Any:
    """Return what an entry describes, relative paths being the file's own."""
    if not isinstance(told, dict) or "class" not in told:
        raise SteadyNetError(
            f"{path}: {where} must be a mapping with a class ({', '.join(classes)}), got {told!r}"
        )
    given = dict(cast("dict[str, Any]", told))
    name = given.pop("class")
    if not isinstance(name, str) or name not in classes:
        raise SteadyNetError(f"{path}: {unknown(f'class of {where}', str(name), classes)}")
    fields = {field.name: field for field in dataclasses.fields(classes[name]) if field.init}
    for key in given:
        if key not in fields:
            raise SteadyNetError(f"{path}: {unknown(f'argument of {name}', key, fields)}")
    needed = [
        key
        for key, field in fields.items()
        if key not in given
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if needed:
        raise SteadyNetError(f"{path}: {where} ({name}) lacks {', '.join(needed)}")
    if isinstance(given.get("map"), str):
        given["map"] = str(path.parent / given["map"])
    try:
        return classes[name](**{key: _hashable(value) for key, value in given.items()})
    except (SteadyNetError, TypeError, ValueError) as error:
        raise SteadyNetError(f"{path}: {where}: {error}") from error


def _beside(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return an entry with the path of a map as it is from the device file's folder, where it will be looked for."""
    given = told.get("map")
    if isinstance(given, str) and not Path(given).is_absolute():
        told["map"] = os.path.relpath(given, folder)
    return told


def _hashable(value: Any) -> Any:
    """Return YAML's lists as tuples."""
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _plain(part: Any, classes: Mapping[str, type]) -> dict[str, Any]:
    """Return an entry that describes a part, without the arguments that are its defaults."""
    name = type(part).__name__
    if classes.get(name) is not type(part):
        raise SteadyNetError(f"a device file cannot hold {name}: it knows {', '.join(classes)}")
    told: dict[str, Any] = {"class": name}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.name == "sigma_d" and isinstance(part, ConductanceLaw) and value == part.own_sigma_d:
            continue  # It follows from the rest, which whoever edits the file may change.
        if field.init and value != field.default:
            told[field.name] = list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
    return told
