"""Which parameters of a layer lie on NVM devices, which stay digital, and how those lie on crossbars.

The rule: weights of convolution, transposed convolution, linear, recurrent, attention and
embedding layers lie on devices; biases, norms and all else stay digital.
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize

from steadynet.nvm.matrix import Matrix

# By layer type; a name that ends in "_l" goes on with the layer's number.
# Subclasses follow their base; parameters that they add do not.
_RULES: tuple[tuple[type[nn.Module], tuple[str, ...], str], ...] = (
    (nn.modules.conv._ConvNd, ("weight",), "convolution"),  # pyright: ignore[reportPrivateUsage] (torch names no public base)
    (nn.Linear, ("weight",), "linear"),
    (nn.RNNBase, ("weight_ih_l", "weight_hh_l", "weight_hr_l"), "recurrent"),
    (nn.RNNCellBase, ("weight_ih", "weight_hh"), "recurrent"),
    (
        nn.MultiheadAttention,
        ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
        "attention",
    ),
    (nn.Embedding, ("weight",), "embedding"),
    (nn.EmbeddingBag, ("weight",), "embedding"),
)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (
    nn.modules.batchnorm._NormBase,  # pyright: ignore[reportPrivateUsage] (torch names no public base)
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def verdict(owner: nn.Module, key: str) -> tuple[str | None, str]:
    """Return the kind of a mapped parameter, or None and the reason why it is digital."""
    kind_name = type(owner).__name__
    for base, keys, kind in _RULES:
        if isinstance(owner, base) and any(
            key == known or (known.endswith("_l") and key.startswith(known)) for known in keys
        ):
            return kind, ""
    if key == "weight" and _is_transposed_linear(owner):
        return "linear", ""
    if isinstance(owner, parametrize.ParametrizationList):
        return None, "what a parametrised weight is made of"
    if key.startswith("bias") or key.endswith("_bias"):
        return None, f"bias of {kind_name}"
    if isinstance(owner, _NORMS) or "norm" in kind_name.lower():
        return None, f"norm ({kind_name})"
    return None, f"{kind_name} has no rule for {key!r}"


def matrix_of(owner: nn.Module, shape: tuple[int, ...]) -> Matrix:
    """Return how a parameter of a layer lies on crossbars."""
    if isinstance(owner, nn.modules.conv._ConvNd) and len(shape) > 1:  # pyright: ignore[reportPrivateUsage] (torch names no public base)
        return Matrix(owner.groups, isinstance(owner, _TRANSPOSED))
    return Matrix(
        input_major=isinstance(owner, nn.Embedding | nn.EmbeddingBag) or _is_transposed_linear(owner)
    )


def _is_transposed_linear(owner: nn.Module) -> bool:
    """Return whether a layer is Hugging Face's Conv1D, a linear layer whose weight is [inputs, outputs]."""
    return type(owner).__name__ == "Conv1D" and type(owner).__module__.startswith("transformers.")
