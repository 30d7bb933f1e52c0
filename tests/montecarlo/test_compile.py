"""A compiled network gives the figures of the plain one, and where there is no compiler, one line."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import steadynet as sn
from montecarlo.nets import DEVICE, Asks, Raises, grouped, pictures
from montecarlo.test_compute import assert_close
from steadynet.compute import Compute
from steadynet.montecarlo import block_monte_carlo, curve, monte_carlo

COMPILED = Compute(compile=True)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="torch.compile needs a C++ compiler"
)


@pytest.fixture
def uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace as ever but leave the code as it is, which takes no time and no compiler."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))


def graphs() -> int:
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


@needs_compiler
def test_a_compiled_network_gives_the_plain_ones_figures() -> None:
    model, data = grouped(dtype=torch.float32), pictures(dtype=torch.float32)
    model.train()
    before = graphs()
    found = curve(model, DEVICE, data, [0.1, 0.3], draws=4, batch_size=20, compute=COMPILED)
    assert graphs() > before, "it was compiled"
    expected = curve(model, DEVICE, data, [0.1, 0.3], draws=4, batch_size=20)
    for one, other in zip(found.results, expected.results, strict=True):
        assert_close(one, other, rel=1e-5)
        np.testing.assert_array_equal(one.accuracy.values, other.accuracy.values)
    assert all(module.training for module in model.modules())


@pytest.mark.usefixtures("uncached")
def test_blocks_are_computed_by_the_compiled_network_too() -> None:
    model, data = grouped(), pictures()
    before = graphs()
    found = block_monte_carlo(model, DEVICE, data, blocks=5, cycles=3, compute=COMPILED)
    assert graphs() > before
    expected = block_monte_carlo(model, DEVICE, data, blocks=5, cycles=3)
    np.testing.assert_allclose(found.cells, expected.cells, rtol=1e-9)


@pytest.mark.usefixtures("uncached")
def test_the_tenth_network_of_a_process_is_compiled_like_the_first() -> None:
    # torch computes uncompiled what was compiled eight times already; each network here is compiled two or three times.
    for width in range(3, 13):
        x = torch.zeros(10, width)
        before = graphs()
        monte_carlo(nn.Linear(width, 2), DEVICE, (x, torch.arange(10) % 2), draws=2, compute=COMPILED)
        assert graphs() >= before + 2, f"width {width}"


@pytest.mark.usefixtures("uncached")
def test_what_cannot_be_compiled_in_one_piece_is_compiled_in_several() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), Asks(72, 4).double())
    data = pictures(net=model)
    found = monte_carlo(model, DEVICE, data, draws=3, compute=COMPILED)
    assert_close(found, monte_carlo(model, DEVICE, data, draws=3), rel=1e-9)


@pytest.mark.usefixtures("uncached")
def test_an_error_of_the_networks_own_comes_as_itself() -> None:
    model = nn.Sequential(nn.Flatten(), Raises(72, 4).double())
    with pytest.raises(ZeroDivisionError, match="the network's own"):
        monte_carlo(model, DEVICE, pictures(), draws=2, compute=COMPILED)
    assert model.training


@pytest.mark.parametrize("how", ["no compiler", "a fault of the compiler"])
def test_a_compiler_that_fails_is_told_in_one_line(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if how == "no compiler":
        from torch._inductor import config

        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
        monkeypatch.setattr(config.cpp, "cxx", (str(tmp_path / "c++"),))
        told = "No working C\\+\\+ compiler found"
    else:

        def broken(*_: Any) -> Any:
            raise NotImplementedError("no code for this\nnor for that")

        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=broken))
        told = "no code for this"
    model, data = grouped(dtype=torch.float32), pictures(dtype=torch.float32)
    model.train()
    with pytest.raises(
        sn.SteadyNetError, match=rf"^torch\.compile failed \(.*{told}.*\): leave compile out$"
    ) as raised:
        monte_carlo(model, DEVICE, data, draws=2, compute=COMPILED)
    assert "\n" not in str(raised.value)
    assert all(module.training for module in model.modules())
