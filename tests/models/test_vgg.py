"""VGG-8 is the paper's: its layers, shapes, parameters and initial weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.models.vgg import VGG8

LAYERS = (
    "conv bn relu conv bn relu pool conv bn relu conv bn relu pool conv bn relu conv bn relu pool fc relu fc"
)
KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "bn",
    nn.ReLU: "relu",
    nn.MaxPool2d: "pool",
    nn.Linear: "fc",
}


def shapes(model: nn.Module, image: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """What each layer gives, in the order in which they run."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    for module in model.modules():
        if type(module) in KINDS:
            module.register_forward_hook(
                lambda m, _, out: seen.append((KINDS[type(m)], tuple(out.shape[1:])))
            )
    model.eval()(image)
    return seen


def test_its_layers_run_in_the_papers_order_and_shapes() -> None:
    seen = shapes(VGG8(), torch.zeros(1, 3, 32, 32))
    assert " ".join(kind for kind, _ in seen) == LAYERS
    assert [shape for kind, shape in seen if kind in ("conv", "pool", "fc")] == [
        (64, 32, 32),
        (128, 32, 32),
        (128, 16, 16),
        (256, 16, 16),
        (256, 16, 16),
        (256, 8, 8),
        (512, 8, 8),
        (512, 8, 8),
        (512, 4, 4),
        (1024,),
        (10,),
    ]


def test_its_parameters_are_counted_by_hand() -> None:
    model = VGG8()
    sizes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert sizes["fc1.weight"] == (1024, 8192)
    assert sizes["conv1.weight"] == (64, 3, 3, 3)
    assert not any(name.startswith("conv") and name.endswith("bias") for name in sizes)
    convolutions = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
    norms = 2 * (64 + 128 + 256 + 256 + 512 + 512)
    linear = 8192 * 1024 + 1024 + 1024 * 10 + 10
    assert sum(weight.numel() for weight in model.parameters()) == convolutions + norms + linear == 12_902_474


def test_its_output_is_that_of_plain_functions() -> None:
    model = VGG8(width=0.125, classes=7, in_channels=2, input_size=16, seed=5).eval()
    images = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    w = model.state_dict()
    for index in range(1, 7):
        w[f"bn{index}.running_mean"].uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(index))
        w[f"bn{index}.running_var"].uniform_(0.5, 2, generator=torch.Generator().manual_seed(index))
    x = images
    for index in range(1, 7):
        x = F.conv2d(x, w[f"conv{index}.weight"], padding=1)
        mean, var = (w[f"bn{index}.running_{key}"].view(1, -1, 1, 1) for key in ("mean", "var"))
        x = F.relu((x - mean) / (var + 1e-5).sqrt())
        if index % 2 == 0:
            x = F.max_pool2d(x, 2)
    x = F.relu(x.reshape(3, -1) @ w["fc1.weight"].T + w["fc1.bias"])
    expected = x @ w["fc2.weight"].T + w["fc2.bias"]
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("width", "expected"), [(0.25, 16), (0.1, 6), (2, 128), (0.001, 1)])
def test_width_multiplies_every_channel(width: float, expected: int) -> None:
    channels = [max(1, round(c * width)) for c in (64, 128, 256, 256, 512, 512)]
    model = VGG8(width=width, input_size=8)
    assert channels[0] == expected
    assert [model.get_submodule(f"conv{i}").out_channels for i in range(1, 7)] == channels
    assert model.fc1.out_features == max(1, round(1024 * width))


@pytest.mark.parametrize("size", [8, 9, 16, 23, 28, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_of_eight_pixels_and_more_fits(size: int, channels: int) -> None:
    model = VGG8(classes=4, in_channels=channels, input_size=size, width=0.05).eval()
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 4)
    assert model.fc1.in_features == round(512 * 0.05) * (size // 8) ** 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "classes must be an integer ≥ 2, got 1"),
        ({"in_channels": 0}, "in_channels must be an integer ≥ 1, got 0"),
        ({"input_size": 7}, "VGG8 halves an image three times: input_size must be at least 8, got 7"),
        ({"input_size": 32.0}, "input_size must be an integer ≥ 1, got 32.0"),
        ({"input_size": "32"}, "input_size must be an integer ≥ 1, got '32'"),
        ({"width": 0}, "width must be a finite number > 0, got 0"),
        ({"width": float("nan")}, "width must be a finite number > 0, got nan"),
    ],
)
def test_what_it_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        VGG8(**options)
