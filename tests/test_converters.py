"""Converters against a slow simulation of crossbars, one column of one crossbar at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import steadynet as sn
import steadynet.converters as converters_module
from steadynet.chip import program, run
from steadynet.converters import Converters, _Seen, with_converters
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian

Array = np.ndarray[Any, np.dtype[Any]]


def converted(values: Array, reach: float, bits: int, signed: bool) -> Array:
    """Return values as a converter gives them, one at a time."""
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    step = reach / most
    least = -reach if signed else 0.0
    return np.array([round(min(max(v, least), reach) / step) * step for v in values.ravel()]).reshape(
        values.shape
    )


def through(
    weight: Array, inputs: Array, bias: Array, rows: int, bits: tuple[int, int], reach: Array
) -> Array:
    """Return what crossbars of some rows give: weight [O, I], inputs [B, I]."""
    signed = bool(reach[2])
    x = converted(inputs, float(reach[0]), bits[0], signed)
    out = np.tile(bias, (len(x), 1))
    for image in range(len(x)):
        for column in range(len(weight)):
            for start in range(0, weight.shape[1], rows):
                stop = start + rows
                partial = np.array([np.dot(x[image, start:stop], weight[column, start:stop])])
                out[image, column] += converted(partial, float(reach[1]), bits[1], True)[0]
    return out


def reach_of(weight: Array, inputs: Array, rows: int) -> Array:
    """Return the largest input and partial sum, and whether an input is negative."""
    partial = [
        np.abs(inputs[:, s : s + rows] @ weight[:, s : s + rows].T).max()
        for s in range(0, weight.shape[1], rows)
    ]
    return np.array([np.abs(inputs).max(), max(partial), float((inputs < 0).any())])


@pytest.mark.parametrize("rows", [3, 5, 16])
@pytest.mark.parametrize("positive", [False, True])
def test_a_linear_layer_is_what_its_crossbars_give(rows: int, positive: bool) -> None:
    torch.manual_seed(0)
    net = nn.Linear(10, 4).double()
    device = Device(variation=Gaussian(0.2), tile=(rows, 256))
    seen = torch.randn(20, 10).double()
    seen = seen.abs() if positive else seen
    inputs = 1.5 * torch.randn(6, 10).double()  # some saturate
    copied = with_converters(net, device, seen, Converters(4, 5))
    clean = program(net, device.ideal)["weight"].detach().numpy()
    reach = reach_of(clean, seen.numpy(), rows)
    chip = program(net, device, seed=3)
    found = run(copied, chip, inputs).detach().numpy()
    expected = through(
        chip["weight"].detach().numpy(), inputs.numpy(), net.bias.detach().numpy(), rows, (4, 5), reach
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=2),
        nn.Conv1d(4, 5, 3, dilation=2, bias=False),
        nn.ConvTranspose2d(4, 3, 3, stride=2),
        nn.Conv3d(2, 3, 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("rows", [2, 7, 256])
def test_a_convolution_is_a_sum_over_its_ranges_of_rows(layer: nn.Module, rows: int) -> None:
    layer = layer.double()
    torch.manual_seed(1)
    space = len(layer.kernel_size)  # pyright: ignore[reportArgumentType] (a convolution's)
    seen = torch.randn(3, layer.in_channels, *[6] * space).double()  # pyright: ignore[reportArgumentType, reportCallIssue] (a convolution's)
    device = Device(variation=Gaussian(0.2), tile=(rows, 256))
    copied = with_converters(layer, device, seen, Converters(None, 4))
    chip = program(layer, device)
    weight = chip["weight"].detach()
    clean = program(layer, device.ideal)["weight"].detach()
    bias = getattr(layer, "bias", None)

    def parts(tensor: Tensor) -> list[Tensor]:
        # A row of the matrix is a place of the kernel and an input channel of each group.
        transposed = isinstance(layer, nn.ConvTranspose2d)
        shape = tensor.shape
        rest = math.prod(shape[1:])
        found: list[Tensor] = []
        for start in range(0, shape[0] if transposed else rest, rows):
            kept = torch.zeros_like(tensor)
            if transposed:
                kept[start : start + rows] = tensor[start : start + rows]
            else:
                kept.view(shape[0], rest)[:, start : start + rows] = tensor.reshape(shape[0], rest)[
                    :, start : start + rows
                ]
            with torch.no_grad():
                full = torch.func.functional_call(layer, {"weight": kept}, (seen,))
                found.append(full if bias is None else full - bias.view(-1, *[1] * space))
        return found

    step = max(float(part.abs().max()) for part in parts(clean)) / 7
    expected = torch.stack([(p / step).round().clamp(-7, 7) * step for p in parts(weight)]).sum(0)
    expected = expected if bias is None else expected + bias.view(-1, *[1] * space)
    torch.testing.assert_close(run(copied, chip, seen).detach(), expected.detach(), atol=1e-9, rtol=0)


class Net(nn.Module):
    """A convolution, a norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.conv(x)).relu().flatten(1))
        return logits


DEVICE = Device(variation=Gaussian(0.1), tile=(16, 64))
IMAGES = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(2))


def net() -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().eval()


@settings(deadline=None, max_examples=20)
@given(st.integers(6, 16), st.integers(6, 16))
def test_the_error_is_within_what_the_steps_allow(inputs: int, outputs: int) -> None:
    model = net()
    chip = program(model, DEVICE.ideal)
    exact = run(model, chip, IMAGES)
    copied = with_converters(model, DEVICE, IMAGES, Converters(inputs, outputs))
    off = float((run(copied, chip, IMAGES) - exact).detach().abs().max() / exact.detach().abs().max())
    # Half a step a conversion: 64 inputs in four parts, and what the convolution passes on.
    assert off <= 40 * (2.0**-inputs + 2.0**-outputs)


def test_the_model_stays_as_it_is_and_its_copy_has_the_same_state() -> None:
    model = net().train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    copied = with_converters(model, DEVICE, IMAGES, Converters())
    assert model.training
    assert copied.state_dict().keys() == before.keys()
    for key, tensor in before.items():
        assert torch.equal(model.state_dict()[key], tensor)
        assert torch.equal(copied.state_dict()[key], tensor)
    torch.testing.assert_close(model.eval()(IMAGES), net()(IMAGES))


def test_monte_carlo_is_the_same_one_by_one_at_once_and_by_processes() -> None:
    copied = with_converters(net(), DEVICE, IMAGES, Converters(3, 4))
    data = IMAGES, torch.arange(24) % 3
    plain = sn.monte_carlo(net(), DEVICE, data, draws=12)
    found = [
        sn.monte_carlo(copied, DEVICE, data, draws=12, compute=compute)
        for compute in (sn.Compute(), sn.Compute(chunk=4), sn.Compute(processes=2))
    ]
    assert not np.array_equal(plain.nll.values, found[0].nll.values)
    for other in found[1:]:
        np.testing.assert_allclose(other.nll.values, found[0].nll.values, rtol=1e-5)


def test_few_bits_cost_accuracy_and_coverage_cuts_outliers() -> None:
    model, seen = nn.Linear(4, 2), torch.ones(100, 4)
    seen[0] = 100.0
    copied = with_converters(model, Device(), seen, Converters(8, None, coverage=0.99))
    chip = program(model, Device().ideal)
    torch.testing.assert_close(run(copied, chip, seen[:1]), run(model, chip, torch.ones(1, 4)))
    torch.testing.assert_close(run(copied, chip, seen[1:]), run(model, chip, seen[1:]))


def test_ranges_are_those_of_all_values_or_of_evenly_spaced_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converters_module, "_KEPT", 100)
    model, seen = nn.Linear(4, 2), torch.rand(500, 4)
    seen[321, 2] = 50.0
    for coverage, reach in ((1.0, 50.0), (0.9, 0.9)):
        copied: Any = with_converters(model, Device(), seen, Converters(8, None, coverage=coverage))
        (layer,) = copied._forward_hooks.values()
        # 101 of 2,000 uniform values: their 90th percentile has a std of 0.03.
        assert layer.inputs.step * 255 == pytest.approx(reach, abs=0.12)


def test_values_of_all_calls_count_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _Seen()
    seen.note(torch.tensor([-3.0, 2.0]))
    seen.note(torch.tensor([1.0]))
    assert (seen.negative, seen.largest) == (True, 3.0)
    # Ten magnitudes: nine are less than 95 % of them.
    seen = _Seen()
    seen.note(torch.arange(1.0, 11.0))
    assert seen.levels(8, 0.95, signed=False).step == pytest.approx(10 / 255)
    monkeypatch.setattr(converters_module, "_KEPT", 100)
    seen = _Seen()
    seen.note(torch.cat([torch.ones(100), torch.full((100,), 5.0)]))
    assert seen.levels(8, 0.9, signed=False).step == pytest.approx(5 / 255)
