"""How a weight lies on crossbars as a matrix: its rows are inputs, its columns outputs, by the layer that computes with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from steadynet.chip import program
from steadynet.mapping import layout
from steadynet.nvm.device import Device


@pytest.mark.parametrize("make_layer", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
@pytest.mark.parametrize("groups", [1, 2])
def test_channels_of_a_transposed_convolution_are_those_of_its_outputs(make_layer: Any, groups: int) -> None:
    layer = make_layer(4, 6, 3, groups=groups)
    chip = program(layer, Device(scale="channel"))
    found = Device(scale="channel")
    for group in range(groups):
        for channel in range(6 // groups):
            own = layer.weight.detach()[group * 4 // groups : (group + 1) * 4 // groups, channel]
            held = chip["weight"].detach()[group * 4 // groups : (group + 1) * 4 // groups, channel]
            # The largest weight of each output channel is a code's full range.
            step = float(own.abs().max()) / found.max_code
            torch.testing.assert_close(held, (own / step).round() * step)


@pytest.mark.parametrize(
    ("model", "size", "crossbars"),
    [
        (nn.Linear(300, 70), (1, 300, 70), 2 * 2 * 2),
        (nn.Conv2d(8, 12, 3, groups=4), (4, 18, 3), 2 * 4),
        (nn.Conv1d(30, 5, 9), (1, 270, 5), 2 * 2),
        (nn.ConvTranspose2d(8, 12, 3, groups=4), (4, 2, 27), 2 * 4),
        (nn.Embedding(600, 10), (1, 600, 10), 2 * 3),
        (nn.LSTM(5, 6, 1), (1, 5, 24), 2),
    ],
)
def test_a_weight_is_a_matrix_on_crossbars(
    model: nn.Module, size: tuple[int, int, int], crossbars: int
) -> None:
    mapped = layout(model, Device()).mapped[0]
    assert mapped.matrix.size(mapped.shape) == size
    assert mapped.crossbars == crossbars, "256 rows, and 256 columns of four devices a weight"
    weight = dict(model.named_parameters())[mapped.name].detach()
    as_matrix = mapped.matrix.of(weight)
    assert tuple(as_matrix.shape) == size
    assert torch.equal(mapped.matrix.back(as_matrix, mapped.shape), weight)
    covered = torch.zeros(size)
    for part in mapped.matrix.tiles(mapped.shape, (7, 3)):
        covered[part.group, part.row : part.row_stop, part.column : part.column_stop] += 1
    assert bool((covered == 1).all())


def test_rows_are_inputs_and_columns_are_outputs() -> None:
    # Of one column everything is 0 but one weight: only its output answers, and only to its input.
    for layer, x in (
        (nn.Linear(4, 3, bias=False), torch.eye(4)),
        (nn.Conv2d(4, 3, 1, bias=False), torch.eye(4)[..., None, None]),
    ):
        mapped = layout(layer, Device()).mapped[0]
        with torch.no_grad():
            held = mapped.matrix.of(layer.weight).detach().clone().zero_()
            held[0, 2, 1] = 5.0
            layer.weight.copy_(mapped.matrix.back(held, mapped.shape))
        assert layer(x).flatten(1).nonzero().tolist() == [[2, 1]]


def test_a_linear_layer_of_transformers_lies_with_its_inputs_first() -> None:
    class Conv1D(nn.Module):
        """Stands in for that of Hugging Face, which is known by its name and module."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 6))

    Conv1D.__module__ = "transformers.pytorch_utils"
    (mapped,) = layout(nn.Sequential(Conv1D())).mapped
    assert (mapped.kind, mapped.matrix.size(mapped.shape)) == ("linear", (1, 4, 6))


def test_each_tile_has_a_scale_of_its_own() -> None:
    layer = nn.Conv2d(3, 5, 3, groups=1)
    device = Device(scale="tile", tile=(10, 8))
    held = program(layer, device)["weight"].detach()
    rows, weights = held.reshape(5, 27).T, layer.weight.detach().reshape(5, 27).T
    for row in range(0, 27, 10):
        for column in range(0, 5, 2):
            own, found = (m[row : row + 10, column : column + 2] for m in (weights, rows))
            step = float(own.abs().max()) / 255
            torch.testing.assert_close(found, (own / step).round() * step)
