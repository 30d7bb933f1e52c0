"""The file of conductance levels holds what its page says, reads without SteadyNet, and gives the chip's weights back."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from steadynet.chip import program
from steadynet.deploy import levels_of, load_levels, save_levels
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.quantize import Scale
from steadynet.nvm.variation import Gaussian
from training.small import small_net

PAGE = Path(__file__).parents[2] / "docs" / "levels.md"
BITS = [(1, 1), (4, 2), (6, 3), (8, 1), (8, 2), (8, 8), (9, 3), (10, 5), (12, 4), (16, 2), (16, 16)]
SCALES: list[Scale] = ["tensor", "channel", "tile"]


def net() -> nn.Module:
    """A network with a zero tensor, a zero channel, a negative extreme and a tied weight among its weights."""
    model = nn.ModuleDict(
        {
            "small": small_net(1),
            "zero": nn.Linear(3, 2),
            "row": nn.Linear(4, 3),
            "embedding": nn.Embedding(5, 4),
            "output": nn.Linear(4, 5),
        }
    )
    generator = torch.Generator().manual_seed(5)
    embedding: Any = model["embedding"]
    model["output"].weight = embedding.weight
    with torch.no_grad():
        embedding.weight.copy_(torch.randn(5, 4, generator=generator))
        zero: Any = model["zero"].weight
        zero.zero_()
        row: Any = model["row"].weight
        row.copy_(torch.randn(3, 4, generator=generator))
        row[1] = 0.0
        row[2, 3] = -9.0
    return model


def device(bits: tuple[int, int], scale: Scale = "tensor") -> Device:
    return Device(weight_bits=bits[0], device_bits=bits[1], scale=scale, variation=Gaussian(0.3))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bits", BITS)
def test_the_weights_are_exactly_those_of_a_chip_without_error(
    bits: tuple[int, int], scale: Scale, tmp_path: Path
) -> None:
    model, where = net(), device(bits, scale)
    chip = program(model, where.at(0.0))
    save_levels(levels_of(model, where), tmp_path / "levels.npz")
    loaded = load_levels(tmp_path / "levels.npz")
    assert (loaded.weight_bits, loaded.device_bits, loaded.scale) == (*bits, scale)
    weights = loaded.weights()
    assert list(weights) == list(chip)
    for name, weight in weights.items():
        assert torch.equal(weight, chip[name].detach()), name
        assert weight.dtype == torch.float32


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-6), (torch.bfloat16, 2**-8)])
def test_other_precisions_have_the_codes_of_their_chip(dtype: torch.dtype, rounding: float) -> None:
    model, where = net().to(dtype), device((16, 4))
    chip = program(model, where.at(0.0))
    for name, weight in levels_of(model, where).weights().items():
        wanted = chip[name].detach()
        if dtype == torch.bfloat16:
            assert torch.equal(weight.to(dtype), wanted)
        # The file's max|W| is float32: less than a tenth of a code step of 16 bits, 1.5e-5.
        assert float((weight - wanted).abs().max()) <= rounding * float(wanted.abs().max())


@pytest.mark.parametrize("side", [-1e-12, 1e-12])
def test_weights_in_float64_have_codes_by_what_float32_cannot_tell(side: float) -> None:
    # Beside the middle between two codes: in float32 all lie on it, and round to the even one.
    halves = torch.arange(255, dtype=torch.float64) + 0.5 + side
    layer = nn.Linear(256, 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.cat([halves / 255, torch.ones(1).double()])[None])
    where = device((8, 2))
    wanted = program(layer, where.ideal)["weight"].detach()
    torch.testing.assert_close(levels_of(layer, where).weights()["weight"], wanted.float())
    assert torch.equal((255 * wanted[0, :-1]).round(), halves.round())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bits", [(8, 2), (6, 3), (16, 16)])
def test_a_round_trip_is_exact(bits: tuple[int, int], scale: Scale, tmp_path: Path) -> None:
    made = levels_of(net(), device(bits, scale))
    save_levels(made, tmp_path / "levels.npz")
    loaded = load_levels(tmp_path / "levels.npz")
    assert list(loaded.tensors) == list(made.tensors)
    for name, held in made.tensors.items():
        back = loaded.tensors[name]
        for one, other in (
            (held.crossbars.positive, back.crossbars.positive),
            (held.crossbars.negative, back.crossbars.negative),
            (held.maximum, back.maximum),
        ):
            assert torch.equal(one, other)
            assert one.dtype == other.dtype
    first = (tmp_path / "levels.npz").read_bytes()
    save_levels(loaded, tmp_path / "levels.npz")
    assert (tmp_path / "levels.npz").read_bytes() == first, "the same levels make the same file"


@settings(max_examples=30, deadline=None)
@given(
    bits=st.sampled_from(BITS),
    values=st.lists(st.floats(-4, 4, width=32, allow_subnormal=False), min_size=6, max_size=6),
)
def test_levels_are_the_binary_digits_of_the_code(bits: tuple[int, int], values: list[float]) -> None:
    """Digit by digit, in Python's integers."""
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(values).view(2, 3))
    held = levels_of(layer, device(bits)).tensors["weight"]
    m, k = bits
    top = max(abs(value) for value in values)
    for index, value in enumerate(values):
        place = (slice(None), index // 3, index % 3)
        positive, negative = held.crossbars.positive[place].tolist(), held.crossbars.negative[place].tolist()
        code = sum((p - n) * 2 ** (j * k) for j, (p, n) in enumerate(zip(positive, negative, strict=True)))
        wanted = value / top * (2**m - 1) if top else 0.0
        # Half a step, and the rounding of float32 at codes of 16 bits.
        assert abs(code - wanted) <= 0.5 + 2**m * 2**-22
        assert not any(negative if value > 0 else positive), "a weight lies in one crossbar"
        assert all(0 <= level <= 2**k - 1 for level in (*positive, *negative))


def read_plainly(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays by NumPy and JSON alone."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes().decode("utf-8"))
    return header, arrays


@pytest.mark.parametrize(
    ("bits", "dtype"), [((8, 2), "|u1"), ((8, 8), "|u1"), ((9, 9), "<u2"), ((16, 16), "<u2")]
)
@pytest.mark.parametrize("scale", SCALES)
def test_the_layout_is_as_the_page_says(
    bits: tuple[int, int], dtype: str, scale: Scale, tmp_path: Path
) -> None:
    model = net()
    save_levels(levels_of(model, device(bits, scale)), tmp_path / "levels.npz")
    header, arrays = read_plainly(tmp_path / "levels.npz")
    assert list(header) == [
        "format", "version", "weight_bits", "device_bits", "scale", "crossbars", "on_off_ratio", "tile", "tensors",
    ]  # fmt: skip
    assert (header["format"], header["version"]) == ("steadynet-levels", 2)
    assert (header["crossbars"], header["on_off_ratio"], header["tile"]) == ("one", None, [256, 256])
    assert (header["weight_bits"], header["device_bits"], header["scale"]) == (*bits, scale)
    parameters = dict(model.named_parameters())
    names = ["small.conv1.weight", "small.conv2.weight", "small.fc.weight"]
    names += ["zero.weight", "row.weight", "embedding.weight"]
    assert [entry["name"] for entry in header["tensors"]] == names
    kinds = {"positive", "negative", "max_abs", "tiles"}
    assert set(arrays) == {f"{index:04d}.{kind}" for index in range(len(names)) for kind in kinds}
    for index, entry in enumerate(header["tensors"]):
        weight = parameters[entry["name"]].detach()
        shape = tuple(weight.shape)
        assert set(entry) == {
            "name", "shape", "groups", "rows", "columns", "input_major", "arrays", "sha256",
        }  # fmt: skip
        first = entry["name"] == "embedding.weight"
        rows, columns = shape[0], weight.numel() // shape[0]
        assert (entry["groups"], entry["rows"], entry["columns"]) == (
            (1, rows, columns) if first else (1, columns, rows)
        )
        assert entry["input_major"] == first
        # All of them fit one pair of crossbars.
        tiles = arrays[entry["arrays"]["tiles"]]
        assert tiles.dtype.str == "<i4"
        assert tiles.tolist() == [[index, 0, 0, entry["rows"], 0, entry["columns"]]]
        assert tuple(entry["shape"]) == shape
        assert entry["arrays"] == {kind: f"{index:04d}.{kind}" for kind in kinds}
        for kind in kinds:
            array = arrays[entry["arrays"][kind]]
            text = f"{array.dtype.str}{array.shape}".encode()
            assert hashlib.sha256(text + array.tobytes("C")).hexdigest() == entry["sha256"][kind]
            if kind in ("positive", "negative"):
                assert array.dtype.str == dtype
                assert array.shape == (bits[0] // bits[1], *shape)
        maximum = arrays[entry["arrays"]["max_abs"]]
        assert maximum.dtype.str == "<f4"
        if scale == "channel":
            # An embedding's outputs are its second dimension.
            dims = [d for d in range(len(shape)) if d != int(first)]
            assert maximum.shape == tuple(1 if d in dims else size for d, size in enumerate(shape))
            assert (maximum == weight.abs().amax(dims, keepdim=True).numpy()).all()
        elif scale == "tile":
            assert maximum.shape == shape
            assert (maximum == weight.abs().max().item()).all()
        else:
            assert maximum.shape == ()
            assert maximum == weight.abs().max().item()


def test_the_pages_few_lines_give_the_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's code, as it stands there: a file is made, and read by NumPy alone."""
    make, read, *_ = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert "steadynet" not in read
    assert "torch" not in read
    assert len([line for line in read.splitlines() if line and not line.startswith("import")]) == 6
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(make, str(PAGE), "exec"), names)
    exec(compile(read, str(PAGE), "exec"), names)
    chip = program(names["model"], Device(weight_bits=8, device_bits=2).at(0.0))
    first = next(iter(chip.values())).detach().numpy()
    assert names["weight"].shape == first.shape
    assert abs(names["weight"] - first).max() <= 1e-6 * abs(first).max()


def test_what_cannot_be_programmed_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="no weight that lies on devices"):
        levels_of(nn.BatchNorm2d(3), Device())
    model = net()
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(SteadyNetError, match=r"small.conv1.weight .* holds 1 NaN"):
        levels_of(model, Device())
