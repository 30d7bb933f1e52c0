"""Sensitivity against exact second derivatives, and what selective write-verify makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from deploy.small_chip import DEVICE, images, trained
from steadynet.chip import program
from steadynet.deploy import (
    selective_write_verify,
    squared_error_curvature,
    weight_curvature,
    write_verify,
)
from steadynet.deploy.selective import order_of
from steadynet.errors import SteadyNetError
from steadynet.models import build
from steadynet.montecarlo import monte_carlo
from steadynet.nvm.device import Device
from steadynet.nvm.matrix import Matrix


def exact(net: nn.Module, loss: Tensor, name: str) -> Tensor:
    """Return the diagonal of the second derivative, weight by weight."""
    weight = net.get_parameter(name)
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    rows = [
        torch.autograd.grad(g, weight, retain_graph=True)[0].flatten()[i]
        for i, g in enumerate(gradient.flatten())
    ]
    return torch.stack(rows).view(weight.shape)


def spearman(one: Tensor, other: Tensor) -> float:
    """Return the correlation of two tensors' ranks."""
    return float(np.corrcoef(stats.rankdata(one.detach()), stats.rankdata(other.detach()))[0, 1])


def test_one_linear_layer_with_a_squared_error_is_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    net = nn.Linear(5, 3).double()
    x = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (20,), generator=generator)
    loss = (net(x) - nn.functional.one_hot(y, 3)).square().sum(1).mean()
    found = weight_curvature(net, Device(), (x, y), batch_size=7, curvature=squared_error_curvature)
    torch.testing.assert_close(found["weight"], exact(net, loss, "weight"))


def test_the_last_layer_is_exact_with_cross_entropy_too() -> None:
    net, (x, y) = trained().double().eval(), images(60)
    found = weight_curvature(net, DEVICE, (x.double(), y))
    loss = nn.functional.cross_entropy(net(x.double()), y)
    torch.testing.assert_close(found["fc.weight"], exact(net, loss, "fc.weight"))


def test_ranks_agree_with_exact_second_derivatives_over_a_small_network() -> None:
    # What is left out are terms between outputs, so values differ; the order of all weights together is what is used.
    net, (x, y) = trained().double().eval(), images(60)
    found = weight_curvature(net, DEVICE, (x.double(), y))
    loss = nn.functional.cross_entropy(net(x.double()), y)
    truth = torch.cat([exact(net, loss, name).flatten() for name in found])
    ours = torch.cat([part.flatten() for part in found.values()])
    assert spearman(truth, ours) > 0.8
    random = torch.randperm(len(ours), generator=torch.Generator().manual_seed(0))
    assert abs(spearman(truth, random)) < 0.2


@pytest.mark.parametrize("name", ["vgg8", "resnet18", "cnn"])
def test_every_named_network_has_its_rules_and_stays_as_it_was(name: str) -> None:
    net = build(name, classes=4, shape=(1, 16, 16), options={"width": 0.0625 if name != "cnn" else 0.25})
    net.train()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    found = weight_curvature(
        net, Device(), (torch.randn(6, 1, 16, 16, generator=generator), torch.arange(6) % 4)
    )
    assert all(bool((part >= 0).all()) and bool(part.any()) for part in found.values())
    assert all(torch.equal(before[key], tensor) for key, tensor in net.state_dict().items())
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_averages_go_by_the_squares_of_their_coefficients() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1, bias=False)
            self.fc = nn.Linear(2, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(nn.functional.adaptive_avg_pool2d(self.conv(x), 1).flatten(1))

    net = Pooled().double()
    x = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = weight_curvature(net, Device(), (x, torch.tensor([0])), curvature=squared_error_curvature)
    # h of a channel's mean is Σ_i 2 V_ij²; of a pixel 1/16 of that; of the weight that times Σ x².
    by_mean = 2 * net.fc.weight.detach().square().sum(0)
    expected = by_mean / 16 * x.square().sum()
    torch.testing.assert_close(found["conv.weight"].flatten(), expected)


def test_what_has_no_rule_is_named() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Tanh(), nn.Linear(4, 3))
    with pytest.raises(SteadyNetError, match="Sequential computes tanh, through which no rule"):
        weight_curvature(net, Device(), images())


def test_orders_are_by_what_they_say() -> None:
    weights = {"a": torch.tensor([[1.0, -4.0]]), "b": torch.tensor([[2.0, 0.5, 3.0]])}
    curvature = {"a": torch.tensor([[1.0, 1.0]]), "b": torch.tensor([[2.0, 0.0, 16 / 9]])}
    assert order_of("magnitude", weights, Device(), curvature, 0).tolist() == [1, 4, 2, 0, 3]
    # Times max|W|²: a 16, 16; b 18, 0, 16. Ties by magnitude: −4, 3, 1.
    assert order_of("sensitivity", weights, Device(), curvature, 0).tolist() == [2, 1, 4, 0, 3]
    first = order_of("random", weights, Device(), curvature, 0).tolist()
    assert sorted(first) == [0, 1, 2, 3, 4]
    assert first == order_of("random", weights, Device(), curvature, 0).tolist()


def test_channels_of_an_embedding_are_its_columns() -> None:
    weights = {"e.weight": torch.tensor([[1.0, 9.0], [2.0, 3.0]])}
    curvature = {"e.weight": torch.tensor([[1.0, 0.5], [0.6, 0.5]])}
    matrices = {"e.weight": Matrix(input_major=True)}
    # Times the columns' max|W|², 4 and 81: 4, 40.5; 2.4, 40.5. The tie by magnitude.
    order = order_of("sensitivity", weights, Device(scale="channel"), curvature, 0, matrices)
    assert order.tolist() == [1, 3, 0, 2]


def test_writes_and_residual_are_those_of_chips_that_are_verified_whole() -> None:
    net, data = trained(), images()
    found = selective_write_verify(
        net, DEVICE, data, data, rankings=["magnitude"], nwc=[1.0], draws=3, seed=5, tolerance=0.2
    )
    chips = [write_verify(net, DEVICE, tolerance=0.2, seed=5, draw=draw) for draw in range(3)]
    assert found.writes == pytest.approx(np.mean([chip.mean_writes for chip in chips]))
    squares = [chip.residual**2 for chip in chips]
    assert found.residual == pytest.approx(np.mean(squares) ** 0.5, rel=1e-9)


def test_costs_0_and_1_are_chips_written_once_and_chips_verified() -> None:
    net, data = trained(), images()
    device = DEVICE.at(0.4)
    found = selective_write_verify(net, device, data, images(40, 9), nwc=[0, 0.4, 1], draws=3, seed=5)
    by = {(point.ranking, point.nwc): point for point in found.points}
    once = monte_carlo(net, device, data, draws=3, seed=5).accuracy.values
    net.eval()
    x, y = data
    verified = []
    for draw in range(3):
        weights = write_verify(net, device, seed=5, draw=draw).weights
        with torch.no_grad():
            verified.append(
                float((torch.func.functional_call(net, dict(weights), (x,)).argmax(1) == y).float().mean())
            )
    for ranking in ("sensitivity", "magnitude", "random"):
        assert by[ranking, 0].accuracy.values.tolist() == pytest.approx(once)  # pyright: ignore[reportArgumentType]
        assert by[ranking, 1].accuracy.values.tolist() == pytest.approx(verified)  # pyright: ignore[reportArgumentType]
        assert (by[ranking, 1].spent, by[ranking, 1].share) == (pytest.approx(1), 1)  # pyright: ignore[reportArgumentType]
        middle = by[ranking, 0.4]  # pyright: ignore[reportArgumentType]
        assert 0.38 < middle.spent <= 0.4


def test_sensitive_weights_are_worth_more_than_random_ones() -> None:
    net, data = trained(), images(200)
    device = DEVICE.at(1.0)
    found = selective_write_verify(
        net, device, data, images(100, 9), rankings=["sensitivity", "random"], nwc=[0.3], draws=15
    )
    sensitive, random = (point.accuracy.values for point in found.points)
    difference = sensitive - random
    assert difference.mean() > 2 * difference.std(ddof=1) / len(difference) ** 0.5


@pytest.mark.parametrize("nwc", [-0.1, 1.01, float("nan")])
def test_a_cost_out_of_reach_is_refused(nwc: float) -> None:
    with pytest.raises(SteadyNetError, match="nwc must be a finite number ≥ 0 and ≤ 1"):
        selective_write_verify(trained(), DEVICE, images(), images(), nwc=[nwc], draws=2)


@pytest.mark.parametrize("count", [0, -5])
def test_a_ranking_by_no_image_is_refused(count: int) -> None:
    with pytest.raises(SteadyNetError, match="ranking_images must be an integer ≥ 1"):
        selective_write_verify(trained(), DEVICE, images(), images(), ranking_images=count, draws=2)
    for name in ("images", "batch_size"):
        with pytest.raises(SteadyNetError, match=f"{name} must be an integer ≥ 1"):
            weight_curvature(trained(), DEVICE, images(), **{name: count})


def test_programming_leaves_chips_of_monte_carlo_alone() -> None:
    net = trained()
    before = program(net, DEVICE, draw=1)
    write_verify(net, DEVICE, draw=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in program(net, DEVICE, draw=1).items())


def test_weights_that_a_parametrisation_computes_are_ranked_and_verified() -> None:
    # Errors that cost a third of the images and more: were a programming undone in silence, NWC 0 would lose none.
    net, data, device = trained(), images(), DEVICE.at(1.5)
    plain = selective_write_verify(net, device, data, data, nwc=(0.0, 1.0), draws=3)
    for module in list(net.modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.utils.parametrizations.weight_norm(module)
    found = selective_write_verify(net, device, data, data, nwc=(0.0, 1.0), draws=3)
    # The same weights on the same chips; computing them rounds.
    for one, other in zip(found.points, plain.points, strict=True):
        assert (one.ranking, one.nwc) == (other.ranking, other.nwc)
        assert one.accuracy.values.tolist() == pytest.approx(other.accuracy.values.tolist(), abs=0.02)
        assert one.accuracy.mean < 0.7 if one.nwc == 0 else one.accuracy.mean > 0.95


def test_a_single_cost_is_refused_as_no_list_of_them() -> None:
    with pytest.raises(SteadyNetError, match=r"nwc must be costs, one or more, got 0.5: give \(0.5,\)"):
        selective_write_verify(trained(), DEVICE, images(), images(), nwc=0.5, draws=2)  # type: ignore[arg-type]
