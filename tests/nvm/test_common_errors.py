"""Errors that devices of a chip or a column have in common, against their formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from steadynet.nvm.device import Device
from steadynet.nvm.effects.common import Common
from steadynet.nvm.matrix import Matrix
from steadynet.nvm.programming import Target, program_tensor
from steadynet.nvm.variation import Gaussian
from steadynet.randomness import Source


def source(draw: int = 0, name: str = "w") -> Source:
    return Source(0, "test", draw, 0, name)


def programmed(weight: torch.Tensor, device: Device, name: str = "w") -> torch.Tensor:
    return program_tensor(weight, device, source(name=name))


def test_a_gain_is_shared_by_a_chip_and_an_offset_cancels_between_crossbars() -> None:
    weight = torch.tensor([[1.0, -0.5], [0.25, -1.0]])
    for crossbars in ("one", "both", "differential"):
        chip = Device(variation=Gaussian(0.0) + Common(chip=0.1), crossbars=crossbars)
        ratios = [programmed(weight, chip, name=name) / programmed(weight, chip.ideal) for name in ("a", "b")]
        assert torch.equal(ratios[0], ratios[0][0, 0].expand(2, 2)), "one gain for all weights"
        torch.testing.assert_close(ratios[0], ratios[1], rtol=0, atol=0)
        column = Device(variation=Gaussian(0.0) + Common(column=0.1), crossbars=crossbars)
        ratio = programmed(weight, column) / programmed(weight, column.ideal)
        torch.testing.assert_close(ratio[:, 0], ratio[:, 1])
        assert ratio[0, 0] != ratio[1, 0]
        shifted = Device(variation=Gaussian(0.0) + Common(chip=0.1, kind="offset"), crossbars=crossbars)
        error = programmed(weight, shifted) - programmed(weight, shifted.ideal)
        if crossbars == "one":
            torch.testing.assert_close(error * weight.sign(), (error * weight.sign())[0, 0].expand(2, 2))
            assert error.any()
        else:
            torch.testing.assert_close(error, torch.zeros(2, 2))


@pytest.mark.parametrize("path", ["weight", "device"])
@pytest.mark.parametrize(
    ("shape", "matrix", "outputs"),
    [
        ((3, 4, 2), Matrix(), lambda first, _second: first),
        ((6, 4, 2), Matrix(groups=3), lambda first, _second: first),
        ((6, 5), Matrix(input_major=True), lambda _first, second: second),
        ((6, 4, 2), Matrix(groups=2, input_major=True), lambda first, second: (first // 3, second)),
    ],
    ids=["linear", "grouped", "embedding", "grouped transposed"],
)
def test_what_a_column_has_in_common_is_one_gain_of_each_output(
    path: Any, shape: tuple[int, ...], matrix: Matrix, outputs: Any
) -> None:
    weight = torch.linspace(0.2, 1.0, math.prod(shape)).view(shape)
    device = Device(8, 2, Gaussian(0.0) + Common(column=0.2), path=path)
    held = Target.of(weight, device, matrix).program(source(draw=3), torch.empty_like(weight))
    gains = held / Target.of(weight, device.ideal, matrix).program(source(draw=3), torch.empty_like(weight))
    found: dict[Any, set[float]] = {}
    for first in range(shape[0]):
        for second in range(shape[1]):
            for gain in gains[first, second].flatten().tolist():
                found.setdefault(outputs(first, second), set()).add(round(gain, 4))
    assert all(len(same) == 1 for same in found.values())
    assert len({next(iter(same)) for same in found.values()}) == len(found)
