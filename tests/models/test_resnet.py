"""ResNet-18 is the CIFAR form: stem, stages, shortcuts, shapes and parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from steadynet.errors import SteadyNetError
from steadynet.models.resnet import BasicBlock, ResNet18

STAGES = ("layer1", "layer2", "layer3", "layer4")


def test_its_stages_have_the_cifar_forms_shapes() -> None:
    model = ResNet18().eval()
    seen: dict[str, tuple[int, ...]] = {}
    for name in ("conv", *STAGES, "pool", "fc"):

        def note(_m: Any, _i: Any, output: Tensor, name: str = name) -> None:
            seen[name] = tuple(output.shape[1:])

        model.get_submodule(name).register_forward_hook(note)
    model(torch.zeros(1, 3, 32, 32))
    assert seen == {
        "conv": (64, 32, 32),
        "layer1": (64, 32, 32),
        "layer2": (128, 16, 16),
        "layer3": (256, 8, 8),
        "layer4": (512, 4, 4),
        "pool": (512, 1, 1),
        "fc": (10,),
    }
    assert (model.conv.kernel_size, model.conv.stride, model.conv.bias) == ((3, 3), (1, 1), None)


def test_its_parameters_are_counted_by_hand() -> None:
    stem = 9 * 3 * 64 + 2 * 64
    total = stem + 512 * 10 + 10
    incoming = 64
    for channels in (64, 128, 256, 512):
        total += 9 * incoming * channels + 3 * 9 * channels * channels + 4 * 2 * channels
        if incoming != channels:
            total += incoming * channels + 2 * channels
        incoming = channels
    model = ResNet18()
    assert sum(weight.numel() for weight in model.parameters()) == total == 11_173_962
    assert not any(name.endswith("bias") and "conv" in name for name, _ in model.named_parameters())


def test_shortcuts_are_projected_exactly_where_the_shape_changes() -> None:
    model = ResNet18(width=0.1)
    for index, stage in enumerate(STAGES):
        blocks = [block for block in model.get_submodule(stage).children() if isinstance(block, BasicBlock)]
        assert len(blocks) == 2
        projected = [any(True for _ in block.shortcut.parameters()) for block in blocks]
        assert projected == [index > 0, False]


def normed(x: Tensor, weights: dict[str, Tensor], place: str) -> Tensor:
    mean, var = (weights[f"{place}.running_{key}"].view(1, -1, 1, 1) for key in ("mean", "var"))
    return (x - mean) / (var + 1e-5).sqrt()


def test_its_output_is_that_of_plain_functions() -> None:
    model = ResNet18(classes=7, in_channels=2, width=0.1, seed=5).eval()
    w = model.state_dict()
    for index, (name, value) in enumerate(w.items()):
        generator = torch.Generator().manual_seed(index)
        if name.endswith("running_mean"):
            value.uniform_(-0.1, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
    images = torch.randn(3, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    x = F.relu(normed(F.conv2d(images, w["conv.weight"], padding=1), w, "bn"))
    for stage in STAGES:
        for block in (0, 1):
            place = f"{stage}.{block}"
            stride = 2 if stage != "layer1" and block == 0 else 1
            y = F.conv2d(x, w[f"{place}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(F.relu(normed(y, w, f"{place}.bn1")), w[f"{place}.conv2.weight"], padding=1)
            y = normed(y, w, f"{place}.bn2")
            if f"{place}.shortcut.0.weight" in w:
                x = normed(
                    F.conv2d(x, w[f"{place}.shortcut.0.weight"], stride=stride), w, f"{place}.shortcut.1"
                )
            x = F.relu(x + y)
    expected = x.mean((2, 3)) @ w["fc.weight"].T + w["fc.bias"]
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (20, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_fits(size: tuple[int, int], channels: int) -> None:
    model = ResNet18(classes=4, in_channels=channels, input_size=size[0], width=0.05).eval()
    assert model(torch.zeros(2, channels, *size)).shape == (2, 4)


@pytest.mark.parametrize("width", [0.25, 0.1, 0.001])
def test_width_multiplies_every_channel(width: float) -> None:
    model = ResNet18(width=width)
    channels = [max(1, round(c * width)) for c in (64, 128, 256, 512)]
    assert model.conv.out_channels == channels[0]
    assert [model.get_submodule(f"{stage}.1.conv2").out_channels for stage in STAGES] == channels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "classes must be an integer ≥ 2, got 1"),
        ({"in_channels": 0}, "in_channels must be an integer ≥ 1"),
        ({"input_size": 0}, "input_size must be an integer ≥ 1, got 0"),
        ({"width": -1}, "width must be a finite number > 0, got -1"),
    ],
)
def test_what_it_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        ResNet18(**options)
