"""Second derivatives through constant factors and embeddings, against exact ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deploy.small_chip import DEVICE, images, trained
from steadynet.converters import Converters, with_converters
from steadynet.deploy import (
    selective_write_verify,
    squared_error_curvature,
    weight_curvature,
    with_temperature,
)
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device


class Between(nn.Module):
    """A linear layer whose outputs are scaled somehow."""

    def __init__(self, how: Callable[[Between, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(4, 3), how
        self.scale = nn.Parameter(torch.tensor([0.5, -2.0, 3.0]))
        self.register_buffer("kept", torch.tensor([4.0, 0.25, -1.5]))

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self, self.layer(x))


def diagonal(call: Callable[[Tensor], Tensor], weight: Tensor, labels: Tensor) -> Tensor:
    """Return the exact diagonal of the second derivative of the mean squared error by a weight, from which logits come."""

    def loss(flat: Tensor) -> Tensor:
        logits = call(flat.view(weight.shape))
        return (logits - nn.functional.one_hot(labels, logits.shape[1])).square().sum(1).mean()

    whole = torch.autograd.functional.hessian(loss, weight.detach().flatten())
    assert isinstance(whole, Tensor)
    return whole.diagonal().view(weight.shape)


BY_CONSTANTS: dict[str, Callable[[Between, Tensor], Tensor]] = {
    "a number": lambda _, y: y * 3.0,
    "by a number before": lambda _, y: -2 * y,
    "over a number": lambda _, y: y / 3.0,
    "over and times": lambda _, y: 2 * (y / 3.0),
    "a buffer": lambda net, y: y * net.get_buffer("kept"),
    "a buffer before": lambda net, y: torch.mul(net.get_buffer("kept"), y),
    "over a buffer by name": lambda net, y: torch.div(input=y, other=net.get_buffer("kept")),
    "a digital parameter": lambda net, y: y * net.scale,
    "what comes of one": lambda net, y: (1 + net.scale.tanh())[None] * y,
    "one for each value": lambda net, y: y.multiply(net.get_buffer("kept").expand(y.shape)),
}


@pytest.mark.parametrize("how", BY_CONSTANTS)
def test_a_constant_factor_passes_a_second_derivative_by_its_square(how: str) -> None:
    torch.manual_seed(0)
    net, x, labels = Between(BY_CONSTANTS[how]).double(), torch.randn(10, 4).double(), torch.arange(10) % 3
    found = weight_curvature(net, Device(), (x, labels), curvature=squared_error_curvature)

    def logits(weight: Tensor) -> Tensor:
        return torch.func.functional_call(net, {"layer.weight": weight}, (x,))

    torch.testing.assert_close(found["layer.weight"], diagonal(logits, net.layer.weight, labels))
    assert all(parameter.requires_grad for parameter in net.parameters()), "the network stays as it was"


def test_factors_of_a_wider_type_are_taken_too() -> None:
    net, x, labels = Between(lambda _, y: y / torch.tensor([2.0, 4.0, 8.0]).double()), torch.randn(9, 4), 3
    found = weight_curvature(net, Device(), (x, torch.arange(9) % labels), curvature=squared_error_curvature)
    expected = torch.tensor([0.25, 0.0625, 1 / 64])[:, None] * 2 * x.square().mean(0)
    torch.testing.assert_close(found["layer.weight"], expected)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        (lambda _, y: y * y, "mul"),
        (lambda _, y: y / y.sum(1, keepdim=True), "div"),
        (lambda _, y: 2 / y, "__rdiv__"),
        (lambda _, y: torch.div(torch.ones(3), y), "div"),
        (lambda _, y: torch.div(y, 3, rounding_mode="floor"), "div"),
        # The constant has the larger shape: what it gives has its curvature in several places.
        (lambda _, y: (y[..., None] * torch.ones(2)).sum(2), "mul"),
    ],
    ids=["itself", "over itself", "a reciprocal", "a constant over it", "rounded", "a constant of larger shape"],
)  # fmt: skip
def test_products_and_quotients_of_another_kind_are_refused(
    how: Callable[[Between, Tensor], Tensor], named: str
) -> None:
    with pytest.raises(SteadyNetError, match=f"Between computes {named}, through which no rule"):
        weight_curvature(Between(how), Device(), (torch.randn(6, 4), torch.arange(6) % 3))


def test_the_last_layer_is_exact_and_ranked_behind_a_temperature_too() -> None:
    net, (x, y) = trained().double().eval(), images(60)
    cool = with_temperature(net, 3.0)
    loss = nn.functional.cross_entropy(cool(x.double()), y)
    weight = cool.get_parameter("fc.weight")
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    found = weight_curvature(cool, DEVICE, (x.double(), y))["fc.weight"]
    for row, column in ((0, 0), (1, 57), (2, 215)):
        (second,) = torch.autograd.grad(gradient[row, column], weight, retain_graph=True)
        assert math.isclose(float(found[row, column]), float(second[row, column]), rel_tol=1e-9)
    ranked = selective_write_verify(cool, DEVICE, (x.double(), y), (x.double(), y), nwc=[0.5], draws=2)
    assert {point.ranking for point in ranked.points} == {"sensitivity", "magnitude", "random"}


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"scale_grad_by_freq": True}, {"sparse": True}])
@pytest.mark.parametrize("behind", [False, True])
def test_an_embedding_of_one_token_is_exact(options: dict[str, int], behind: bool) -> None:
    torch.manual_seed(0)
    first = nn.Embedding(7, 4, **options)  # pyright: ignore[reportArgumentType]
    net = (nn.Sequential(first, nn.Linear(4, 3)) if behind else nn.Sequential(first)).double()
    tokens = torch.tensor([0, 2, 2, 6, 1, 2, 5, 5])
    found = weight_curvature(net, Device(), (tokens, tokens % 3), curvature=squared_error_curvature)
    expected = diagonal(lambda weight: net[1:](weight[tokens]), first.weight, tokens % 3)
    torch.testing.assert_close(found["0.weight"], expected)
    assert float(found["0.weight"][2].min()) > 0, "the padding's row is read as any other"


def test_an_embedding_may_be_given_by_name() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Embedding(7, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            return nn.functional.embedding(input=tokens, weight=self.rows.weight)

    net, tokens = ByName(), torch.tensor([0, 1, 1, 3])
    found = weight_curvature(net, Device(), (tokens, tokens % 3), curvature=squared_error_curvature)
    assert found["rows.weight"][:, 0].tolist() == [0.5, 1, 0, 0.5, 0, 0, 0]


def test_an_embedding_that_scales_its_rows_is_refused() -> None:
    net, tokens = nn.Sequential(nn.Embedding(7, 3, max_norm=1.0)), torch.arange(6)
    with pytest.raises(SteadyNetError, match="an embedding that shortens its weights in each forward"):
        weight_curvature(net, Device(), (tokens, tokens % 3))


def test_converters_are_refused_and_ranked_by_magnitude() -> None:
    net, data = trained(), images()
    copied = with_converters(net, DEVICE, data[0], Converters(8, 8))
    with pytest.raises(SteadyNetError, match="Small computes round, through which no rule"):
        selective_write_verify(copied, DEVICE, data, data, draws=2)
    found = selective_write_verify(copied, DEVICE, data, data, rankings=["magnitude"], nwc=[1.0], draws=2)
    assert found.points[0].accuracy.mean > 0.9
