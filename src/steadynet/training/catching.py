"""One forward with some tensors replaced, and the feature maps that it leaves on its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from steadynet.batches import arguments, logits_of
from steadynet.chip import call_with
from steadynet.errors import SteadyNetError
from steadynet.recipes.base import Pass
from steadynet.recipes.objective.taps import Tap


def catch(model: nn.Module, tensors: Mapping[str, Tensor], inputs: Any, taps: Sequence[Tap]) -> Pass:
    """Run `model` with some tensors replaced, and catch the feature maps at `taps`.

    Args:
        model: It has the same hooks after the call as before.
        tensors: Parameters and buffers by name.
        inputs: The first argument, a tuple of arguments, or a mapping of named ones.
        taps: Where to catch.

    Raises:
        SteadyNetError: If a tap's module does not run (often enough).
    """
    caught: dict[Tap, Tensor] = {}
    runs: Counter[Tap] = Counter()
    handles: list[Any] = []
    for tap in dict.fromkeys(taps):
        module = model.get_submodule(tap.module)

        def before(_module: nn.Module, args: tuple[Any, ...], tap: Tap = tap) -> None:
            runs[tap] += 1
            if runs[tap] == tap.call + 1:
                caught[tap] = args[0]

        def after(_module: nn.Module, _args: tuple[Any, ...], output: Any, tap: Tap = tap) -> None:
            runs[tap] += 1
            if runs[tap] == tap.call + 1:
                caught[tap] = output

        handles.append(
            module.register_forward_pre_hook(before)
            if tap.where == "input"
            else module.register_forward_hook(after)
        )
    try:
        args, kwargs = arguments(inputs)
        output = logits_of(call_with(model, tensors, args, kwargs) if tensors else model(*args, **kwargs))
    finally:
        for handle in handles:
            handle.remove()
    missing = [tap.module for tap in taps if tap not in caught]
    if missing:
        raise SteadyNetError(f"tapped modules {missing} did not run in this forward: name other taps")
    return Pass(output, tuple(caught[tap] for tap in taps))
