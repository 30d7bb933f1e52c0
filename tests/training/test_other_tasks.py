"""Tasks other than classification: any targets with a loss of the user's own, the epoch chosen by the least noisy loss."""

from __future__ import annotations

import csv
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, TensorDataset

import steadynet as sn
from steadynet.errors import SteadyNetError
from steadynet.loader import Loader
from steadynet.training.loss import cross_entropy, name_of
from training.small import CPU, DEVICE


def line(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(96, 8, generator=generator)
    return x, x @ torch.arange(8.0)[:, None] + 3


def linear() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(8, 1)


def fit(data: Any, loss: Any = F.mse_loss, net: nn.Module | None = None, **options: Any) -> Any:
    words = {
        "recipe": "noise",
        "epochs": 12,
        "lr": 0.2,
        "batch_size": 32,
        "hardware": CPU,
        "val_draws": 2,
        **options,
    }
    recipe = words.pop("recipe")
    return sn.fit(net or linear(), recipe, DEVICE, data, data, loss=loss, **words)


@pytest.mark.parametrize("form", ["pair", "data set"])
def test_a_regression_keeps_the_epoch_of_least_noisy_loss(form: str, tmp_path: Path) -> None:
    net, (x, y) = linear(), line()
    before = float(F.mse_loss(net(x), y).detach())
    result = fit((x, y) if form == "pair" else TensorDataset(x, y), net=net, out=tmp_path / "run")
    noisy = [row["val_loss_noisy"] for row in result.history]
    assert result.best_epoch == noisy.index(min(noisy)) > 0
    assert math.isnan(result.best_accuracy)
    assert float(F.mse_loss(net(x), y).detach()) < 0.2 * before
    # The clean loss of that epoch is the mean squared error of the weights that are kept, as they are programmed.
    weights = sn.program(net, DEVICE.at(0.0))
    assert result.history[result.best_epoch]["val_loss"] == pytest.approx(
        float(F.mse_loss(net(x), y).detach()), rel=1e-4
    )
    assert set(weights) == {"weight"}
    with (tmp_path / "run" / "history.csv").open() as file:
        assert [float(row["val_loss_noisy"]) for row in csv.DictReader(file)] == pytest.approx(noisy)


def test_several_labels_each_are_trained_by_their_own_loss() -> None:
    x = line()[0]
    result = fit((x, (x[:, :4] > 0).float()), F.binary_cross_entropy_with_logits, nn.Linear(8, 4))
    assert result.history[-1]["val_loss"] < 0.5 * result.history[0]["val_loss"] + 0.2
    integers = fit(
        (x, (x[:, :4] > 0).long()),
        lambda o, t: F.binary_cross_entropy_with_logits(o, t.float()),
        nn.Linear(8, 4),
    )
    assert integers.history[-1]["val_loss"] == pytest.approx(result.history[-1]["val_loss"], abs=0.2)


def test_class_numbers_are_judged_by_accuracy_whatever_the_loss() -> None:
    x = line()[0]
    result = fit(
        (x, (x[:, 0] > 0).long()), lambda o, t: F.cross_entropy(o, t, label_smoothing=0.1), nn.Linear(8, 2)
    )
    assert result.best_accuracy == max(row["val_accuracy_noisy"] for row in result.history)


def test_numbers_that_are_no_classes_are_judged_by_their_loss() -> None:
    # Counts of one output, and integers beyond the number of outputs: an accuracy of them would mean nothing.
    x = line()[0]
    counts = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()

    def poisson(output: Tensor, targets: Tensor) -> Tensor:
        return F.poisson_nll_loss(output[:, 0], targets.float())

    for outputs in (1, 2):
        result = fit((x, counts), poisson, nn.Linear(8, outputs), epochs=3, lr=0.02)
        assert math.isnan(result.best_accuracy)
        noisy = [row["val_loss_noisy"] for row in result.history]
        assert result.best_epoch == noisy.index(min(noisy))


@pytest.mark.parametrize("classifies", [None, False, True])
def test_whether_accuracy_chooses_can_be_said(classifies: bool | None) -> None:
    # Class numbers may be used for something else than to be told apart by the largest output.
    x = line()[0]

    def apart(output: Tensor, targets: Tensor) -> Tensor:
        return (output[targets == 0].mean(0) - output[targets == 1].mean(0)).square().sum().neg().exp()

    result = fit((x, (x[:, 0] > 0).long()), apart, nn.Linear(8, 4), epochs=2, classifies=classifies)
    assert ("val_loss" in result.history[0]) == (classifies is False)
    assert math.isnan(result.best_accuracy) == (classifies is False)


class Wrapped(nn.Linear):
    def forward(self, input: Tensor) -> Any:
        return super().forward(input), input


def frozen() -> nn.Module:
    return nn.Linear(8, 2).requires_grad_(False)


class Named(Dataset[Any]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, place: int) -> Any:
        return torch.ones(8), {"y": torch.tensor(0)}


@pytest.mark.parametrize(
    ("net", "data", "loss", "message"),
    [
        (Wrapped(8, 2), None, F.mse_loss, r"Wrapped returns tuple, not one tensor: wrap it"),
        (nn.Linear(8, 2), Named(), F.mse_loss, r"targets must be one tensor"),
        (
            nn.Linear(8, 1),
            None,
            lambda o, t: (o - t).square(),
            r"a loss must be a tensor of one number, got shape \(2, 1\)",
        ),
        (nn.Linear(8, 1), None, lambda o, t: 1.0, r"a loss must be a tensor of one number, got type float"),
        (nn.Linear(8, 1), TensorDataset(*line()), cross_entropy, r"give one class number each as integers"),
        (frozen(), None, F.mse_loss, r"no parameter of Linear requires a gradient"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    net: nn.Module, data: Any, loss: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SteadyNetError, match=message):
        fit(line() if data is None else data, loss, net, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def weighed(output: Tensor, targets: Tensor, base: Any) -> Tensor:
    return 2 * base(output, targets)


def test_a_loss_of_class_numbers_is_asked_in_training_alone() -> None:
    # One that takes a gradient itself can be asked nowhere else.
    def sharp(output: Tensor, targets: Tensor) -> Tensor:
        loss = F.cross_entropy(output, targets)
        return loss + torch.autograd.grad(loss, output, create_graph=True)[0].square().sum()

    x = line()[0]
    result = fit((x, (x[:, 0] > 0).long()), sharp, nn.Linear(8, 2), epochs=2)
    assert set(result.history[0]) >= {"val_accuracy", "val_accuracy_noisy"}


def test_a_training_does_not_go_on_by_another_loss(tmp_path: Path) -> None:
    for again, resume in ((F.mse_loss, False), (F.mse_loss, True)):
        fit(line(), again, out=tmp_path / "run", resume=resume)
    # Its arguments count, and tell themselves alike in every process.
    by_parts = partial(weighed, base=F.mse_loss)
    assert "0x" not in name_of(partial(by_parts, (F.l1_loss, torch.ones(2), object())))
    assert name_of(by_parts) != name_of(partial(weighed, base=F.l1_loss))
    for other in (F.l1_loss, nn.MSELoss(), partial(F.mse_loss, reduction="sum"), by_parts):
        with pytest.raises(SteadyNetError, match="loss"):
            fit(line(), other, out=tmp_path / "run", resume=True)
    x = line()[0]
    data = (x, (x[:, 0] > 0).long())
    fit(data, F.cross_entropy, nn.Linear(8, 2), epochs=2, out=tmp_path / "classes")
    with pytest.raises(SteadyNetError, match="loss"):
        fit(data, cross_entropy, nn.Linear(8, 2), epochs=2, out=tmp_path / "classes", resume=True)


def test_a_recipe_that_divides_outputs_warns_where_they_are_no_classes() -> None:
    for recipe in ("steady", "ovf"):
        with pytest.warns(
            UserWarning, match=r"divides outputs in the loss, so the trained network's own are as much larger"
        ):
            fit(line(), recipe=recipe, epochs=1)


def test_targets_that_are_no_classes_are_refused_without_a_loss() -> None:
    x, y = line()
    with pytest.raises(
        SteadyNetError, match=r"are torch.float32: give class numbers as integers, or a loss=… of your own"
    ):
        sn.fit(linear(), "noise", DEVICE, (x, y), (x, y))


def test_a_recipe_by_its_name_is_that_recipe_and_a_device_is_no_name() -> None:
    x = line()[0]
    data = (x, (x[:, 0] > 0).long())
    options: dict[str, Any] = {"epochs": 1, "hardware": CPU}
    one, two = nn.Linear(8, 2), nn.Linear(8, 2)
    two.load_state_dict(one.state_dict())
    sn.fit(one, "noise-t4", DEVICE, data, data, **options)
    sn.fit(two, sn.recipe("noise-t4"), DEVICE, data, data, **options)
    assert torch.equal(one.weight, two.weight)
    with pytest.raises(SteadyNetError, match="unknown recipe 'stedy': did you mean 'steady'"):
        sn.fit(one, "stedy", DEVICE, data, data)
    with pytest.raises(SteadyNetError, match="recipe must be a Recipe or the name of one, got 3"):
        sn.fit(one, 3, DEVICE, data, data)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SteadyNetError, match=r"device must be a Device, got 'rram4': sn.named_device"):
        sn.fit(one, "noise", "rram4", data, data)  # pyright: ignore[reportArgumentType]


class Two(nn.Module):
    """A network of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.left, self.right = nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.left(x) + self.right(y)
        return out


def test_several_inputs_may_be_a_pair_of_tensors_too() -> None:
    x = line()[0]
    labels = (x[:, 0] > 0).long()
    for inputs in ((x, x.flip(0)), {"x": x, "y": x.flip(0)}):
        result = sn.fit(
            Two(),
            "noise",
            DEVICE,
            (inputs, labels),
            (inputs, labels),
            epochs=10,
            lr=0.1,
            batch_size=32,
            hardware=CPU,
        )
        assert result.best_accuracy > 0.8
    with pytest.raises(SteadyNetError, match="training data has 96 inputs and 95 labels"):
        sn.fit(Two(), "noise", DEVICE, ((x, x), labels[:-1]), ((x, x), labels))


class Triples(Dataset[Any]):
    """Items of three parts."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return torch.zeros(8), torch.zeros(8), 0


def test_items_that_are_no_pairs_are_refused_in_one_line() -> None:
    x = line()[0]
    labels = (x[:, 0] > 0).long()
    with pytest.raises(
        SteadyNetError, match=r"items of 3 tensors: give \(input, label\) each, .*\(\(x, y\), labels\)"
    ):
        sn.fit(Two(), "noise", DEVICE, TensorDataset(x, x, labels), (x, labels))
    with pytest.raises(SteadyNetError, match=r"must be \(input, label\), these are 3 parts"):
        next(iter(Loader(Triples(), batch_size=2)))


def test_an_epoch_whose_validation_is_nan_is_never_the_best() -> None:
    looked = 0

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        nonlocal looked
        value = F.mse_loss(output, targets)
        if torch.is_grad_enabled():
            return value
        looked += 1
        return value * (math.nan if looked <= of_two_epochs else 1.0)

    of_two_epochs = 10**9
    none = fit(line(), loss, epochs=2)
    assert none.best_epoch == -1, "the weights are those of the last"
    of_two_epochs, looked = looked, 0
    found = fit(line(), loss, epochs=5)
    noisy = [row["val_loss_noisy"] for row in found.history]
    assert [math.isnan(value) for value in noisy] == [True, True, False, False, False]
    assert found.best_epoch == 2 + min(range(3), key=lambda epoch: noisy[2 + epoch])
