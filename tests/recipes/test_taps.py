"""IRS taps a network where the semantics principle says, on any convolutional network, and only there."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from steadynet.errors import SteadyNetError
from steadynet.models import build
from steadynet.recipes import IRS
from steadynet.recipes.objective.heads import Heads
from steadynet.recipes.objective.taps import Tap, find_taps, named_taps
from steadynet.training.forwards import catch

CIFAR = torch.zeros(2, 3, 32, 32)


def model(name: str, size: int = 32) -> nn.Module:
    return build(name, classes=10, shape=(3, size, size), options={"width": 0.125})


def entering(network: nn.Module, module: str, example: Tensor, call: int = 0) -> Tensor:
    """Return what enters the run `call` of `module`, by a hook of the test's own."""
    seen: list[Tensor] = []
    handle = network.get_submodule(module).register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    with torch.no_grad():
        network(example)
    handle.remove()
    return seen[call]


def test_vgg8_has_the_papers_three_taps() -> None:
    network, example = model("vgg8"), torch.randn(2, 3, 32, 32)
    taps = find_taps(network, example)
    assert [(t.channels, t.size) for t in taps] == [(8, (32, 32)), (16, (16, 16)), (32, (8, 8))]
    assert [t.module for t in taps] == ["relu1", "pool1", "pool2"]
    caught = catch(network.eval(), {}, example, taps).features
    for feature, following in zip(caught, ("conv2", "conv3", "conv5"), strict=True):
        assert torch.equal(feature, entering(network, following, example))


def test_resnet18_has_the_papers_four_taps() -> None:
    network, example = model("resnet18"), torch.randn(2, 3, 32, 32)
    taps = find_taps(network, example)
    assert [t.module for t in taps] == ["relu", "layer1", "layer2", "layer3"]
    assert [(t.channels, t.size) for t in taps] == [
        (8, (32, 32)),
        (8, (32, 32)),
        (16, (16, 16)),
        (32, (8, 8)),
    ]
    caught = catch(network.eval(), {}, example, taps).features
    for feature, following in zip(
        caught, ("layer1.0.conv1", "layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1"), strict=True
    ):
        assert torch.equal(feature, entering(network, following, example))


@pytest.mark.parametrize(
    ("name", "last", "channels", "size"), [("resnet18", "layer4", 64, 4), ("vgg8", "pool3", 64, 4)]
)
def test_one_more_adds_the_last_block(name: str, last: str, channels: int, size: int) -> None:
    network = model(name)
    usual = find_taps(network, CIFAR)
    taps = find_taps(network, CIFAR, n=len(usual) + 1)
    assert taps[:-1] == usual
    assert (taps[-1].module, taps[-1].channels, taps[-1].size) == (last, channels, (size, size))


def test_the_last_block_is_itself_where_its_map_is_a_single_pixel() -> None:
    taps = find_taps(model("resnet18"), torch.zeros(2, 3, 8, 8), n=5)
    assert taps[-1].channels == 64
    assert taps[-1].size == (1, 1)


def test_a_smaller_n_takes_the_shallowest() -> None:
    network = model("resnet18")
    assert find_taps(network, CIFAR, n=2) == find_taps(network, CIFAR)[:2]


@pytest.mark.parametrize(
    ("name", "n", "message"),
    [
        ("vgg8", 5, r"IRS asks for n = 5 taps, VGG8 has 4: lower n"),
        ("resnet18", 6, r"IRS asks for n = 6 taps, ResNet18 has 5"),
    ],
)
def test_too_many_taps_are_refused(name: str, n: int, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        find_taps(model(name), CIFAR, n=n)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        ("resnet18", 4),  # stem with its max-pooling, layer1, layer2, layer3
        ("resnet50", None),
        ("vgg11", 3),
        ("mobilenet_v2", None),
        ("mobilenet_v3_small", None),
        ("squeezenet1_1", None),
        ("densenet121", None),
    ],
)
def test_torchvisions_networks_work(make: str, count: int | None) -> None:
    network: nn.Module = getattr(torchvision.models, make)(num_classes=4)
    example = torch.zeros(2, 3, 64, 64)
    taps = find_taps(network, example)
    assert len(taps) == count if count else len(taps) >= 3
    assert all(t.size[0] > 1 for t in taps), "a gate's or a classifier's pixel is no feature map"
    caught = catch(network.eval(), {}, example, taps).features
    assert [tuple(f.shape[1:]) for f in caught] == [(t.channels, *t.size) for t in taps]


def test_torchvisions_resnet18_is_tapped_at_its_layers() -> None:
    taps = find_taps(torchvision.models.resnet18(), torch.zeros(2, 3, 64, 64), n=5)
    assert [t.module for t in taps] == ["maxpool", "layer1", "layer2", "layer3", "layer4"]


def test_bottlenecks_are_one_path_without_their_shortcuts() -> None:
    # In ResNet-50 the projection of a stage reads what its first 1 × 1 convolution reads; only it is dropped.
    taps = find_taps(torchvision.models.resnet50(), torch.zeros(1, 3, 64, 64))
    assert not any("downsample" in t.module for t in taps)
    assert taps[0].module == "maxpool"


class Shared(nn.Module):
    """One ReLU and one pooling for all convolutions, as many networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.conv3 = nn.Conv2d(6, 8, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        x = self.pool(self.relu(self.conv3(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def test_a_module_that_runs_often_is_tapped_at_the_right_run() -> None:
    network, example = Shared(), torch.randn(2, 3, 16, 16)
    taps = find_taps(network, example, n=3)
    assert [(t.module, t.call, t.channels, t.size) for t in taps] == [
        ("pool", 0, 4, (8, 8)),
        ("pool", 1, 6, (4, 4)),
        ("pool", 2, 8, (2, 2)),
    ]
    caught = catch(network, {}, example, taps).features
    assert torch.equal(caught[0], entering(network, "conv2", example))
    assert torch.equal(caught[1], entering(network, "conv3", example))
    assert torch.equal(caught[2].mean((2, 3)), entering(network, "fc", example))


def test_a_named_module_that_runs_often_is_tapped_at_its_first_run() -> None:
    network, example = Shared(), torch.randn(2, 3, 16, 16)
    (tap,) = named_taps(network, example, ["pool"])
    assert (tap.channels, tap.size, tap.call) == (4, (8, 8), 0)
    assert torch.equal(catch(network, {}, example, [tap]).features[0], entering(network, "conv2", example))


class Repeated(nn.Module):
    """One convolution used twice, functional activations: no module hands the maps over."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.conv3 = nn.Conv2d(6, 4, 3, padding=1)
        self.fc = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x))
        logits: Tensor = self.fc(F.relu(self.conv2(x)).mean((2, 3)))
        return logits


def test_what_functions_hand_over_is_caught_where_it_enters() -> None:
    network, example = Repeated(), torch.randn(2, 3, 16, 16)
    taps = find_taps(network, example)
    assert taps == (
        Tap("conv2", "input", 4, (16, 16)),
        Tap("conv3", "input", 6, (8, 8)),
        Tap("conv2", "input", 4, (8, 8), call=1),
    )
    caught = catch(network, {}, example, taps).features
    assert torch.equal(caught[2], entering(network, "conv2", example, call=1))


def test_named_taps_are_taken_as_they_are_named() -> None:
    network = model("vgg8")
    taps = named_taps(network, CIFAR, ["conv4", "pool3"])
    assert [(t.module, t.where, t.channels, t.size) for t in taps] == [
        ("conv4", "output", 32, (16, 16)),
        ("pool3", "output", 64, (4, 4)),
    ]
    heads = IRS(taps=("conv4", "pool3")).setup(network, CIFAR, seed=0)
    assert isinstance(heads, Heads)
    assert heads.taps == taps


class Idle(nn.Module):
    """A network with a module that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.spare = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv(x).mean((2, 3)))
        return logits


@pytest.mark.parametrize(
    ("network", "names", "message"),
    [
        (model("vgg8"), ["pol2"], r"unknown IRS tap 'pol2': did you mean 'pool2'"),
        (model("vgg8"), [""], r"unknown IRS tap ''"),
        (model("vgg8"), ["fc1"], r"IRS tap 'fc1' gives \(2, 128\), no feature map \[B, C, H, W\]"),
        (Idle(), ["spare"], r"IRS tap 'spare' never runs in Idle: name another module"),
    ],
)
def test_named_taps_that_cannot_be_are_refused(network: nn.Module, names: list[str], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        named_taps(network, CIFAR, names)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)),
            r"IRS finds no convolution that runs in Sequential",
        ),
        (Idle(), r"IRS finds a single block of convolutions in Idle: name its taps by taps="),
    ],
)
def test_networks_without_blocks_are_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        find_taps(network, CIFAR)


def test_finding_taps_leaves_the_network_as_it_was() -> None:
    network = model("vgg8").train()
    network.get_submodule("bn3").eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    IRS().setup(network, torch.randn(2, 3, 32, 32), seed=0)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_tap_that_does_not_run_is_told() -> None:
    with pytest.raises(SteadyNetError, match=r"tapped modules \['spare'\] did not run"):
        catch(Idle(), {}, CIFAR, [Tap("spare", "output", 4, (30, 30))])
