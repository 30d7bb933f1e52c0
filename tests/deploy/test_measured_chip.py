"""A measured chip: what it computes, its file, and the way from a simulated chip to its file and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steadynet.chip import program, run
from steadynet.deploy import (
    MeasuredChip,
    export,
    levels_of,
    load_levels,
    load_measured,
    save_levels,
    save_measured,
    simulated_chip,
    with_weights,
)
from steadynet.deploy.archive import read_archive
from steadynet.deploy.measured_chip import identity_of
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import CROSSBARS, Device
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.drift import Drift
from steadynet.nvm.effects.read import Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.slicing import Crossbars
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored, LogNormal
from training.small import small_net

SUFFIXES = (".npz", ".h5")


def device(**told: Any) -> Device:
    return Device(**{"variation": Gaussian(0.1), "path": "device", "on_off_ratio": 20.0, **told})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("crossbars", CROSSBARS)
@pytest.mark.parametrize("scale", ["tensor", "channel", "tile"])
def test_a_chip_without_error_holds_the_quantised_weights_exactly(
    crossbars: Any, scale: Any, suffix: str, tmp_path: Path
) -> None:
    model, where = small_net(1), device(crossbars=crossbars, scale=scale, tile=(20, 16)).ideal
    save_levels(levels_of(model, where), tmp_path / f"levels{suffix}")
    levels = load_levels(tmp_path / f"levels{suffix}")
    ideal = program(model, where)
    top = where.max_level
    # As a laboratory would: conductances of the levels, in its own unit.
    chip = MeasuredChip(
        {
            name: Crossbars(*(5.0 + side.float() * (95.0 / top) for side in held.crossbars))
            for name, held in levels.tensors.items()
        },
        g_max=100.0,
        g_min=5.0,
    )
    save_measured(chip, levels, tmp_path / f"chip{suffix}")
    found = load_measured(tmp_path / f"chip{suffix}", levels)
    assert (found.g_max, found.g_min, found.unit) == (100.0, 5.0, "µS")
    for name, weight in found.weights(levels).items():
        torch.testing.assert_close(weight, ideal[name].detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("crossbars", CROSSBARS)
@pytest.mark.parametrize(
    "variation",
    [
        Gaussian(0.1),
        Gaussian(0.1) + Stuck(0.05, 0.05),
        Gaussian(0.1) + Drift(3600.0, compensate=False) + Read(0.02),
    ],
    ids=str,
)
def test_a_simulated_chip_is_the_one_of_its_draw(crossbars: Any, variation: Any, tmp_path: Path) -> None:
    model, where = small_net(1), device(crossbars=crossbars, variation=variation)
    levels = levels_of(model, where)
    for draw in (0, 3):
        save_measured(
            simulated_chip(model, where, g_max=25.0, unit="nA", seed=2, draw=draw), levels, tmp_path / "c.npz"
        )
        found = load_measured(tmp_path / "c.npz", levels)
        assert found.unit == "nA"
        chip = program(model, where, seed=2, draw=draw)
        for name, weight in found.weights(levels).items():
            torch.testing.assert_close(weight, chip[name].detach(), rtol=1e-4, atol=1e-5)


def test_a_copy_holds_the_chips_weights_at_all_places() -> None:
    tied: Any = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    tied[1].weight = tied[0].weight
    before = tied[0].weight.detach().clone()
    held: Any = with_weights(tied, {"0.weight": torch.ones(5, 4)})
    assert torch.equal(held[1].weight, torch.ones(5, 4))
    assert torch.equal(tied[0].weight, before)


def test_exported_chips_are_read_back_and_run_as_onnx(tmp_path: Path) -> None:
    import onnxruntime

    model: Any = small_net(1).eval()
    where = device()
    example = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    written = export(
        model, where, tmp_path / "out", formats=("levels", "onnx"), example=example, chips=(4, 4), seed=1
    )
    assert [file.path for file in written] == ["levels.npz", "backbone.onnx", "chip-4.npz", "chip-4.onnx"]
    levels = load_levels(tmp_path / "out" / "levels.npz")
    noisy = load_measured(tmp_path / "out" / "chip-4.npz", levels).weights(levels)
    session: Any = onnxruntime.InferenceSession(str(tmp_path / "out" / "chip-4.onnx"))
    got = session.run(None, {"input": example.numpy()})[0]
    with torch.no_grad():
        expected = with_weights(model, noisy)(example).numpy()
        clean = model(example).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(got - clean).max() > 0.01, "the weights are the chip's, not the backbone's"


def test_a_chip_of_other_levels_is_refused(tmp_path: Path) -> None:
    model, where = small_net(1), device()
    levels = levels_of(model, where)
    path = tmp_path / "chip.npz"
    save_measured(simulated_chip(model, where), levels, path)
    others = [
        levels_of(small_net(2), where), levels_of(model, device(weight_bits=6)), levels_of(model, device(device_bits=4)),
        levels_of(model, device(scale="channel")), levels_of(model, device(crossbars="both")),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(SteadyNetError, match="was programmed to other levels than this network's"):
            load_measured(path, other)
    content = path.read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(SteadyNetError, match="no readable file of measured conductances"):
            load_measured(path, levels)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(SteadyNetError, match="no readable file of measured conductances"):
        load_measured(tmp_path / "text.h5", levels)
    with pytest.raises(SteadyNetError, match="there is no file"):
        load_measured(tmp_path / "none.npz", levels)
    save_levels(levels, tmp_path / "levels.npz")
    with pytest.raises(SteadyNetError, match="is 'steadynet-levels' version 2, not 'steadynet-measured'"):
        load_measured(tmp_path / "levels.npz", levels)


def test_conductances_that_cannot_be_are_refused() -> None:
    model, where = small_net(1), device()
    levels, chip = levels_of(model, where), simulated_chip(model, where)
    with pytest.raises(SteadyNetError, match="g_min 2 must be below g_max 1"):
        MeasuredChip(chip.conductances, 1.0, 2.0)
    one = dict(chip.conductances)
    one.pop("fc.weight")
    with pytest.raises(SteadyNetError, match=r"missing \['fc.weight'\]"):
        MeasuredChip(one, 1.0, 0.0).weights(levels)
    one["fc.weight"] = Crossbars(torch.zeros(1), torch.zeros(1))
    with pytest.raises(SteadyNetError, match=r"positive conductances of fc.weight are \(1,\), its levels"):
        MeasuredChip(one, 1.0, 0.0).weights(levels)
    whole = chip.conductances["fc.weight"]
    for wrong in (whole.negative[:, :1], whole.negative.repeat(1, 2, 1)):
        one["fc.weight"] = Crossbars(whole.positive, wrong)
        with pytest.raises(SteadyNetError, match=r"negative conductances of fc\.weight are"):
            MeasuredChip(one, 1.0, 0.0).weights(levels)


@pytest.mark.parametrize(
    ("model", "variation"),
    [
        (nn.Sequential(nn.Linear(6, 5)), Gaussian(0.05) + Drift(86400.0)),
        (nn.ConvTranspose2d(3, 4, 3), Gaussian(0.05) + Common(column=0.3)),
        (nn.ConvTranspose2d(4, 4, 3, groups=2), Gaussian(0.05) + Common(column=0.3)),
        (nn.Sequential(nn.Embedding(7, 4)), Gaussian(0.05) + Common(column=0.3)),
    ],
    ids=[
        "drift and its compensation",
        "columns of a transposed convolution",
        "of a grouped one",
        "of an embedding",
    ],
)
def test_a_simulated_chip_computes_what_the_same_draw_does(
    model: nn.Module, variation: Any, tmp_path: Path
) -> None:
    where = device(variation=variation, include=("*",))
    levels = levels_of(model, where)
    chip = simulated_chip(model, where, draw=3)
    save_measured(chip, levels, tmp_path / "chip.npz")
    found = load_measured(tmp_path / "chip.npz", levels).weights(levels)
    expected = program(model, where, draw=3)
    assert set(found) == set(expected)
    for name, weight in ((name, tensor.detach()) for name, tensor in expected.items()):
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-4 * float(weight.abs().max()))


def test_a_file_that_tells_no_scale_has_none(tmp_path: Path) -> None:
    """As an instrument writes it, or an earlier version did."""
    model, where = nn.Sequential(nn.Linear(6, 5)), device(variation=Gaussian(0.05) + Drift(86400.0))
    levels, chip = levels_of(model, where), simulated_chip(model, where)
    assert chip.scales["0.weight"] > 1.5
    plain = dataclasses.replace(chip, scales={})
    save_measured(plain, levels, tmp_path / "chip.npz")
    header = read_archive(
        tmp_path / "chip.npz", "steadynet-measured", 1, "chip", ("positive", "negative")
    ).header
    assert header["scales"] == {}
    torch.testing.assert_close(
        plain.weights(levels)["0.weight"] * chip.scales["0.weight"], chip.weights(levels)["0.weight"]
    )
    with pytest.raises(SteadyNetError, match=r"unknown tensor with a scale '1\.weight'"):
        dataclasses.replace(chip, scales={"1.weight": 2.0})


def test_what_has_no_conductances_is_refused() -> None:
    model = nn.Sequential(nn.Linear(6, 5))
    for variation in (LogNormal(0.1), Censored(0.1)):
        with pytest.raises(
            SteadyNetError, match="is a law of whole weights, of which devices have no conductances"
        ):
            simulated_chip(model, Device(variation=variation))
    with pytest.raises(SteadyNetError, match="a chip's weights are quantised: leave out quantize=False"):
        simulated_chip(model, device(quantize=False))
    with torch.no_grad():
        model.get_parameter("0.weight")[0, 0] = float("nan")
    with pytest.raises(SteadyNetError, match=r"0\.weight of Sequential holds 1 NaN"):
        simulated_chip(model, device())


def test_a_chip_from_a_file_runs_on_a_network_of_any_precision() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        model = nn.Sequential(nn.Linear(6, 5)).to(dtype)
        levels = levels_of(model, device())
        weights = simulated_chip(model, device()).weights(levels)
        assert run(model, weights, torch.zeros(2, 6, dtype=dtype)).dtype == dtype


def test_a_ratio_of_one_kind_of_number_is_that_of_the_other() -> None:
    model = nn.Sequential(nn.Linear(6, 5))
    assert identity_of(levels_of(model, Device(on_off_ratio=10))) == identity_of(
        levels_of(model, Device(on_off_ratio=10.0))
    )
