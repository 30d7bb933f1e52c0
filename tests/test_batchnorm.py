"""BatchNorm folded into the weights: what is found, what is held, and that a folded network is the same chip."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cli.processes import SMALL
from steadynet.batchnorm import fold_batchnorm, folded_pairs
from steadynet.chip import program
from steadynet.chip import run as compute
from steadynet.cli.main import main
from steadynet.deploy import levels_of, worst_case, write_verify
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.models import build
from steadynet.montecarlo import monte_carlo
from steadynet.nvm.device import Device
from steadynet.nvm.effects.read import Read
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import recipe
from steadynet.training import fit

DEVICE = Device(variation=Gaussian(0.2), fold_bn=True)


class Net(nn.Module):
    """Layers with a norm behind them, and two norms that cannot be folded: one of a sum, one of a shared output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, groups=2)
        self.bn = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 3, 2, bias=False)
        self.bn_up = nn.BatchNorm2d(3, affine=False)
        self.fc = nn.Linear(3, 5)
        self.bn_fc = nn.BatchNorm1d(5)
        self.split = nn.Linear(5, 5)
        self.bn_split = nn.BatchNorm1d(5)
        self.bn_sum = nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv(x)))
        x = torch.relu(self.bn_up(self.up(x))).mean((2, 3))
        x = self.bn_fc(self.fc(x))
        y = self.split(x)
        logits: Tensor = self.bn_sum(self.bn_split(y) + y)
        return logits


def net(seed: int = 0) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Net().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean = torch.randn(module.num_features)
                module.running_var = torch.rand(module.num_features) + 0.2
                if module.affine:
                    with torch.no_grad():
                        module.weight.copy_(torch.randn(module.num_features))
                        module.bias.copy_(torch.randn(module.num_features))
    return model


INPUTS = torch.linspace(-2, 2, 6 * 2 * 25).view(6, 2, 5, 5)


def test_the_pairs_are_those_that_can_be_folded() -> None:
    assert folded_pairs(net()) == {"conv.weight": "bn", "up.weight": "bn_up", "fc.weight": "bn_fc"}
    norms = {tensor.name: tensor.norm for tensor in layout(net(), DEVICE)}
    assert norms == {"conv.weight": "bn", "up.weight": "bn_up", "fc.weight": "bn_fc", "split.weight": None}
    for name, convolutions in (("vgg8", 6), ("resnet18", 20), ("cnn", 3)):
        assert (
            len(folded_pairs(build(name, classes=3, shape=(1, 8, 8), options={"width": 0.125})))
            == convolutions
        )


def test_a_folded_network_computes_the_same_and_leaves_the_other_alone() -> None:
    model = net()
    before = copy.deepcopy(model.state_dict())
    folded = fold_batchnorm(model)
    torch.testing.assert_close(folded(INPUTS), model(INPUTS), rtol=1e-4, atol=1e-5)
    assert isinstance(folded.get_submodule("bn"), nn.Identity)
    assert isinstance(folded.get_submodule("bn_split"), nn.BatchNorm1d)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("scale", ["tensor", "channel", "tile"])
@pytest.mark.parametrize("variation", [Gaussian(0.2), Gaussian(0.2) + Read(0.05)], ids=str)
def test_its_chip_is_that_of_the_folded_network(scale: Any, variation: Any) -> None:
    model, device = net(), dataclasses.replace(DEVICE, scale=scale, variation=variation, tile=(8, 8))
    chip = program(model, device, seed=3, draw=5)
    folded = fold_batchnorm(model)
    plain = dataclasses.replace(device, fold_bn=False)
    other = program(folded, plain, seed=3, draw=5)
    with torch.no_grad():
        found, expected = compute(model, chip, INPUTS), compute(folded, other, INPUTS)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
        unfolded = compute(model, program(model, plain, seed=3, draw=5), INPUTS)
        if scale == "tensor":
            assert not torch.allclose(found, unfolded, rtol=0.05, atol=0.05), (
                "other errors than without folding"
            )
    data = INPUTS, torch.arange(6) % 5
    one, two = (
        monte_carlo(model, device, data, draws=5, seed=1),
        monte_carlo(folded, plain, data, draws=5, seed=1),
    )
    assert one.nll.values == pytest.approx(two.nll.values, rel=1e-3)


def test_a_channel_that_the_norm_silences_is_taken_as_it_is() -> None:
    """Its weights, which a folded network does not have, must not set the size of the others' errors."""
    model = net()
    with torch.no_grad():
        model.bn.weight[1] = 0.0
        model.conv.weight[1] *= 100
    assert torch.equal(program(model, DEVICE)["conv.weight"][1], model.conv.weight[1])
    chip = program(model, DEVICE)["conv.weight"]
    folded = program(fold_batchnorm(model), dataclasses.replace(DEVICE, fold_bn=False))["conv.weight"]
    scale = model.bn.weight / (model.get_buffer("bn.running_var") + model.bn.eps).sqrt()
    assert bool(chip.isfinite().all())
    for channel in (0, 2, 3):
        torch.testing.assert_close(chip[channel] * scale[channel], folded[channel])
    # The folded network's devices err there, and the norm's 0 would hide it.
    data = INPUTS, torch.arange(6) % 5
    with pytest.raises(SteadyNetError, match="bn multiplies 1 of its channels by 0, which hides the errors"):
        monte_carlo(model, DEVICE, data, draws=2)
    folded_device = dataclasses.replace(DEVICE, fold_bn=False)
    assert len(monte_carlo(fold_batchnorm(model), folded_device, data, draws=2).accuracy.values) == 2


class Residual(nn.Module):
    """A block whose last norm starts at 0, as those of many ResNets do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.one, self.bn_one = nn.Linear(8, 8), nn.BatchNorm1d(8)
        self.two, self.bn_two = nn.Linear(8, 8), nn.BatchNorm1d(8)
        nn.init.zeros_(self.bn_two.weight)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        y = self.bn_two(self.two(torch.relu(self.bn_one(self.one(x)))))
        logits: Tensor = self.fc(torch.relu(x + y))
        return logits


def test_a_branch_whose_norm_starts_at_nothing_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=generator)
    data = x, (x.prod(1) > 0).long()
    model = Residual()
    before = model.two.weight.clone()
    fit(model, recipe("noise"), DEVICE.at(0.1), data, data, epochs=2, batch_size=20, progress=False)
    assert float(model.bn_two.weight.detach().abs().min()) > 1e-4
    assert float((model.two.weight - before).detach().abs().max()) > 1e-3


def test_a_weight_that_is_computed_can_be_folded() -> None:
    from torch.nn.utils.parametrizations import weight_norm

    model = nn.Sequential(weight_norm(nn.Conv2d(2, 4, 3)), nn.BatchNorm2d(4)).eval()
    model.get_buffer("1.running_mean").normal_()
    x = torch.randn(2, 2, 5, 5)
    folded = fold_batchnorm(model)
    torch.testing.assert_close(folded(x), model(x))
    assert {name for name, _ in folded.named_parameters()} == {"0.weight", "0.bias"}
    # The network itself stays as it is.
    assert "0.parametrizations.weight.original0" in dict(model.named_parameters())


def test_training_sees_it_and_gradients_reach_the_weights() -> None:
    model = net().train()
    chip = program(model, DEVICE)
    compute(model, chip, INPUTS).square().sum().backward()
    assert model.conv.weight.grad is not None
    assert bool(model.conv.weight.grad.any())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 2, 5, 5, generator=generator)
    data = x, (x.mean((1, 2, 3)) > 0).long()
    trained = net()
    for name in ("noise", "steady", "irs"):
        start = (
            build("cnn", classes=2, shape=(2, 8, 8), options={"width": 0.25}) if name == "irs" else trained
        )
        own = (torch.randn(80, 2, 8, 8, generator=generator), data[1]) if name == "irs" else data
        fit(start, recipe(name), DEVICE.at(0.1), own, own, epochs=2, batch_size=20, progress=False)


def test_it_is_handed_over_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--recipe", "noise", "--epochs", "1", "--sigma-d", "0.2", "--fold-bn", "--path", "device")
    assert main(["train", *SMALL, *words, "--out", "r"]) == 0
    assert main(["export", "r", "--chips", "0", "--out", "x"]) == 0
    assert main(["evaluate", "r", "--sigma-d", "0.2", "--draws", "1", "--no-progress", "--out", "e"]) == 0
    assert main(["import", "x/chip-0.npz", "--run", "r", "--json", "i.json"]) == 0
    told = json.loads((tmp_path / "i.json").read_text())["networks"]["chip-0.npz"]["accuracy"]
    rows = json.loads((tmp_path / "e" / "results.json").read_text())["rows"]
    assert told == pytest.approx(rows[0]["accuracy_values"][0])


class OwnConv(nn.Conv2d):
    """A user's own class that computes what its base does."""


class Activated(nn.BatchNorm2d):
    """A norm with more behind it, as libraries have."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.relu(super().forward(input))


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.bn(input=self.conv(x)).mean((2, 3))
        return logits


def test_pairs_are_found_whatever_classes_and_calls_they_are_made_of() -> None:
    own = nn.Sequential(OwnConv(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), OwnConv(3, 2, 1), nn.BatchNorm2d(2))
    assert folded_pairs(own) == {"0.weight": "1", "3.weight": "4"}
    assert folded_pairs(ByKeyword()) == {"conv.weight": "bn"}
    for model in (own.eval(), ByKeyword().eval()):
        torch.testing.assert_close(fold_batchnorm(model)(INPUTS), model(INPUTS))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.bn(self.conv(x)).mean((2, 3))
        return logits if logits.sum() > 0 else -logits


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Branching(), "Branching cannot be traced to find what BatchNorm follows"),
        (nn.Sequential(nn.Linear(3, 2)), "Sequential has no BatchNorm right behind"),
        (
            nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)),
            "1 keeps no running statistics",
        ),
        (
            nn.Sequential(nn.ConvTranspose1d(4, 4, 2, groups=2), nn.BatchNorm1d(4)),
            "0 is a grouped transposed convolution",
        ),
        (
            nn.Sequential(nn.Conv2d(2, 3, 1), Activated(3)),
            "1 is a Activated, which computes more than the BatchNorm2d",
        ),
    ],
)
def test_what_cannot_be_folded_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        layout(model, DEVICE)
    with pytest.raises(SteadyNetError, match=message):
        fold_batchnorm(model)


def test_what_hands_over_takes_folded_networks_alone() -> None:
    data = INPUTS, torch.arange(6) % 5
    for call in (
        lambda: levels_of(net(), DEVICE),
        lambda: write_verify(net(), DEVICE),
        lambda: worst_case(net(), DEVICE, data),
    ):
        with pytest.raises(SteadyNetError, match="fold it for good first"):
            call()
    with pytest.raises(SteadyNetError, match="fold_bn must be True or False, got 1"):
        Device(fold_bn=1)  # type: ignore[arg-type]


class Sequence(nn.Module):
    """A linear layer on [N, L, C], whose norm goes over L."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 5)
        self.bn = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.fc(x)).mean(1)


class Shared(nn.Module):
    """Two layers of one weight, each with a norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.na, self.nb = nn.BatchNorm1d(4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.nb(self.b(torch.relu(self.na(self.a(x)))))


def test_a_norm_of_another_dimension_is_not_folded() -> None:
    with pytest.raises(SteadyNetError, match="bn normalises another dimension than the outputs of fc"):
        fold_batchnorm(Sequence())


def test_one_weight_before_two_norms_is_refused() -> None:
    with pytest.raises(SteadyNetError, match=r"a.weight is tied to b.weight, and BatchNorm behind them"):
        layout(Shared(), DEVICE)
