"""The small network for small images: shapes, parameters, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from steadynet.errors import SteadyNetError
from steadynet.models.cnn import CNN


def test_its_parameters_are_counted_by_hand() -> None:
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 64)
    norms = 2 * (16 + 32 + 64)
    linear = 64 * 4 * 4 * 128 + 128 + 128 * 10 + 10
    assert sum(weight.numel() for weight in CNN().parameters()) == convolutions + norms + linear == 155_898


def test_its_output_is_that_of_plain_functions() -> None:
    model = CNN(classes=5, in_channels=2, input_size=9, width=0.5, seed=3).eval()
    images = torch.randn(3, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    w = model.state_dict()
    x = images
    for index, place in enumerate((0, 3, 7)):
        x = F.relu(F.conv2d(x, w[f"features.{place}.weight"], padding=1) / (1 + 1e-5) ** 0.5)
        if index == 1:
            x = F.max_pool2d(x, 2)
    x = F.relu(x.reshape(3, -1) @ w["fc1.weight"].T + w["fc1.bias"])
    torch.testing.assert_close(model(images), x @ w["fc2.weight"].T + w["fc2.bias"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 8, 28])
@pytest.mark.parametrize("width", [0.25, 2])
def test_any_image_of_two_pixels_and_more_fits(size: int, width: float) -> None:
    model = CNN(classes=3, in_channels=2, input_size=size, width=width).eval()
    assert model(torch.zeros(2, 2, size, size)).shape == (2, 3)
    assert model.fc1.in_features == round(64 * width) * (size // 2) ** 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "classes must be an integer ≥ 2"),
        ({"in_channels": 0}, "in_channels must be an integer ≥ 1"),
        ({"input_size": 1}, "CNN halves an image once: input_size must be at least 2, got 1"),
        ({"input_size": 8.0}, "input_size must be an integer ≥ 1, got 8.0"),
        ({"width": 0}, "width must be a finite number > 0"),
    ],
)
def test_what_it_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        CNN(**options)
