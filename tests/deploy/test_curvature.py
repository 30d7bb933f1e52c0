"""Second derivatives through BatchNorm, which images they are of, and what they are refused through."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deploy.small_chip import DEVICE, images, trained
from steadynet.batches import sample
from steadynet.deploy import squared_error_curvature, weight_curvature
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device


def test_a_second_derivative_goes_through_batchnorm_by_the_square_of_its_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    linear, norm = nn.Linear(4, 3, bias=False).double(), nn.BatchNorm1d(3).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 2.0, 3.0]))
    # The first is of the size of BatchNorm's eps.
    variance = torch.tensor([1e-5, 0.5, 9.0], dtype=torch.float64)
    norm.running_var = variance
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    net = nn.Sequential(linear, norm).eval()
    found = weight_curvature(net, Device(), (x, torch.arange(20) % 3), curvature=squared_error_curvature)
    square = norm.weight.detach().square() / (variance + norm.eps)
    torch.testing.assert_close(found["0.weight"], 2 * square[:, None] * x.square().mean(0))


def test_it_is_the_mean_over_some_images_in_whatever_batches() -> None:
    """Drawn among all: a data set may lie class by class."""
    net, (x, y) = trained(), images(60)
    few = weight_curvature(net, DEVICE, (x, y), images=7, batch_size=3)
    own = sample(7, 60)
    alone = weight_curvature(net, DEVICE, (x[own], y[own]))
    assert few.keys() == alone.keys()
    for name, part in alone.items():
        torch.testing.assert_close(few[name], part)


class ByName(nn.Module):
    """Gives inputs and weights by their names."""

    def __init__(self, activation: str = "") -> None:
        super().__init__()
        self.layer, self.last, self.activation = nn.Linear(3, 4), nn.Linear(4, 2), activation

    def forward(self, x: Tensor) -> Tensor:
        h = F.linear(x, weight=self.layer.weight, bias=self.layer.bias)
        if self.activation == "gelu":
            h = F.gelu(input=h)
        if self.activation == "alpha":
            h = torch.add(h, h, alpha=10)
        if self.activation == "list":
            return torch.linalg.multi_dot([h, self.last.weight.T])
        return F.linear(input=h, weight=self.last.weight, bias=self.last.bias)


def test_arguments_may_be_given_by_name() -> None:
    net, data = ByName(), (torch.randn(6, 3), torch.arange(6) % 2)
    plain = nn.Sequential(net.layer, net.last)
    by_name, by_place = (weight_curvature(one, Device(), data) for one in (net, plain))
    for one, other in zip(by_name.values(), by_place.values(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("activation", ["gelu", "alpha", "list"])
def test_what_no_rule_leads_through_is_refused_however_it_is_given(activation: str) -> None:
    with pytest.raises(SteadyNetError, match="through which no rule takes second derivatives"):
        weight_curvature(ByName(activation), Device(), (torch.randn(6, 3), torch.arange(6) % 2))


@pytest.mark.parametrize(
    ("outputs", "pool"),
    [
        (2, nn.AdaptiveAvgPool1d(3)),  # each value is in as many windows as the others
        (4, nn.AvgPool1d(3, stride=2, padding=1)),  # the second of four values is in both windows
        (4, nn.AvgPool1d(1, stride=2)),  # every second value is in none
    ],
)
def test_averages_over_windows_that_overlap_or_differ_are_refused(outputs: int, pool: nn.Module) -> None:
    net = nn.Sequential(nn.Linear(3, outputs), pool)
    with pytest.raises(SteadyNetError, match="Sequential averages over windows that overlap or differ"):
        weight_curvature(net, Device(), (torch.randn(4, 3), torch.arange(4) % 2))


class OfTheBatch(nn.Module):
    """Normalises by the batch also in evaluation mode, though it has running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("variance", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.get_buffer("mean"), self.get_buffer("variance")
        return nn.functional.batch_norm(self.layer(x), mean, variance, training=True)


def test_batchnorm_by_the_batchs_own_statistics_is_refused() -> None:
    data = torch.randn(4, 3), torch.arange(4) % 2
    for net in (OfTheBatch(), nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False))):
        with pytest.raises(SteadyNetError, match="BatchNorm without running statistics: rank by magnitude"):
            weight_curvature(net, Device(), data)
