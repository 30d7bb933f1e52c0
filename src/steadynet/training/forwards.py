"""One training step's forwards: chips programmed at will, feature maps caught, statistics guarded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadynet.chip import call_with, program
from steadynet.errors import SteadyNetError
from steadynet.mapping import Layout, matching
from steadynet.nvm.device import Device
from steadynet.recipes.base import Pass
from steadynet.recipes.objective.taps import Tap
from steadynet.training.recompute import recomputed

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """What stays the same from step to step.

    Attributes:
        backbone: The user's model.
        parts: What the objective trains beside it.
        deployed: The device of deployment.
        trained: The device that training sees; None for clean weights.
        layout: What of the backbone lies on devices.
        parts_layout: What of the parts does; it may be empty.
        loss: The task's loss of (output, targets).
        seed: Of all draws.
        memory: Where chips are programmed, step after step: fresh memory of that size costs more than what is computed
            into it. A set for each forward whose chip lives until the backward.
    """

    backbone: nn.Module
    parts: nn.Module
    deployed: Device
    trained: Device | None
    layout: Layout
    parts_layout: Layout
    loss: Loss
    seed: int
    memory: dict[str, dict[str, Tensor]] = field(default_factory=dict[str, dict[str, Tensor]])


class StepForwards:
    """The `Forwards` of one batch; see `steadynet.recipes.base.Forwards`."""

    def __init__(self, setting: Setting, inputs: Any, targets: Tensor, draw: int) -> None:
        self._setting = setting
        self._inputs = inputs
        self._targets = targets
        self._draw = draw
        self._runs: Counter[tuple[str, int]] = Counter()

    @property
    def parts(self) -> nn.Module:
        """The module that the objective's `setup` made."""
        return self._setting.parts

    @property
    def sigma_d(self) -> float:
        """The σ_d that the weights see in this step; 0 without variation."""
        return self._setting.trained.sigma_d if self._setting.trained else 0.0

    def backbone(
        self,
        *,
        pass_: int = 0,
        sigma_d: float | None = None,
        raised: Sequence[str] = (),
        update_batchnorm: bool = True,
        taps: Sequence[Tap] = (),
        recompute: bool = False,
    ) -> Pass:
        """Run the backbone on a chip of its own.

        Raises:
            SteadyNetError: If feature maps are asked of a forward that keeps none, `raised` has no `sigma_d` to raise to,
                or one of its patterns matches nothing that lies on devices.
        """
        setting = self._setting
        if recompute and taps:
            raise SteadyNetError("a recomputed forward keeps no feature maps: leave out taps, or recompute")
        again = recompute and torch.is_grad_enabled()
        programmings = self._programmings(sigma_d, raised)

        def forward(inputs: Any, buffers: Mapping[str, Tensor]) -> Pass:
            tensors = dict(buffers)
            if programmings:
                # A forward that is computed again, or has no backward, keeps no memory, not even for its chip.
                lives_on = torch.is_grad_enabled() and not recompute
                slot = self._slot("backbone", pass_) if lives_on else None
                for device, layout in programmings:
                    tensors.update(self._program(setting.backbone, device, layout, slot, pass_, prefix=""))
            return catch(setting.backbone, tensors, inputs, taps)

        if again:
            output = recomputed(
                setting.backbone,
                self._inputs,
                lambda inputs, buffers: forward(inputs, buffers).output,
                keep_buffers=not update_batchnorm,
            )
            return Pass(output, ())
        kept = {} if update_batchnorm else {n: b.clone() for n, b in setting.backbone.named_buffers()}
        return forward(self._inputs, kept)

    def _programmings(self, sigma_d: float | None, raised: Sequence[str]) -> list[tuple[Device, Layout]]:
        """Return which devices hold which of the backbone's parameters; none holds those that stay clean."""
        setting = self._setting
        trained = setting.trained
        if sigma_d is None:
            if raised:
                raise SteadyNetError(
                    "raised layers need a sigma_d to raise them to: give it, or leave out raised"
                )
            return [] if trained is None else [(trained, setting.layout)]
        higher = (trained or setting.deployed).at(sigma_d)
        if not raised:
            return [(higher, setting.layout)]
        names = matching(setting.layout, raised, "raised layer")
        others = set(setting.layout.names) - names
        if not others:
            return [(higher, setting.layout)]
        parts = [(higher, _part(setting.layout, names))]
        return parts if trained is None else [*parts, (trained, _part(setting.layout, others))]

    def part(self, name: str, *inputs: Tensor, noisy: bool = True, pass_: int = 0) -> Tensor:
        """Run the child `name` of `parts`, its weights as noisy as the backbone's unless `noisy` is False."""
        setting = self._setting
        child = setting.parts.get_submodule(name)
        if not noisy or setting.trained is None:
            return child(*inputs)
        chip = self._program(
            setting.parts,
            setting.trained,
            setting.parts_layout,
            self._slot(f"parts.{name}", pass_),
            pass_,
            "parts.",
            f"{name}.",
        )
        own = {key.removeprefix(f"{name}."): tensor for key, tensor in chip.items()}
        return call_with(child, own, inputs)

    def task_loss(self, output: Tensor) -> Tensor:
        """Return the task's loss of `output` against the batch's targets."""
        return self._setting.loss(output, self._targets)

    def _program(
        self,
        model: nn.Module,
        device: Device,
        layout: Layout,
        slot: str | None,
        pass_: int,
        prefix: str,
        only: str = "",
    ) -> Mapping[str, Tensor]:
        if only:
            layout = _part(layout, {name for name in layout.names if name.startswith(only)})
        return program(
            model,
            device,
            seed=self._setting.seed,
            draw=self._draw,
            stream="train",
            pass_=pass_,
            layout=layout,
            noise_device=None,
            prefix=prefix,
            buffers=None if slot is None else self._setting.memory.setdefault(slot, {}),
        )

    def _slot(self, what: str, pass_: int) -> str:
        """Return the name of memory that no other forward of this step uses."""
        # An objective may run the same pass more than once, as OVF does where its forwards share a draw.
        self._runs[(what, pass_)] += 1
        return f"{what} {pass_} {self._runs[(what, pass_)]}"


def _part(layout: Layout, names: Set[str]) -> Layout:
    """Return the layout with those of its mapped parameters alone that are named."""
    return Layout(tuple(tensor for tensor in layout.mapped if tensor.name in names), layout.digital)


def catch(model: nn.Module, tensors: Mapping[str, Tensor], inputs: Any, taps: Sequence[Tap]) -> Pass:
    """Run `model` with some tensors replaced, and catch the feature maps at `taps`.

    Args:
        model: It has the same hooks after the call as before.
        tensors: Parameters and buffers by name.
        inputs: The first argument, or a tuple of arguments.
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
        args = cast("tuple[Any, ...]", inputs) if isinstance(inputs, tuple) else (inputs,)
        output = call_with(model, tensors, args) if tensors else model(*args)
    finally:
        for handle in handles:
            handle.remove()
    missing = [tap.module for tap in taps if tap not in caught]
    if missing:
        raise SteadyNetError(f"tapped modules {missing} did not run in this forward: name other taps")
    return Pass(output, tuple(caught[tap] for tap in taps))
