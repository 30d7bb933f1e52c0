"""VGG-8: six convolutions and two linear layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.models.init import initialize, scaled

_CHANNELS = (64, 128, 256, 256, 512, 512)
_POOL_AFTER = (2, 4, 6)


class VGG8(nn.Module):
    """conv 64, 128, pool, 256, 256, pool, 512, 512, pool, linear 1024, linear to the classes.

    Convolutions are 3 × 3 without bias, each followed by BatchNorm and ReLU. At 32 × 32 and width 1 the
    first linear layer has 8192 inputs.

    Args:
        classes: Number of logits.
        in_channels: Channels of an image.
        input_size: Height and width of an image, at least 8.
        width: Multiplier of all channels and of the hidden linear layer.
        seed: Of the initial weights.

    Raises:
        SteadyNetError: If a value is out of its range.

    Source:
        "Negative Feedback Training", section 4, and its authors' public code.
    """

    def __init__(
        self,
        classes: int = 10,
        in_channels: int = 3,
        input_size: int = 32,
        width: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_integer("classes", classes, at_least=2)
        check_integer("in_channels", in_channels, at_least=1)
        check_number("width", width, above=0)
        check_integer("input_size", input_size, at_least=1)
        if input_size < 8:
            raise SteadyNetError(
                f"VGG8 halves an image three times: input_size must be at least 8, got {input_size}"
            )
        incoming, size = in_channels, input_size
        self.stages: list[str] = []
        for index, channels in enumerate(_CHANNELS, start=1):
            outgoing = scaled(channels, width)
            self._stage(f"conv{index}", nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False))
            self._stage(f"bn{index}", nn.BatchNorm2d(outgoing))
            self._stage(f"relu{index}", nn.ReLU())
            if index in _POOL_AFTER:
                self._stage(f"pool{index // 2}", nn.MaxPool2d(2))
                size //= 2
            incoming = outgoing
        hidden = scaled(1024, width)
        self.fc1 = nn.Linear(incoming * size * size, hidden)
        self.relu7 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes)
        initialize(self, seed)

    def _stage(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.stages.append(name)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, classes] of images [B, C, H, W]."""
        x = images
        for name in self.stages:
            x = self.get_submodule(name)(x)
        logits: Tensor = self.fc2(self.relu7(self.fc1(torch.flatten(x, 1))))
        return logits
