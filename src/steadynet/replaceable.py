"""Whether a model's forward uses the weights that are put in place of its own; what would stay clean unnoticed is refused."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadynet.batches import arguments, logits_of
from steadynet.chip import call_with
from steadynet.computed import computed_places, named_weights
from steadynet.errors import SteadyNetError
from steadynet.mapping import Layout


def check_replaceable(model: nn.Module, layout: Layout, inputs: Any) -> None:
    """Raise `SteadyNetError` unless a forward of `model` uses what takes the place of each weight that lies on devices.

    The model is run on `inputs` in evaluation mode with stand-ins for its weights, and asked for their gradients. Where one has
    none, the model is run with its own: a weight that matters then is read from elsewhere than its layer, and would stay clean
    on every chip. A weight that matters in neither is only unused. A model whose output has no gradients cannot be told so, and
    passes.

    Args:
        model: It is left as it was.
        layout: What of it lies on devices.
        inputs: A small batch that it takes, where the model lies.

    Raises:
        SteadyNetError: If a weight is bypassed, or the model runs by itself but not with its weights replaced.
    """
    weights = named_weights(model, layout.names)
    stand_ins = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    args, kwargs = arguments(inputs)
    with trial(model):
        try:
            output = call_with(model, stand_ins, args, kwargs)
        except Exception as error:
            _without_gradients(model, stand_ins, args, kwargs, error)
            return
        unused = _unused(output, list(stand_ins.values()))
        names = [name for name, no_use in zip(stand_ins, unused, strict=True) if no_use]
        bypassed = _used_by_itself(model, args, kwargs, names) if names else None
    if bypassed:
        raise SteadyNetError(
            f"{type(model).__name__} reads {bypassed} from elsewhere than its layer, so it would stay clean on every chip: let "
            f"its forward look the weight up in its layer as .{bypassed.rpartition('.')[2]}, or exclude it by name"
        )


@contextmanager
def trial(model: nn.Module) -> Generator[None]:
    """Let the model be run in evaluation mode with gradients, and leave it, the warnings and the random numbers as they were."""
    modes = [module.training for module in model.modules()]
    # A forward may count in its buffers in evaluation too.
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    model.eval()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with (
            torch.random.fork_rng(devices=devices),
            torch.enable_grad(),
            # CuDNN has no gradients of recurrent layers in evaluation mode.
            torch.backends.cudnn.flags(enabled=False),
            # What a forward warns of with gradients, it does not do without them.
            warnings.catch_warnings(action="ignore"),
        ):
            yield
    finally:
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                buffer.copy_(before)
                setattr(module, name, buffer)


def _unused(output: Any, tensors: Sequence[Tensor]) -> list[bool]:
    """Return which tensors have no gradient of the output; none of them if it is nothing that has gradients."""
    logits: Any = logits_of(output)
    if isinstance(logits, tuple) and logits:
        logits = cast("tuple[Any, ...]", logits)[0]
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        return [False for _ in tensors]
    if not logits.requires_grad:
        return [True for _ in tensors]
    found = torch.autograd.grad(logits.sum(), list(tensors), allow_unused=True)
    return [gradient is None for gradient in cast("tuple[Tensor | None, ...]", found)]


def _used_by_itself(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], names: Sequence[str]
) -> str | None:
    """Return the first of the weights that matters to the model as it is."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    computed = computed_places(model)
    makers: dict[str, list[Tensor]] = {}
    for name in names:
        if name in computed:
            # What a computed weight is made of tells of it.
            module, key = computed[name]
            made_of = cast("nn.ModuleDict", module.parametrizations)[key]
            makers[name] = [own for own in made_of.parameters() if own.is_floating_point()]
        else:
            makers[name] = [parameters[name]]
    asked = [tensor for own in makers.values() for tensor in own]
    before = [tensor.requires_grad for tensor in asked]
    try:
        for tensor in asked:
            tensor.requires_grad_()
        unused = _unused(model(*args, **kwargs), asked) if asked else []
        used = {id(tensor) for tensor, no_use in zip(asked, unused, strict=True) if not no_use}
    finally:
        for tensor, needed in zip(asked, before, strict=True):
            tensor.requires_grad_(needed)
    return next((name for name, own in makers.items() if any(id(tensor) in used for tensor in own)), None)


def _without_gradients(
    model: nn.Module,
    stand_ins: dict[str, Tensor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: Exception,
) -> None:
    """Raise the error of a call with replaced weights, in one line if the model runs by itself; not if only gradients fail."""
    if isinstance(error, SteadyNetError | torch.OutOfMemoryError):
        raise error
    with torch.no_grad():
        try:
            # A forward that changes its weights in place cannot be asked for gradients, and yet may use them.
            call_with(model, {name: tensor.detach() for name, tensor in stand_ins.items()}, args, kwargs)
            return
        except Exception as again:
            error = again
        try:
            model(*args, **kwargs)
        except Exception:
            raise error from None
    told = " ".join(str(error).split()) or "no message"
    raise SteadyNetError(
        f"{type(model).__name__} runs by itself, but not with its weights replaced ({type(error).__name__}: {told[:200]}): let "
        "its forward read each weight from its layer as a tensor, or exclude the weight by name"
    ) from error
