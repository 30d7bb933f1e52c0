"""One small model of each kind of layer, with the parameters that must lie on devices and those that must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """A model, its inputs, what of it is mapped and as what kind, and what stays digital."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
    mapped: dict[str, str]
    digital: tuple[str, ...] = ()


def floats(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape),)


def tokens(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.arange(torch.Size(shape).numel()).view(shape) % 7,)


def several(*shapes: tuple[int, ...]) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: tuple(floats(*shape)()[0] for shape in shapes)


def recurrent(weights: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """Two layers, both directions: `weights` names of each kind with their suffixes."""
    suffixes = ("l0", "l0_reverse", "l1", "l1_reverse")
    mapped = {f"weight_{gate}_{suffix}": "recurrent" for suffix in suffixes for gate in ("ih", "hh")}
    assert len(mapped) == weights
    return mapped, tuple(f"bias_{gate}_{suffix}" for suffix in suffixes for gate in ("ih", "hh"))


class Tied(nn.Module):
    """An embedding whose weight is the output layer's too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.output = nn.Linear(4, 7, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(torch.tanh(self.hidden(self.embedding(x))))
        return logits


class Shared(nn.Module):
    """One layer at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.tanh(self.first(x)))
        return y


class Odd(nn.Module):
    """Parameters that no rule knows, beside a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))
        self.mix = nn.Bilinear(4, 4, 4)
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x, self.linear(x) * self.gain)
        return y


_BOTH = ("weight", "bias")
_CONVOLUTION: dict[str, Any] = {"mapped": {"weight": "convolution"}, "digital": ("bias",)}
_GATES, _BIASES = recurrent(8)
_CELL: dict[str, Any] = {
    "mapped": {"weight_ih": "recurrent", "weight_hh": "recurrent"},
    "digital": ("bias_ih", "bias_hh"),
}

ZOO: dict[str, Case] = {
    "conv1d": Case(lambda: nn.Conv1d(2, 4, 3), floats(2, 2, 8), **_CONVOLUTION),
    "conv2d": Case(lambda: nn.Conv2d(4, 4, 3, groups=2), floats(2, 4, 5, 5), **_CONVOLUTION),
    "conv3d": Case(lambda: nn.Conv3d(2, 3, 2), floats(2, 2, 3, 3, 3), **_CONVOLUTION),
    "transposed 1d": Case(lambda: nn.ConvTranspose1d(2, 4, 3), floats(2, 2, 8), **_CONVOLUTION),
    "transposed 2d": Case(lambda: nn.ConvTranspose2d(2, 4, 3), floats(2, 2, 5, 5), **_CONVOLUTION),
    "transposed 3d": Case(lambda: nn.ConvTranspose3d(2, 4, 2), floats(2, 2, 3, 3, 3), **_CONVOLUTION),
    "linear": Case(lambda: nn.Linear(5, 3), floats(2, 5), {"weight": "linear"}, ("bias",)),
    "lstm": Case(lambda: nn.LSTM(3, 4, 2, bidirectional=True), floats(5, 2, 3), _GATES, _BIASES),
    "gru": Case(lambda: nn.GRU(3, 4, 2, bidirectional=True), floats(5, 2, 3), _GATES, _BIASES),
    "rnn": Case(lambda: nn.RNN(3, 4, 2, bidirectional=True), floats(5, 2, 3), _GATES, _BIASES),
    "lstm cell": Case(
        lambda: nn.LSTMCell(3, 4), lambda: (*floats(2, 3)(), several((2, 4), (2, 4))()), **_CELL
    ),
    "gru cell": Case(lambda: nn.GRUCell(3, 4), several((2, 3), (2, 4)), **_CELL),
    "rnn cell": Case(lambda: nn.RNNCell(3, 4), several((2, 3), (2, 4)), **_CELL),
    "attention": Case(
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        several((2, 5, 4), (2, 3, 4), (2, 3, 4)),
        {"in_proj_weight": "attention", "out_proj.weight": "linear"},
        ("in_proj_bias", "out_proj.bias"),
    ),
    "attention with other keys": Case(
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True, add_bias_kv=True),
        several((2, 5, 4), (2, 3, 3), (2, 3, 5)),
        {f"{part}_proj_weight": "attention" for part in "qkv"} | {"out_proj.weight": "linear"},
        ("in_proj_bias", "bias_k", "bias_v", "out_proj.bias"),
    ),
    "transformer layer": Case(
        lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True),
        floats(2, 5, 4),
        {
            "self_attn.in_proj_weight": "attention",
            "self_attn.out_proj.weight": "linear",
            "linear1.weight": "linear",
            "linear2.weight": "linear",
        },
        (
            "self_attn.in_proj_bias",
            "self_attn.out_proj.bias",
            "linear1.bias",
            "linear2.bias",
            *(f"norm{i}.{key}" for i in (1, 2) for key in _BOTH),
        ),
    ),
    "embedding": Case(lambda: nn.Embedding(7, 3), tokens(2, 7), {"weight": "embedding"}),
    "embedding bag": Case(lambda: nn.EmbeddingBag(7, 3), tokens(2, 7), {"weight": "embedding"}),
    "norms": Case(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.GroupNorm(2, 4),
            nn.InstanceNorm2d(4, affine=True),
            nn.LayerNorm(3),
            nn.RMSNorm(3),
            nn.PReLU(),
        ),
        floats(2, 2, 5, 5),
        {"0.weight": "convolution"},
        (*(f"{i}.{key}" for i in (1, 2, 3, 4) for key in _BOTH), "5.weight", "6.weight"),
    ),
    "tied": Case(
        Tied, tokens(2, 7), {"embedding.weight": "embedding", "hidden.weight": "linear"}, ("hidden.bias",)
    ),
    "shared": Case(Shared, floats(2, 4), {"first.weight": "linear"}, ("first.bias",)),
    "no rule": Case(
        Odd, floats(2, 4), {"linear.weight": "linear"}, ("gain", "mix.weight", "mix.bias", "linear.bias")
    ),
}


def make(name: str, seed: int = 0) -> nn.Module:
    """Return the named model, its weights a function of `seed`, the global generator left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ZOO[name].make()


def double(value: Any) -> Any:
    """Return tensors, also within tuples, in float64; integers as they are."""
    if isinstance(value, tuple):
        return tuple(double(part) for part in value)
    return value.double() if value.is_floating_point() else value


def first_tensor(output: Any) -> Tensor:
    """Return the output itself, or the first of a tuple (recurrent layers, attention)."""
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor
