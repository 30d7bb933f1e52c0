"""Converters on layers called twice, with hooks, in halves or told the size of their output; and layers that cannot have any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steadynet as sn
from steadynet.chip import program, run
from steadynet.converters import Converters, with_converters
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from zoo import make

Array = np.ndarray[Any, np.dtype[Any]]


class Standardised(nn.Linear):
    """Not linear in its weights."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight / self.weight.std()
        return nn.functional.linear(input, weight, self.bias)


class PassedBy(nn.Module):
    """Computes without calling its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.head.weight, self.head.bias)


class ByName(nn.Module):
    """Gives its layer the input by name."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(input=x)
        return logits


def test_a_layer_at_two_places_has_converters_once() -> None:
    model, x = make("shared"), torch.randn(9, 4)
    copied: Any = with_converters(model, Device(tile=(3, 8)), x, Converters(16, 16))
    assert len(copied.first._forward_hooks) == len(copied.first._forward_pre_hooks) == 1
    assert copied.second is copied.first
    torch.testing.assert_close(copied(x), model(x), rtol=0, atol=1e-2)


@pytest.mark.parametrize("rows", [4, 3])
def test_converters_of_inputs_alone_leave_a_layers_sum(rows: int) -> None:
    model, x = nn.Linear(4, 2), torch.randn(9, 4)
    copied = with_converters(model, Device(tile=(rows, 8)), x, Converters(3, None))
    step = x.abs().max() / 3
    torch.testing.assert_close(copied(x), model((x / step).round().clamp(-3, 3) * step))


def test_what_cannot_have_converters_is_refused() -> None:
    four = torch.randn(5, 4)
    refused: list[tuple[nn.Module, Any, str]] = [
        (nn.LSTM(4, 3), torch.randn(2, 5, 4), r"weight_ih_l0 \(LSTM\) is neither: exclude it by name"),
        (PassedBy(), four, r"head\.weight \(Linear\) is computed elsewhere than by a call of its layer"),
        (Standardised(4, 2), four, r"weight \(Standardised\) is not linear in its weights"),
        (
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)),
            four,
            r"weight .* is computed by a parametrisation",
        ),
        (
            with_converters(nn.Sequential(nn.Linear(4, 2)), Device(), four, Converters()),
            four,
            "0 has converters already",
        ),
        (nn.Linear(4, 2), torch.zeros(0, 4), "at least one input to be calibrated on"),
        (ByName(), four, r"head\.weight \(Linear\) is called with its input by name"),
    ]
    for model, inputs, told in refused:
        with pytest.raises(SteadyNetError, match=told):
            with_converters(model, Device(tile=(3, 8)), inputs, Converters())
    with pytest.raises(SteadyNetError, match=r"fold it for good by steadynet\.fold_batchnorm"):
        with_converters(nn.Linear(4, 2), Device(fold_bn=True), four, Converters())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"input_bits": 1}, "input_bits"),
        ({"output_bits": 17}, "output_bits"),
        ({"input_bits": None, "output_bits": None}, "need input_bits or output_bits"),
        ({"coverage": 0.0}, "coverage"),
        ({"coverage": 1.5}, "coverage"),
    ],
)
def test_bad_bits_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError, match=told):
        Converters(**arguments)


def test_what_hooks_make_of_a_layers_output_comes_after_its_crossbars() -> None:
    generator = torch.Generator().manual_seed(0)
    net, x = nn.Linear(6, 3), torch.randn(20, 6, generator=generator)
    device = Device(variation=Gaussian(0.0), tile=(4, 4))
    plain = with_converters(net, device, x, Converters(input_bits=6, output_bits=6))
    divided = with_converters(
        sn.with_temperature(net, 16.0), device, x, Converters(input_bits=6, output_bits=6)
    )
    assert torch.allclose(divided(x), plain(x) / 16, rtol=1e-6)
    assert not torch.allclose(plain(x), net(x), rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_layer_in_halves_is_cut_into_crossbars(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Linear(600, 32).to(dtype)
    x = torch.randn(64, 600).to(dtype)
    found = with_converters(net, Device(tile=(256, 256)), x, Converters(8, 12))(x)
    torch.testing.assert_close(found.float(), net(x).float(), rtol=0.1, atol=0.1)


def test_a_transposed_convolution_may_be_told_the_size_of_its_output() -> None:
    """Also where its rows lie on several crossbars, which are computed one by one."""

    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.up(x, output_size=[2 * size for size in x.shape[2:]])
            return out

    model, x = Up(), torch.randn(6, 4, 5, 5)
    fine = Converters(16, 16)
    for rows in (2, 128):
        device = Device(tile=(rows, 128), weight_bits=8)
        found = with_converters(model, device, x, fine)(x)
        expected = run(model, program(model, device.ideal), x).detach()
        assert found.shape[2:] == (10, 10)
        torch.testing.assert_close(found, model(x), rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("signed", [False, True])
def test_a_gradient_passes_straight_through_a_converter_within_its_range(signed: bool) -> None:
    layer, seen = nn.Linear(1, 1, bias=False), torch.tensor([[-1.0 if signed else 0.0], [1.0]])
    with torch.no_grad():
        layer.weight.fill_(3.0)
    copied = with_converters(layer, Device(quantize=False), seen, Converters(3, None))
    inputs = torch.tensor([[-1.2], [-0.9], [-0.4], [0.05], [0.4], [0.9], [1.2]])
    leaf = inputs.clone().requires_grad_()
    found = copied(leaf)
    (slope,) = torch.autograd.grad(found.sum(), leaf)
    assert slope.flatten().tolist() == [0, *[3 if signed else 0] * 2, 3, 3, 3, 0]
    with torch.no_grad():
        plain = copied(inputs)
    assert torch.equal(found.detach().view(torch.int32), plain.view(torch.int32)), (
        "bit for bit, zeros' signs too"
    )


def test_where_converters_are_fine_a_gradient_is_that_of_the_network_without() -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).double(), torch.randn(9, 6).double()
    device = Device(quantize=False, tile=(4, 8))
    # Ranges for more than is given: none saturates.
    copied = with_converters(net, device, 1.5 * x, Converters(16, 16))
    exact, through = (
        torch.autograd.grad(model(x).square().sum(), list(model.parameters())) for model in (net, copied)
    )
    for one, other in zip(exact, through, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-3 * float(one.abs().max()))
