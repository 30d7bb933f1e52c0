"""One training step's forwards: chips programmed at will, feature maps caught, statistics guarded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from steadynet.chip import call_with, program
from steadynet.errors import SteadyNetError
from steadynet.mapping import Layout, matching
from steadynet.nvm.device import Device
from steadynet.recipes.base import Constraint, Pass
from steadynet.recipes.constraint.none import NoConstraint
from steadynet.recipes.objective.taps import Tap
from steadynet.recipes.variation import Chips
from steadynet.training.catching import catch
from steadynet.training.loss import Loss
from steadynet.training.recompute import recomputed
from steadynet.training.shares import parts_of


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
        chips: How many chips share a batch.
        constraint: What makes of a trained weight the one that is programmed.
        shape: What the constraint's `setup` made.
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
    chips: Chips = field(default_factory=Chips)
    constraint: Constraint = field(default_factory=NoConstraint)
    shape: nn.Module = field(default_factory=nn.Module)
    memory: dict[str, dict[str, Tensor]] = field(default_factory=dict[str, dict[str, Tensor]])


class StepForwards:
    """The `Forwards` of one batch; see `steadynet.recipes.base.Forwards`.

    Args:
        setting: What stays the same from step to step.
        inputs: The batch's inputs.
        targets: What they should give.
        step: The number of the batch since training started, which decides its chips.
        offsets: Added to the backbone's parameters of these names, without a gradient of their own.
        learns: Whether BatchNorm's statistics may learn from these forwards at all.
        runs: How often each forward has run whose graph lives, in other evaluations of this step too.
    """

    def __init__(
        self,
        setting: Setting,
        inputs: Any,
        targets: Tensor,
        step: int,
        offsets: Mapping[str, Tensor] | None = None,
        *,
        learns: bool = True,
        runs: Counter[tuple[str, int]] | None = None,
    ) -> None:
        self._setting = setting
        self._inputs = inputs
        self._targets = targets
        self._step = step
        self._offsets = dict(offsets or {})
        self._learns = learns
        self._runs: Counter[tuple[str, int]] = Counter() if runs is None else runs
        self._moved = moved_parameters(setting, self._offsets)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The backbone's trainable weights on devices, as they are programmed: moved, transformed, and without error."""
        parameters = dict(self._setting.backbone.named_parameters())
        names = [n for n in self._setting.layout.names if n in parameters and parameters[n].requires_grad]
        return {name: self._moved.get(name, parameters[name]) for name in names}

    @property
    def inputs(self) -> Any:
        """The batch's inputs."""
        return self._inputs

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
        ideal: bool = False,
        update_batchnorm: bool = True,
        taps: Sequence[Tap] = (),
        recompute: bool = False,
    ) -> Pass:
        """Run the backbone on a chip of its own.

        Raises:
            SteadyNetError: If both `ideal` and errors are asked for, feature maps of a forward that keeps none, `raised`
                has no `sigma_d` to raise to, or one of its patterns matches nothing that lies on devices.
        """
        if recompute and taps:
            raise SteadyNetError("a recomputed forward keeps no feature maps: leave out taps, or recompute")
        if ideal and (sigma_d is not None or raised):
            raise SteadyNetError("an ideal chip has no errors: leave out sigma_d and raised, or ideal")
        setting = self._setting
        programmings = (
            [((setting.trained or setting.deployed).ideal, setting.layout)]
            if ideal
            else self._programmings(sigma_d, raised)
        )
        chips = setting.chips if programmings else Chips()
        passes = [
            self._forward(
                inputs, chip, programmings, pass_, update_batchnorm and self._learns, taps, recompute
            )
            for chip, inputs in enumerate(parts_of(self._inputs, chips))
        ]
        if len(passes) == 1:
            return passes[0]
        features = zip(*(one.features for one in passes), strict=True)
        return Pass(torch.cat([one.output for one in passes]), tuple(torch.cat(maps) for maps in features))

    def _forward(
        self,
        inputs: Any,
        chip: int,
        programmings: Sequence[tuple[Device, Layout]],
        pass_: int,
        update_batchnorm: bool,
        taps: Sequence[Tap],
        recompute: bool,
    ) -> Pass:
        """Run the backbone on one chip, with the inputs that are its part of the batch."""
        setting = self._setting

        def forward(inputs: Any, buffers: Mapping[str, Tensor]) -> Pass:
            tensors = {**buffers, **self._moved}
            if programmings:
                # A forward that is computed again, or has no backward, keeps no memory, not even for its chip.
                lives_on = torch.is_grad_enabled() and not recompute
                slot = self._slot("backbone", pass_) if lives_on else None
                for device, layout in programmings:
                    tensors.update(self._program(setting.backbone, device, layout, slot, pass_, chip))
            return catch(setting.backbone, tensors, inputs, taps)

        if recompute and torch.is_grad_enabled():
            output = recomputed(
                setting.backbone,
                inputs,
                lambda inputs, buffers: forward(inputs, buffers).output,
                keep_buffers=not update_batchnorm,
            )
            return Pass(output, ())
        kept = {} if update_batchnorm else {n: b.clone() for n, b in setting.backbone.named_buffers()}
        return forward(inputs, kept)

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
        outputs: list[Tensor] = []
        own = _part(setting.parts_layout, {n for n in setting.parts_layout.names if n.startswith(f"{name}.")})
        for chip, share in enumerate(parts_of(inputs, setting.chips)):
            slot = self._slot(f"parts.{name}", pass_)
            programmed = self._program(setting.parts, setting.trained, own, slot, pass_, chip)
            tensors = {key.removeprefix(f"{name}."): tensor for key, tensor in programmed.items()}
            outputs.append(call_with(child, tensors, share))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def task_loss(self, output: Tensor) -> Tensor:
        """Return the task's loss of `output` against the batch's targets."""
        return self._setting.loss(output, self._targets)

    def _program(
        self, model: nn.Module, device: Device, layout: Layout, slot: str | None, pass_: int, chip: int
    ) -> Mapping[str, Tensor]:
        setting = self._setting
        backbone = model is setting.backbone
        draw, mirrored = setting.chips.errors(self._step, chip)
        return program(
            model,
            device,
            seed=setting.seed,
            draw=draw,
            stream="train",
            pass_=pass_,
            layout=layout,
            transform=(lambda name, weight: self._moved.get(name, weight)) if backbone else None,
            noise_device=None,
            prefix="" if backbone else "parts.",
            buffers=None if slot is None else setting.memory.setdefault(slot, {}),
            mirrored=mirrored,
        )

    def _slot(self, what: str, pass_: int) -> str:
        """Return the name of memory that no other forward of this step uses."""
        # An objective may run the same pass more than once, as OVF does where its forwards share a draw.
        self._runs[(what, pass_)] += 1
        return f"{what} {pass_} {self._runs[(what, pass_)]}"


def moved_parameters(setting: Setting, offsets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's parameters that are not used as they are trained: moved by an offset, or transformed.

    Raises:
        SteadyNetError: If an offset names no parameter of the backbone.
    """
    parameters = dict(setting.backbone.named_parameters())
    foreign = sorted(offsets.keys() - parameters.keys())
    if foreign:
        raise SteadyNetError(f"offsets name {foreign[0]!r}, which is no parameter of the backbone")
    moved = {name: parameters[name] + offset.detach() for name, offset in offsets.items()}
    for name in setting.layout.names:
        if name not in parameters:
            if offsets:
                raise SteadyNetError(
                    f"{name} is computed by a parametrisation, whose parts a step such as SAM or AWP would move apart: "
                    "take step 'plain'"
                )
            continue
        if not parameters[name].requires_grad:
            continue
        weight = moved.get(name, parameters[name])
        programmed = setting.constraint.transform(name, weight, setting.shape)
        if programmed is not weight:
            moved[name] = programmed
    return moved


def _part(layout: Layout, names: Set[str]) -> Layout:
    """Return the layout with those of its mapped parameters alone that are named."""
    return Layout(tuple(tensor for tensor in layout.mapped if tensor.name in names), layout.digital)
