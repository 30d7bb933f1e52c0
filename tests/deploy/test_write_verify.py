"""Write-verify against the law of a truncated Gaussian, and its chips."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from steadynet.chip import program
from steadynet.deploy import expected_writes, residual_std, write_verify
from steadynet.deploy.write_verify import verified_errors
from steadynet.errors import SteadyNetError
from steadynet.nvm.conductance_law import Measured
from steadynet.nvm.device import Device
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.presets import preset
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored


def network(seed: int = 0) -> nn.Linear:
    net = nn.Linear(100, 100)
    with torch.no_grad():
        net.weight.copy_(torch.randn(100, 100, generator=torch.Generator().manual_seed(seed)))
    return net


@pytest.mark.parametrize(
    ("sigma_d", "writes", "residual"),
    [(0.1, 2.2, 0.0338), (0.2, 4.2, 0.0344), (0.3, 6.3, 0.0345), (0.4, 8.4, 0.0346)],
)
def test_the_closed_forms_are_the_published_ones_and_those_of_the_integral(
    sigma_d: float, writes: float, residual: float
) -> None:
    assert expected_writes(0.06, sigma_d) == pytest.approx(writes, abs=0.05)
    assert residual_std(0.06, sigma_d) == pytest.approx(residual, abs=5e-5)

    def density(g: float) -> float:
        return float(stats.norm.pdf(g, scale=sigma_d))

    kept, _ = integrate.quad(density, -0.06, 0.06)
    square, _ = integrate.quad(lambda g: g * g * density(g), -0.06, 0.06)
    assert expected_writes(0.06, sigma_d) == pytest.approx(1 / kept)
    assert residual_std(0.06, sigma_d) == pytest.approx(math.sqrt(square / kept))


@pytest.mark.parametrize("sigma_d", [0.1, 0.4])
@pytest.mark.parametrize("ratio", [None, 10.0, 2.0])
def test_the_loop_follows_the_law(sigma_d: float, ratio: float | None) -> None:
    # 40,000 devices: the mean of a geometric number and a second moment, each within 4 standard errors of its law. A tolerance
    # that was a tenth larger would move the mean by 9 %, 20 standard errors and more.
    # Both are relative to the largest conductance, so the on/off ratio, which makes levels narrower, changes neither.
    device = Device(variation=Gaussian(sigma_d), on_off_ratio=ratio)
    found = write_verify(network(), device, tolerance=0.06, seed=1)
    assert found.devices == 40_000
    p = 1 / expected_writes(0.06, sigma_d)
    assert found.mean_writes == pytest.approx(1 / p, abs=4 * math.sqrt((1 - p) / p**2 / found.devices))
    assert found.residual == pytest.approx(
        residual_std(0.06, sigma_d), rel=4 * 0.5 / math.sqrt(found.devices)
    )


def test_every_error_is_within_the_tolerance_and_has_the_truncated_law() -> None:
    device = Device(variation=Gaussian(0.2))
    generator = torch.Generator().manual_seed(0)
    errors, counts = verified_errors(torch.full((5_000,), 77.0), device, 0.3, generator)
    relative = errors.flatten().double().numpy() / device.max_level
    assert np.abs(relative).max() < 0.3
    assert int(counts.min()) == 1
    # Kolmogorov-Smirnov: a seeded sample of 20,000; errors of a σ_d 15 % larger are refused with a power of 0.99.
    law = stats.truncnorm(-1.5, 1.5, scale=0.2)
    assert stats.kstest(relative, law.cdf).pvalue > 1e-3  # pyright: ignore[reportAttributeAccessIssue]
    writes = counts.flatten().numpy()
    ranks = np.corrcoef(stats.rankdata(np.abs(relative)), stats.rankdata(writes))[0, 1]
    assert abs(ranks) < 4 / math.sqrt(len(writes)), "what is kept does not tell how often was written"


def test_the_weights_hold_the_devices_errors() -> None:
    net, device = network(), Device(weight_bits=4, device_bits=2, variation=Gaussian(0.3))
    found = write_verify(net, device, tolerance=0.05, seed=2, draw=3)
    unit = float(net.weight.detach().abs().max()) / 15
    codes = (net.weight.detach() / unit).round()
    error = (found.weights["weight"] - codes * unit) / unit
    # Two devices of three levels: at most 0.05 · 3 · (1 + 4) code steps.
    assert float(error.abs().max()) < 0.75
    assert found.writes["weight"].shape == net.weight.shape
    assert int(found.writes["weight"].min()) >= 2
    again = write_verify(net, device, tolerance=0.05, seed=2, draw=3)
    assert torch.equal(again.weights["weight"], found.weights["weight"])
    other = write_verify(net, device, tolerance=0.05, seed=2, draw=4)
    assert not torch.equal(other.weights["weight"], found.weights["weight"])


def test_without_error_each_device_is_written_once() -> None:
    net = network()
    found = write_verify(net, Device(variation=Gaussian(0.0)))
    assert (found.mean_writes, found.residual) == (1.0, 0.0)
    unit = float(net.weight.detach().abs().max()) / 255
    assert torch.allclose(found.weights["weight"], (net.weight.detach() / unit).round() * unit)


def uneven(embedding: bool) -> nn.Linear | nn.Embedding:
    """Return a layer whose five output channels are of sizes 1, 2, 4, 8 and 16."""
    net = nn.Embedding(6, 5) if embedding else nn.Linear(6, 5, bias=False)
    sizes = 2.0 ** torch.arange(5)
    weight = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)) * sizes[:, None]
    with torch.no_grad():
        net.weight.copy_(weight.T if embedding else weight)
    return net


@pytest.mark.parametrize("embedding", [False, True])
@pytest.mark.parametrize(
    "device", [Device(quantize=False), Device(scale="channel"), Device(scale="tile", tile=(8, 8))]
)
def test_without_error_it_holds_what_an_exact_chip_holds(device: Device, embedding: bool) -> None:
    net = uneven(embedding)
    torch.testing.assert_close(
        write_verify(net, device).weights["weight"], program(net, device)["weight"].detach()
    )


def test_a_device_errs_in_the_unit_of_its_channel() -> None:
    net, device = uneven(embedding=False), Device(scale="channel", variation=Gaussian(0.3))
    clean = program(net, device.at(0.0))["weight"].detach()
    error = (write_verify(net, device, tolerance=0.05).weights["weight"] - clean).abs()
    unit = net.weight.detach().abs().amax(1, keepdim=True) / 255
    # Four devices of three levels: at most 0.05 · 3 · (1 + 4 + 16 + 64) code steps.
    assert bool((error <= 0.05 * 3 * 85 * unit * (1 + 1e-4)).all())


def test_a_verified_chip_draws_other_numbers_than_one_written_once() -> None:
    # One device a weight, all of one sign, and a tolerance that every first write is within.
    net, device = network(), Device(weight_bits=4, device_bits=4, variation=Gaussian(0.1))
    with torch.no_grad():
        net.weight.abs_()
    verified = write_verify(net, device, tolerance=100.0, draw=3)
    assert verified.mean_writes == 1
    once = program(net, device, draw=3)["weight"].detach()
    assert not torch.allclose(verified.weights["weight"], once, atol=1e-4)


def test_a_state_dependent_device_is_verified_level_by_level() -> None:
    device = Device(variation=preset("fefet6", 0.2))
    levels = torch.tensor(
        [0.0, 85.0]
    )  # all slices at level 0, all at level 1: the ends and the middle of their range
    generator = torch.Generator().manual_seed(0)
    _, counts = verified_errors(levels.repeat_interleave(4_000), device, 0.06, generator)
    end, middle = counts.view(4, 2, 4_000).double().mean((0, 2)).tolist()
    base = 0.2 / math.sqrt(0.4 * 36 + 0.6)
    assert end == pytest.approx(expected_writes(0.06, base), rel=0.05)
    assert middle == pytest.approx(expected_writes(0.06, 6 * base), rel=0.05)


@pytest.mark.parametrize(
    ("device", "options", "message"),
    [
        (Device(variation=Gaussian(0.1)), {"tolerance": 0}, "tolerance must be a finite number > 0"),
        (
            Device(variation=Gaussian(0.3)),
            {"tolerance": 1e-3, "limit": 5},
            "are still not within 0.001 of their target after 5",
        ),
        (Device(variation=Censored(0.1)), {}, "Censored is a law of whole weights"),
        (Device(variation=Gaussian(0.1), crossbars="both"), {}, "take .one."),
        (Device(variation=Gaussian(0.1) + Stuck(lrs=0.01)), {}, "leave out effects and shifts"),
        (
            Device(4, 4, Measured((0.0, 5.0, 10.0), (4.0, 5.0, 7.0), (1.0, 1.0, 1.0))),
            {},
            "leave out effects and shifts",
        ),
    ],
)
def test_what_cannot_be_verified_is_refused(device: Device, options: dict[str, float], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        write_verify(network(), device, **options)  # pyright: ignore[reportArgumentType]
