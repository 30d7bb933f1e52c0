"""BatchNorm as a part of the weights before it, as chips compute it: which pairs there are, and networks folded for good.

In evaluation BatchNorm after a layer is y = s (W x + b − μ) + β with s = γ/sqrt(v + ε) of each output channel, so a chip
holds the weights s W and needs no norm. Its errors then go by max|s W|, not by max|W|, and training must see that too.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from steadynet.computed import baked
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Tracer(fx.Tracer):
    """Looks into no layer and no norm, a user's or a library's own subclass of one neither."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is called as it is."""
        return isinstance(m, (*_LAYERS, *_NORMS)) or super().is_leaf_module(m, module_qualified_name)


def folded_pairs(model: nn.Module) -> dict[str, str]:
    """Return the layers whose output goes into a BatchNorm and nowhere else: names of their weights, and of the norms.

    Raises:
        SteadyNetError: If the model's graph cannot be traced, or no BatchNorm stands behind a layer that it can be folded into.
    """
    name = type(model).__name__
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # Tracing runs the model's own code.
        raise SteadyNetError(
            f"{name} cannot be traced to find what BatchNorm follows ({' '.join(str(error).split())[:200]}): leave out fold_bn"
        ) from error
    modules: dict[str, nn.Module] = dict(cast("Any", model.named_modules()))
    calls: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls[str(node.target)] = calls.get(str(node.target), 0) + 1
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[str(node.target)], _NORMS):
            continue
        before: Any = node.args[0] if node.args else node.kwargs.get("input")
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        layer, norm = str(before.target), str(node.target)
        if isinstance(modules[layer], _LAYERS) and calls[layer] == calls[norm] == 1:
            _check(modules[layer], modules[norm], layer, norm)
            found[f"{layer}.weight"] = norm
    if not found:
        raise SteadyNetError(
            f"{name} has no BatchNorm right behind a convolution or a linear layer: leave out fold_bn"
        )
    return found


def scale_of(norm: nn.Module, weight: Tensor, *, input_major: bool) -> Tensor:
    """Return s of each output channel, to be multiplied with the weight that lies before the norm.

    Args:
        norm: A BatchNorm with running statistics.
        weight: Of the layer before it.
        input_major: Whether the weight's output channels are its second dimension.
    """
    own = cast("nn.BatchNorm2d", norm)
    variance, eps = cast("Tensor", own.running_var), own.eps
    gain: Tensor = torch.ones_like(variance) if own.weight is None else own.weight.detach()  # pyright: ignore[reportUnnecessaryComparison] (None without affine)
    scale = (gain * (variance + eps).rsqrt()).to(weight.dtype)
    shape = [1] * weight.dim()
    shape[1 if input_major else 0] = len(scale)
    return scale.view(shape)


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """Return a copy of a trained network, in evaluation mode, with BatchNorm folded into the layers before it.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)).eval()
        >>> type(fold_batchnorm(net)[1]).__name__
        'Identity'

    Raises:
        SteadyNetError: If the model's graph cannot be traced, or no BatchNorm stands behind a layer that it can be folded into.
    """
    pairs = folded_pairs(model)
    held = baked(copy.deepcopy(model))
    for weight, norm in pairs.items():
        layer = weight.rpartition(".")[0]
        one, other = held.get_submodule(layer), cast("Any", held.get_submodule(norm))
        if isinstance(one, nn.Linear):
            fused: nn.Module = fuse_linear_bn_eval(one, other)
        else:
            fused = fuse_conv_bn_eval(cast("Any", one), other, transpose=isinstance(one, _TRANSPOSED))
        _put(held, layer, fused)
        _put(held, norm, nn.Identity())
    return held


def check_unfolded(device: Device) -> None:
    """Raise `SteadyNetError` if BatchNorm is folded in on the fly: weights are handed over of a folded network alone."""
    if device.fold_bn:
        raise SteadyNetError(
            "fold_bn is for training and evaluation; fold it for good first: steadynet.fold_batchnorm(model)"
        )


def _check(layer: nn.Module, norm: nn.Module, layer_name: str, norm_name: str) -> None:
    for module, name in ((layer, layer_name), (norm, norm_name)):
        kind = next(kind for kind in (*_LAYERS, *_NORMS) if isinstance(module, kind))
        if type(module).forward is not kind.forward:
            raise SteadyNetError(
                f"{name} is a {type(module).__name__}, which computes more than the {kind.__name__} that it is made from, so "
                "BatchNorm cannot be folded there: leave out fold_bn"
            )
    if cast("nn.BatchNorm2d", norm).running_var is None:  # pyright: ignore[reportUnnecessaryComparison] (None without running statistics)
        raise SteadyNetError(
            f"{norm_name} keeps no running statistics, so it cannot be folded: leave out fold_bn"
        )
    if isinstance(layer, nn.Linear) and layer.out_features != cast("nn.BatchNorm1d", norm).num_features:
        # On [N, L, C] BatchNorm1d normalises L.
        raise SteadyNetError(
            f"{norm_name} normalises another dimension than the outputs of {layer_name}, so it cannot be folded into it: leave "
            "out fold_bn"
        )
    if isinstance(layer, _TRANSPOSED) and layer.groups > 1:
        raise SteadyNetError(
            f"{layer_name} is a grouped transposed convolution, whose channels BatchNorm cannot be folded into: leave out fold_bn"
        )


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
