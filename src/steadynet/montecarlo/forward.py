"""The network computed with a chip's weights, one chip at a time or several, in the precision that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadynet.batches import arguments, logits_of
from steadynet.chip import places
from steadynet.compute import Compute
from steadynet.errors import SteadyNetError
from steadynet.hardware import compute_device, fast_bf16

Call = Callable[[Mapping[str, Tensor], Any], Tensor]


class Forward:
    """A network in evaluation mode, to be run with the weights of many chips.

    Args:
        model: It is put into evaluation mode and moved to the computing device.
        compute: How.

    Raises:
        SteadyNetError: If the device cannot be used, or bfloat16 is asked of a network in float64.
    """

    def __init__(self, model: nn.Module, compute: Compute) -> None:
        self.device = compute_device(compute.device, next(model.parameters()).device)
        self._model = model.eval().to(self.device)
        self._places = places(model)
        self.half = _half(model, compute, self.device)
        self._run: Call = _compiled(self._call) if compute.compile else self._call

    @property
    def model(self) -> nn.Module:
        """The network, on the computing device."""
        return self._model

    def context(self) -> AbstractContextManager[Any]:
        """Return what the calls are to be made in."""
        if not self.half:
            return nullcontext()
        # The weights come as bfloat16 already; the cache would only hold on to casts of what stays digital.
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def one(self, chip: Mapping[str, Tensor], inputs: Any) -> Tensor:
        """Return the logits [B, C] of the network with a chip's weights; the clean network with none."""
        return self._run(self._placed(chip), inputs)

    def many(self, chips: Mapping[str, Tensor], inputs: Any) -> Tensor:
        """Return the logits [D, B, C] of the network with the weights of D chips, stacked along the first dimension.

        Raises:
            SteadyNetError: If a layer has no batching rule, or the memory does not suffice.
        """
        try:
            return torch.vmap(self._call, in_dims=(0, None))(self._placed(chips), inputs)
        except RuntimeError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise SteadyNetError(
                f"{type(self._model).__name__} cannot be run for several chips at once ({lines[0]}): set chunk to 1"
            ) from error

    def footprint(self, inputs: Any) -> int:
        """Return the most bytes that a layer's input and output take together, in a forward of `inputs`."""
        most = 0

        def note(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            nonlocal most
            held: list[Any] = [
                *args,
                *(cast("tuple[Any, ...]", output) if isinstance(output, tuple) else [output]),
            ]
            most = max(most, sum(t.numel() * t.element_size() for t in held if isinstance(t, Tensor)))

        leaves = [module for module in self._model.modules() if not any(module.children())]
        handles = [module.register_forward_hook(note) for module in leaves]
        try:
            self._call({}, inputs)
        finally:
            for handle in handles:
                handle.remove()
        return most

    def synchronise(self) -> None:
        """Wait until the device has done what it was told, so that time can be taken."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)

    def _call(self, tensors: Mapping[str, Tensor], inputs: Any) -> Tensor:
        args, kwargs = arguments(inputs)
        if self._places.computed:
            return logits_of(self._places.call(self._model, tensors, args, kwargs))
        output = torch.func.functional_call(self._model, dict(tensors), args, kwargs, tie_weights=False)
        return logits_of(output)

    def _placed(self, chip: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a chip's tensors as `_call` takes them: by all their places, looked up outside of a compiled call."""
        return dict(chip) if self._places.computed else self._places.spread(chip)


def _half(model: nn.Module, compute: Compute, device: torch.device) -> bool:
    """Return whether `model` is computed in bfloat16; autocast leaves float64 as it is, beside chips in bfloat16."""
    double = next((name for name, own in model.named_parameters() if own.dtype == torch.float64), None)
    if compute.precision == "bf16" and double is not None:
        raise SteadyNetError(
            f"precision bf16 cannot compute {double} of {type(model).__name__}, which is float64: take precision 32, "
            "or make the network float32 by .float()"
        )
    return compute.precision == "bf16" or (
        compute.precision == "auto" and double is None and fast_bf16(device)
    )


def _compiled(call: Call) -> Call:
    """Return `call` compiled, which refuses in one line where it cannot be."""
    from torch._dynamo.exc import TorchDynamoException  # torch names no public base of its compiler's errors
    from torch._inductor.exc import InductorError

    def own(tensors: Mapping[str, Tensor], inputs: Any) -> Tensor:
        return call(tensors, inputs)

    # torch counts recompilations by code object, and after eight computes uncompiled: every network has one of its own.
    own.__code__ = own.__code__.replace()
    compiled = torch.compile(own)

    def run(tensors: Mapping[str, Tensor], inputs: Any) -> Tensor:
        try:
            return compiled(tensors, inputs)
        except (TorchDynamoException, InductorError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            # Of a backend that raised, the first line names the backend alone.
            told = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
            raise SteadyNetError(f"torch.compile failed ({told}): leave compile out") from error

    return run
