"""ResNet-18 in its CIFAR form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steadynet.errors import check_integer, check_number
from steadynet.models.init import initialize, scaled


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut, projected by a 1 × 1 convolution where the shape changes."""

    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(incoming, outgoing, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outgoing)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outgoing, outgoing, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outgoing)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or incoming != outgoing:
            self.shortcut = nn.Sequential(
                nn.Conv2d(incoming, outgoing, 1, stride=stride, bias=False), nn.BatchNorm2d(outgoing)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))."""
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        result: Tensor = self.relu2(y + self.shortcut(x))
        return result


class ResNet18(nn.Module):
    """3 × 3 stem of 64 channels without max-pooling, then two basic blocks each of 64, 128, 256, 512.

    Args:
        classes: Number of logits.
        in_channels: Channels of an image.
        input_size: Height and width of an image; any, since features are averaged at the end.
        width: Multiplier of all channels.
        seed: Of the initial weights.

    Raises:
        SteadyNetError: If a value is out of its range.

    Source:
        He et al., "Deep residual learning", 2016, in the form that the authors of "Negative Feedback
        Training" use for CIFAR.
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
        check_integer("input_size", input_size, at_least=1)
        check_number("width", width, above=0)
        incoming = scaled(64, width)
        self.conv = nn.Conv2d(in_channels, incoming, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(incoming)
        self.relu = nn.ReLU()
        layers: list[nn.Sequential] = []
        for index, channels in enumerate((64, 128, 256, 512)):
            outgoing = scaled(channels, width)
            layers.append(
                nn.Sequential(
                    BasicBlock(incoming, outgoing, 1 if index == 0 else 2), BasicBlock(outgoing, outgoing, 1)
                )
            )
            incoming = outgoing
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(incoming, classes)
        initialize(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, classes] of images [B, C, H, W]."""
        x = self.relu(self.bn(self.conv(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits
