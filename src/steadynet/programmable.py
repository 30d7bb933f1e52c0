"""What of a model cannot be programmed, so that it would be computed with clean weights in silence: refused, with the mend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from steadynet.errors import SteadyNetError


def check_programmable(model: nn.Module) -> None:
    """Raise `SteadyNetError` if a part of the model could not be programmed; it is named."""
    for name, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules()):
        where = f"{name or 'the model'} ({type(module).__name__})"
        if isinstance(module, torch.jit.ScriptModule):
            raise SteadyNetError(
                f"{where} is TorchScript, whose weights cannot be replaced: pass the module itself"
            )
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise SteadyNetError(f"{where} is a data-parallel wrapper: pass its .module")
        if parametrize.is_parametrized(module) and isinstance(module, nn.RNNBase):
            raise SteadyNetError(
                f"{where} is parametrised, and computes with copies that the programming would miss: bake it in with "
                "torch.nn.utils.parametrize.remove_parametrizations"
            )
        hooks: list[object] = [*module._forward_pre_hooks.values()]  # pyright: ignore[reportPrivateUsage] (torch names no public way to them)
        if any(isinstance(hook, prune.BasePruningMethod) for hook in hooks):
            raise SteadyNetError(
                f"{where} is pruned by a hook, so its weight is no parameter: make the pruning permanent with "
                "torch.nn.utils.prune.remove"
            )
        if any(type(hook).__name__ in ("WeightNorm", "SpectralNorm") for hook in hooks):
            raise SteadyNetError(
                f"{where} computes its weight in a hook (weight_norm or spectral_norm), which would undo the "
                "programming: remove it with torch.nn.utils.remove_weight_norm or remove_spectral_norm"
            )
        for key, parameter in module.named_parameters(recurse=False):
            if isinstance(parameter, nn.parameter.UninitializedParameter):
                raise SteadyNetError(f"{key} of {where} has no shape yet: run the model once first")
