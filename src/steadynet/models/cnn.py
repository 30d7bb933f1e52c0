"""A small convolutional network for small images, such as the embedded digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.models.init import initialize, scaled


class CNN(nn.Module):
    """conv 16, conv 32, pool, conv 64, linear 128, linear to the classes; BatchNorm after each convolution.

    Args:
        classes: Number of logits.
        in_channels: Channels of an image.
        input_size: Height and width of an image, at least 2.
        width: Multiplier of all channels.
        seed: Of the initial weights.

    Raises:
        SteadyNetError: If a value is out of its range.
    """

    def __init__(
        self,
        classes: int = 10,
        in_channels: int = 1,
        input_size: int = 8,
        width: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_integer("classes", classes, at_least=2)
        check_integer("in_channels", in_channels, at_least=1)
        check_number("width", width, above=0)
        check_integer("input_size", input_size, at_least=1)
        if input_size < 2:
            raise SteadyNetError(f"CNN halves an image once: input_size must be at least 2, got {input_size}")
        a, b, c, hidden = (scaled(channels, width) for channels in (16, 32, 64, 128))

        def conv(incoming: int, outgoing: int) -> list[nn.Module]:
            layer = nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False)
            return [layer, nn.BatchNorm2d(outgoing), nn.ReLU()]

        self.features = nn.Sequential(*conv(in_channels, a), *conv(a, b), nn.MaxPool2d(2), *conv(b, c))
        self.fc1 = nn.Linear(c * (input_size // 2) ** 2, hidden)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes)
        initialize(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, classes] of images [B, C, H, W]."""
        features: Tensor = self.features(images)
        logits: Tensor = self.fc2(self.relu(self.fc1(torch.flatten(features, 1))))
        return logits
