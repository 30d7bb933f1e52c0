"""Laws of whole weights: their moments in closed form, and that every path to a chip follows them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import nn

from steadynet.chip import program
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.nvm.device import Device
from steadynet.nvm.presets import preset
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored, LogNormal
from steadynet.programmer import Programmer


def network(count: int = 200) -> nn.Linear:
    """Return a square weight of both signs whose largest magnitude is 1."""
    net = nn.Linear(count, count)
    with torch.no_grad():
        drawn = torch.rand(count, count, generator=torch.Generator().manual_seed(0)) * 2 - 1
        net.weight.copy_(drawn / drawn.abs().max())
    return net


@given(st.floats(-3, 3))
def test_the_moments_of_a_censored_normal_are_those_of_the_integral(cutoff: float) -> None:
    law = Censored(0.1, cutoff)

    def moment(power: int) -> float:
        below, _ = integrate.quad(lambda z: z**power * float(stats.norm.pdf(z)), -12, cutoff)
        return below + cutoff**power * float(stats.norm.sf(cutoff))

    assert law.mean == pytest.approx(moment(1), abs=1e-7)
    assert law.variance == pytest.approx(moment(2) - moment(1) ** 2, abs=1e-7)
    assert law.mean == pytest.approx(
        cutoff * float(stats.norm.sf(cutoff)) - float(stats.norm.pdf(cutoff)), abs=1e-9
    )


@pytest.mark.parametrize("corrected", [False, True])
def test_a_chip_holds_the_censored_law_in_signed_weights(corrected: bool) -> None:
    # 40,000 errors: mean and variance within 5 standard errors; an error on the magnitude instead would have mean 0.
    net, law = network(), Censored(0.2, 0.7, corrected)
    device = Device(variation=law)
    weight = net.weight.detach()
    clean = (weight * 255).round() / 255
    error = ((program(net, device, seed=1)["weight"].detach() - clean) / (0.2 * device.relative_std)).double()
    count = error.numel()
    expected = 0.0 if corrected else law.mean
    assert float(error.mean()) == pytest.approx(expected, abs=5 * math.sqrt(law.variance / count))
    assert float(error.var()) == pytest.approx(law.variance, rel=5 * math.sqrt(3 / count))
    for sign in (weight > 0, weight < 0):
        assert float(error[sign].mean()) == pytest.approx(
            expected, abs=5 * math.sqrt(2 * law.variance / count)
        )
    assert float(error.max()) == pytest.approx(0.7 - (law.mean if corrected else 0), abs=1e-4)


def test_without_a_cut_it_is_the_gaussian_draw_for_draw() -> None:
    net = network(30)
    one, other = (program(net, Device(variation=law), draw=3) for law in (Gaussian(0.2), Censored(0.2, 50.0)))
    torch.testing.assert_close(one["weight"], other["weight"])


def test_a_log_normal_weight_errs_in_proportion_to_itself() -> None:
    net, sigma = network(), 0.3
    weight = net.weight.detach()
    clean = (weight * 255).round() / 255
    chip = program(net, Device(variation=LogNormal(sigma)), seed=2)["weight"].detach()
    assert torch.equal(chip[clean == 0], clean[clean == 0])
    ratio = (chip[clean != 0] / clean[clean != 0]).double().numpy()
    assert (ratio > 0).all(), "no weight changes its sign"
    # Kolmogorov-Smirnov on 40,000 ratios: a σ that was 5 % larger is refused with a power above 0.99.
    assert stats.kstest(np.log(ratio) / sigma, stats.norm.cdf).pvalue > 1e-3  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
def test_the_std_of_a_log_normal_level_is_that_of_its_errors(sigma: float) -> None:
    law, code = LogNormal(sigma), torch.tensor([100])
    device = Device(variation=law)
    # Gauss-Hermite quadrature over Z.
    z, share = np.polynomial.hermite_e.hermegauss(60)
    normals = torch.from_numpy(z)
    error = law.weight_error(normals, torch.full_like(normals, 100.0), device).numpy()
    share = share / share.sum()
    std = math.sqrt(share @ error**2 - (share @ error) ** 2)
    assert float(law.level_std(code, code, device)) == pytest.approx(std, rel=1e-9)


@pytest.mark.parametrize("law", [Censored(0.2, 0.5), Censored(0.2, 0.5, mean_corrected=True), LogNormal(0.2)])
@pytest.mark.parametrize("quantize", [True, False])
@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_many_chips_at_once_are_those_one_by_one(
    law: Censored | LogNormal, quantize: bool, scale: str
) -> None:
    net = network(20)
    device = Device(variation=law, quantize=quantize, scale=scale)  # pyright: ignore[reportArgumentType]
    many = Programmer(net, device, layout(net, device), seed=4).program_many([0, 7], "test")["weight"]
    for row, draw in enumerate((0, 7)):
        assert torch.equal(many[row], program(net, device, seed=4, draw=draw)["weight"].detach())


@pytest.mark.parametrize("law", [Censored(0.1), LogNormal(0.1)])
def test_a_law_of_whole_weights_has_no_devices(law: Censored | LogNormal) -> None:
    with pytest.raises(SteadyNetError, match="is a law of whole weights, not of devices: take path 'weight'"):
        Device(variation=law, path="device")


@pytest.mark.parametrize("path", ["weight", "device"])
@pytest.mark.parametrize("law", [Gaussian(0.2), preset("rram4", 0.2)])
@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_a_mirrored_chip_has_the_errors_negated(law: Gaussian, path: str, scale: str) -> None:
    net = network(20)
    device = Device(variation=law, path=path, scale=scale)  # pyright: ignore[reportArgumentType]
    clean = program(net, device.at(0.0))["weight"].detach()
    one, other = (
        program(net, device, draw=2, mirrored=mirrored)["weight"].detach() for mirrored in (False, True)
    )
    torch.testing.assert_close(other - clean, clean - one, rtol=1e-4, atol=1e-6)
    assert float((one - clean).abs().mean()) > 0.01


def test_a_mirrored_chip_of_a_skewed_law_keeps_the_law() -> None:
    net, device = network(), Device(variation=Censored(0.2, 0.5))
    clean = program(net, device.at(0.0))["weight"].detach()
    error = program(net, device, mirrored=True)["weight"].detach() - clean
    assert float(error.max()) == pytest.approx(0.5 * 0.2 * device.relative_std, rel=1e-3), (
        "it is still cut above"
    )
    assert float(error.min()) < -2 * float(error.max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Censored(-0.1), "sigma_d must be a finite number ≥ 0"),
        (lambda: Censored(0.1, math.nan), r"censor \(cutoff\) must be a finite number"),
        (lambda: Censored(0.1, 1.0, 1), "mean_corrected must be True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: LogNormal(-1.0), "sigma_d must be a finite number ≥ 0"),
    ],
)
def test_values_out_of_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()  # pyright: ignore[reportCallIssue]
