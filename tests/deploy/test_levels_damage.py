"""A file of levels that is cut, altered, foreign or contradicts itself is refused in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from steadynet.deploy import levels_of, load_levels, save_levels
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device

Arrays = dict[str, NDArray[Any]]
Change = Callable[[dict[str, Any], Arrays], object]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A good file: two tensors of 8 bits on 2-bit devices, so that no level may exceed 3."""
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4))
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-1, 1 + index, parameter.numel()).view_as(parameter))
    path = tmp_path / "levels.npz"
    save_levels(levels_of(model, Device(weight_bits=8, device_bits=2)), path)
    return path


def rewrite(path: Path, change: Change, *, sign: bool = True) -> None:
    """Change header and arrays; with `sign`, correct all checksums, as a deliberate forger would."""
    with np.load(path) as file:
        arrays: Arrays = dict(file)
    header: Any = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    if sign:
        for entry in header["tensors"]:
            for kind, key in entry["arrays"].items():
                if key in arrays:
                    array = arrays[key]
                    text = f"{array.dtype.str}{array.shape}".encode()
                    entry["sha256"][kind] = hashlib.sha256(text + array.tobytes()).hexdigest()
    named: dict[str, Any] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}
    np.savez(path, **named)


def raised(array: NDArray[Any], value: int) -> NDArray[Any]:
    changed = array.copy()
    changed.flat[0] = value
    return changed


def put(key: str, make: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    return lambda _, arrays: arrays.update({key: make(arrays[key])})


def test_an_unchanged_file_passes(whole: Path) -> None:
    rewrite(whole, lambda header, arrays: None)
    assert list(load_levels(whole).tensors) == ["0.weight", "1.weight"]


@pytest.mark.parametrize("key", ["0000.positive", "0001.negative", "0001.max_abs"])
def test_a_changed_array_does_not_match_its_checksum(key: str, whole: Path) -> None:
    rewrite(whole, put(key, lambda array: raised(array, 1 if array.flat[0] != 1 else 2)), sign=False)
    name, kind = f"{int(key[:4])}.weight", key[5:]
    with pytest.raises(SteadyNetError, match=f"{kind} of {name} does not match its checksum: the file was"):
        load_levels(whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            put("0000.positive", lambda a: raised(a, 4)),
            r"positive of 0.weight has level 4, above 2\^K − 1 = 3",
        ),
        (put("0001.negative", lambda a: raised(a, 255)), "negative of 1.weight has level 255, above"),
        (put("0000.positive", lambda a: a.astype(np.int64) - 1), "positive of 0.weight is int64"),
        (put("0000.positive", lambda a: a.astype(np.float32)), "positive of 0.weight is float32"),
        (
            put("0000.positive", lambda a: a[:3]),
            r"positive of 0.weight is \(3, 2, 3\), its header says \(4, 2",
        ),
        (put("0000.negative", lambda a: a.swapaxes(1, 2).copy()), r"negative of 0.weight is \(4, 3, 2\)"),
        (put("0000.max_abs", lambda a: a * np.float32("nan")), "max_abs of 0.weight must be finite"),
        (put("0000.max_abs", lambda a: -a), "max_abs of 0.weight must be finite"),
        (put("0000.max_abs", lambda a: a.astype(np.float64)), "max_abs of 0.weight must be finite float32"),
        (put("0000.max_abs", lambda a: np.ones((3, 1), np.float32)), r"max_abs of 0.weight is \(3, 1\)"),
        (lambda _, arrays: arrays.pop("0001.positive"), "lacks positive of 1.weight: it was cut"),
        (
            lambda header, _: header.update(version=1),
            "'steadynet-levels' version 1, not 'steadynet-levels' v",
        ),
        (lambda header, _: header.update(format="other"), "is 'other' version 2"),
        (lambda header, _: header.update(weight_bits=7), r"device_bits \(K\) = 2 does not divide"),
        (lambda header, _: header.update(weight_bits="8"), r"weight_bits \(M\) must be an integer"),
        (lambda header, _: header.update(device_bits=1), "its header says"),
        (lambda header, _: header.update(scale="row"), "unknown scale 'row'"),
        (lambda header, _: header.pop("version"), "cut, damaged or foreign"),
        (lambda header, _: header.pop("scale"), "lacks or garbles 'scale'"),
        (lambda header, _: header["tensors"][1].pop("shape"), "lacks or garbles 'shape'"),
        (lambda header, _: header["tensors"][0].update(shape=3), "lacks or garbles"),
        (lambda header, _: header["tensors"][0]["arrays"].pop("max_abs"), "lacks or garbles 'max_abs'"),
        (lambda header, _: header["tensors"][0].update(name=["a"]), "lacks or garbles"),
        (lambda header, _: header.update(crossbars="three"), "unknown crossbars 'three'"),
        (lambda header, _: header.update(tile=[256, 2]), "a tile of 2 columns is smaller than one weight"),
        (lambda header, _: header.update(tile=[1, 256]), "tiles of 0.weight do not cover its matrix"),
        (lambda header, _: header["tensors"][0].update(rows=5), "matrix of 0.weight is not that of a weight"),
        (put("0000.tiles", lambda a: a + 1), "tiles of 0.weight do not cover its matrix"),
    ],
)
def test_a_file_that_contradicts_its_format_is_refused(change: Change, told: str, whole: Path) -> None:
    rewrite(whole, change)
    with pytest.raises(SteadyNetError, match=told) as refused:
        load_levels(whole)
    assert "\n" not in str(refused.value)


def test_every_cut_is_found(whole: Path) -> None:
    content = whole.read_bytes()
    for count in [*range(0, len(content), 37), len(content) - 1]:
        whole.write_bytes(content[:count])
        with pytest.raises(SteadyNetError, match="no readable file of conductance levels"):
            load_levels(whole)


def test_no_flipped_byte_gives_other_levels(whole: Path) -> None:
    """Every 5th byte turned: refused, or, where a zip keeps what nobody reads, the same levels."""
    content = whole.read_bytes()
    good = load_levels(whole).weights()
    refused = 0
    for place in range(0, len(content), 5):
        whole.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            found = load_levels(whole).weights()
        except SteadyNetError:
            refused += 1
        else:
            assert list(found) == list(good)
            assert all(torch.equal(found[name], good[name]) for name in good)
    assert refused > len(content) / 5 / 2


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "levels.npz"
    with pytest.raises(SteadyNetError, match="there is no file"):
        load_levels(path)
    for content in (b"", b"text", bytes(range(256)), json.dumps({"format": "steadynet-levels"}).encode()):
        path.write_bytes(content)
        with pytest.raises(SteadyNetError, match="no readable file of conductance levels"):
            load_levels(path)
    for header in (b"[1]", b"{}", b"3", b"{", b"\xff\xfe", b""):
        np.savez(path, header=np.frombuffer(header, np.uint8))
        with pytest.raises(SteadyNetError, match="no readable file of conductance levels"):
            load_levels(path)
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npy").rename(path)
    with pytest.raises(SteadyNetError, match="no readable file of conductance levels"):
        load_levels(path)


def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (Path("ran"),))

    monkeypatch.chdir(tmp_path)
    np.savez("levels.npz", header=np.array([Evil()], dtype=object))
    with pytest.raises(SteadyNetError, match="no readable file of conductance levels"):
        load_levels(Path("levels.npz"))
    assert not Path("ran").exists()
