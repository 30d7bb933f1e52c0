"""Small classifiers, one of each family of layers, and what is asked of each: the table of docs/models.md."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import steadynet as sn
from steadynet.batches import each, part_of
from steadynet.deploy import levels_of
from steadynet.deploy.levels import load_levels, save_levels
from steadynet.models import build as named
from steadynet.montecarlo.evaluator import Draws, build
from steadynet.montecarlo.session import Session

CLASSES = 3
DEVICE = sn.Device(variation=sn.Gaussian(0.1), tile=(16, 64))


@dataclass(frozen=True)
class Family:
    """A classifier and its inputs."""

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Any]


class Last(nn.Module):
    """A classifier on the last output of a recurrent layer."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x)[0][:, -1])
        return logits


class Attention(nn.Module):
    """A classifier on what attention gives."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))
        return logits


class Mean(nn.Module):
    """The mean over the second dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Tied(nn.Module):
    """An embedding whose weight is a layer's too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.mix, self.head = (
            nn.Embedding(12, 8),
            nn.Linear(8, 12, bias=False),
            nn.Linear(12, CLASSES),
        )
        self.mix.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.mix(self.embedding(tokens)).relu().mean(1))
        return logits


def floats(*shape: int) -> Callable[[int], Tensor]:
    return lambda count: torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def tokens(count: int) -> Tensor:
    return torch.arange(count * 5).view(count, 5) % 12


def words(count: int) -> dict[str, Tensor]:
    return {"input_ids": tokens(count) + 1, "attention_mask": torch.ones(count, 5, dtype=torch.int64)}


def pooled(*layers: nn.Module, channels: int, dimensions: int = 2) -> nn.Module:
    pool: list[nn.Module] = [nn.AdaptiveAvgPool1d(1), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool3d(1)]
    return nn.Sequential(*layers, nn.ReLU(), pool[dimensions - 1], nn.Flatten(), nn.Linear(channels, CLASSES))


def bert() -> nn.Module:
    import transformers

    options: dict[str, Any] = {
        "vocab_size": 20,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    options |= {"intermediate_size": 16, "num_labels": CLASSES}
    config = transformers.BertConfig(**options)
    return transformers.BertForSequenceClassification(config)


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 1)


def small(name: str, side: int, **options: Any) -> Family:
    shape = (3, side, side)
    return Family(lambda: named(name, classes=CLASSES, shape=shape, options=options), floats(*shape))


FAMILIES: dict[str, Family] = {
    "convolution, BatchNorm": Family(
        lambda: pooled(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), channels=8), floats(1, 8, 8)
    ),
    "grouped, dilated": Family(
        lambda: pooled(nn.Conv2d(2, 8, 3, dilation=2), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), channels=8), floats(2, 10, 10)
    ),
    "convolution, 1 dimension": Family(lambda: pooled(nn.Conv1d(2, 8, 3), channels=8, dimensions=1), floats(2, 12)),
    "convolution, 3 dimensions": Family(lambda: pooled(nn.Conv3d(1, 8, 2), channels=8, dimensions=3), floats(1, 4, 4, 4)),
    "transposed convolution": Family(lambda: pooled(nn.ConvTranspose2d(2, 8, 3), channels=8), floats(2, 5, 5)),
    "linear": Family(lambda: nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, CLASSES)), floats(8)),
    "LSTM": Family(lambda: Last(nn.LSTM(4, 6, batch_first=True)), floats(5, 4)),
    "GRU": Family(lambda: Last(nn.GRU(4, 6, batch_first=True)), floats(5, 4)),
    "multi-head attention": Family(Attention, floats(5, 8)),
    "transformer encoder": Family(lambda: nn.Sequential(encoder(), Mean(), nn.Linear(8, CLASSES)), floats(5, 8)),
    "embedding, tied weights": Family(Tied, tokens),
    "weight norm": Family(
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 20)), nn.ReLU(), nn.Linear(20, CLASSES)), floats(8)
    ),
    "torchvision: MobileNetV3": small("torchvision:mobilenet_v3_small", 32),
    "timm: ViT": small("timm:vit_tiny_patch16_224", 16, img_size=16, patch_size=8, depth=1),
    "Hugging Face: BERT": Family(bert, words),
}  # fmt: skip


class Items(torch.utils.data.Dataset[Any]):
    """Inputs with labels in turn."""

    def __init__(self, inputs: Any, count: int) -> None:
        self.inputs, self.count = inputs, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return each(lambda tensor: tensor[index], self.inputs), index % CLASSES


def made(family: str) -> tuple[nn.Module, Items]:
    """Return a family's network, without zero weights, and twelve items."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FAMILIES[family].make()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    return model, Items(FAMILIES[family].inputs(12), 12)


def _trained(recipe: sn.Recipe) -> Callable[[nn.Module, Items, Path], None]:
    def train(model: nn.Module, items: Items, _folder: Path) -> None:
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        keys = list(model.state_dict())
        sn.fit(model, recipe, DEVICE, items, items, epochs=1, batch_size=6, progress=False)
        assert list(model.state_dict()) == keys
        assert any(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())

    return train


def _loop(model: nn.Module, items: Items, _folder: Path) -> None:
    result = sn.monte_carlo(model, DEVICE, items, draws=6)
    assert len(set(result.nll.values)) == 6


def _at_once(model: nn.Module, items: Items, _folder: Path) -> None:
    one, many = (
        sn.monte_carlo(model, DEVICE, items, draws=6, compute=sn.Compute(chunk=chunk)) for chunk in (1, 3)
    )
    np.testing.assert_allclose(one.nll.values, many.nll.values, rtol=1e-3)


def _processes(model: nn.Module, items: Items, _folder: Path) -> None:
    with Session(model, DEVICE, items, seed=0, stream="test") as session:
        alone = list(session.draws(0.1, range(3)))
        # What a worker does with what it is sent.
        sent = pickle.loads(pickle.dumps(session._work.detached()))  # pyright: ignore[reportPrivateUsage]
    there = build(sent)(Draws(0.1, tuple(range(3))))
    for one, other in zip(alone, there, strict=True):
        np.testing.assert_allclose(one.sums.nll, other.sums.nll, rtol=1e-5)


def _levels(model: nn.Module, _items: Items, folder: Path) -> None:
    save_levels(levels_of(model, DEVICE), folder / "levels.npz")
    held = load_levels(folder / "levels.npz").weights()
    chip = sn.program(model.eval(), DEVICE.ideal)
    assert held.keys() == chip.keys()
    for name, weight in held.items():
        torch.testing.assert_close(weight, chip[name].detach(), rtol=1e-5, atol=1e-7)


def _onnx(model: nn.Module, items: Items, folder: Path) -> None:
    # The file is checked against the network in ONNX Runtime as it is written.
    sn.export(model.eval(), DEVICE, folder / "out", formats=["onnx"], example=part_of(items.inputs, 0, 2))
    assert (folder / "out" / "backbone.onnx").stat().st_size


def _converters(model: nn.Module, items: Items, _folder: Path) -> None:
    copied = sn.with_converters(model, DEVICE, items.inputs, sn.Converters(8, 8))
    assert len(sn.monte_carlo(copied, DEVICE, items, draws=2).nll.values) == 2


FEATURES: dict[str, Callable[[nn.Module, Items, Path], None]] = {
    "`steady`": _trained(sn.recipe("steady")),
    "OVF": _trained(sn.recipe("ovf")),
    "IRS": _trained(sn.recipe("irs")),
    "chips one by one": _loop,
    "at once": _at_once,
    "processes": _processes,
    "levels": _levels,
    "ONNX": _onnx,
    "converters": _converters,
}
