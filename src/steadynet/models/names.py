"""The networks by name, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class ModelName:
    """A network of the table: where its class lies, its options, and a line on what it is."""

    name: str
    path: str
    options: tuple[str, ...]
    summary: str


_OPTIONS = ("width",)
# Libraries whose networks are named LIBRARY:NAME.
LIBRARIES = ("timm", "torchvision", "transformers")


def of_library(name: str) -> bool:
    """Return whether a network is named as one of a library."""
    library, _, own = name.partition(":")
    return library in LIBRARIES and bool(own)


MODELS: Mapping[str, ModelName] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            ModelName(
                "vgg8",
                "steadynet.models.vgg.VGG8",
                _OPTIONS,
                "six 3 × 3 convolutions (64 to 512), two linear layers; images of 8 × 8 and more",
            ),
            ModelName(
                "resnet18",
                "steadynet.models.resnet.ResNet18",
                _OPTIONS,
                "CIFAR form: 3 × 3 stem, four stages of two basic blocks (64 to 512)",
            ),
            ModelName(
                "cnn",
                "steadynet.models.cnn.CNN",
                _OPTIONS,
                "three 3 × 3 convolutions (16 to 64), two linear layers, for small images",
            ),
        )
    }
)
