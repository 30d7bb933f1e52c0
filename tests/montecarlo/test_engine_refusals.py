"""Monte Carlo refuses what it cannot evaluate, in a line that names the mend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import steadynet as sn
from montecarlo.slow_loop import images, net
from steadynet.montecarlo.metrics import measure

DEVICE = sn.Device(variation=sn.Gaussian(sigma_d=0.2))


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from ()


def data(labels: list[int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = images(6)
    return x, y if labels is None else torch.tensor(labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws must be an integer ≥ 1, got 0"),
        ({"draws": -3}, "draws must be an integer ≥ 1, got -3"),
        ({"draws": 2.0}, r"draws must be an integer ≥ 1, got 2\.0"),
        ({"draws": True}, "draws must be an integer ≥ 1, got True"),
        ({"first_draw": -1}, "first_draw must be an integer ≥ 0"),
        ({"batch_size": 0}, "batch_size must be an integer ≥ 1"),
        ({"seed": -1}, "seed must be an integer ≥ 0"),
        ({"stream": "tests"}, "unknown stream 'tests': did you mean 'test'"),
    ],
)
def test_a_number_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(sn.SteadyNetError, match=message):
        sn.monte_carlo(net(), DEVICE, data(), **{"draws": 1, **options})


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (data([0, 1, 2, 3, 4, 0]), "labels run from 0 to 4, the network has classes 0 to 3"),
        (data([0, -1, 2, 3, 0, 0]), "labels run from -1 to 3"),
        (data([0, 1]), "6 inputs and 2 labels"),
        ((data()[0], data()[1].double()), "float64: give class numbers as integers"),
        ((data()[0], nn.functional.one_hot(data()[1], 4)), r"shape \(6, 4\): give one class number each"),
        ((data()[0][:0], data()[1][:0]), "data is empty"),
        (DataLoader(TensorDataset(*data())), "not a DataLoader: pass loader.dataset"),
        (Stream(), "iterable one has no order"),
        (data()[0], "must be a map-style dataset or a pair of tensors"),
        (None, "must be a map-style dataset or a pair of tensors.*NoneType"),
        (
            TensorDataset(data()[0], data()[1].double()),
            "labels must be one class number each, got torch.float64",
        ),
        (TensorDataset(data()[0], nn.functional.one_hot(data()[1], 4)), "one class number each.*shape"),
    ],
)
def test_data_that_cannot_be_scored_is_refused(test: Any, message: str) -> None:
    model = net().train()
    with pytest.raises(sn.SteadyNetError, match=message):
        sn.monte_carlo(model, DEVICE, test, draws=1)
    assert model.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["0.weight", "5.bias", "1.running_mean"])
def test_weights_and_statistics_that_are_not_finite_are_refused_by_name(value: float, name: str) -> None:
    model = net()
    model.state_dict()[name].view(-1)[0] = value
    with pytest.raises(sn.SteadyNetError, match=rf"{name} of Sequential holds 1 NaN or infinite"):
        sn.monte_carlo(model, DEVICE, data(), draws=1)


def test_a_network_without_a_weight_for_devices_is_refused() -> None:
    with pytest.raises(sn.SteadyNetError, match="no weight that lies on devices"):
        sn.monte_carlo(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36).double()), DEVICE, data(), draws=1)


def test_an_output_that_is_not_finite_is_refused() -> None:
    class Roots(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(36, 4).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x.flatten(1)).sqrt()

    with pytest.raises(sn.SteadyNetError, match="output is NaN or infinite"):
        sn.monte_carlo(Roots(), DEVICE, data(), draws=1)


@pytest.mark.parametrize("shape", [(6,), (5, 4), (6, 4, 2)])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(sn.SteadyNetError, match=r"logits must be \[6, classes\]"):
        measure(torch.zeros(shape), torch.zeros(6, dtype=torch.int64))
