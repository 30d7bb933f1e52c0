"""The chip: a model's weights as one programming of the devices leaves them, and the model run with them.

    chip   = program(model, device, draw=0)   # {parameter's name: programmed weight}
    logits = run(model, chip, x)              # the model, computed with those weights

A fresh chip per forward is training; a fixed chip over the whole test set is evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadynet.batchnorm import scale_of
from steadynet.computed import Place, computed_places, named_weights, replaced
from steadynet.errors import SteadyNetError
from steadynet.mapping import Layout, MappedTensor
from steadynet.mapping import layout as layout_of
from steadynet.nvm.device import Device
from steadynet.nvm.programming import program_tensor
from steadynet.nvm.straight_through import pass_through
from steadynet.randomness import Source, Stream

Transform = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class Draw:
    """Which errors a chip has: the same draw of the same model and device gives the same chip.

    Attributes:
        seed: The user's seed.
        stream: "train", "validation", "test" or "pilot"; streams never share errors.
        draw: The chip's number in its stream.
        pass_: The forward pass within one training step.
        mirrored: Whether every normal that is drawn has the other sign.
        read: Number of the reading, where the device has read noise: its other errors are the same at each.
    """

    seed: int
    stream: Stream
    draw: int
    pass_: int = 0
    mirrored: bool = False
    read: int = 0


class Chip(Mapping[str, Tensor]):
    """Programmed weights by parameter name; a frozen mapping.

    Args:
        tensors: The programmed weights. Names and shapes must be those of the layout's mapped tensors.
        draw: Which errors they have.
        layout: What lies on devices.

    Raises:
        SteadyNetError: If a tensor is missing, foreign, or of another shape.
    """

    __slots__ = ("_draw", "_layout", "_tensors")

    def __init__(self, tensors: Mapping[str, Tensor], draw: Draw, layout: Layout) -> None:
        expected = {mapped.name: mapped.shape for mapped in layout.mapped}
        missing, foreign = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
        if missing or foreign:
            raise SteadyNetError(
                f"a chip must hold exactly the mapped tensors: missing {sorted(missing)}, foreign {sorted(foreign)}"
            )
        for name, shape in expected.items():
            if tuple(tensors[name].shape) != shape:
                raise SteadyNetError(
                    f"the chip's {name} has shape {tuple(tensors[name].shape)}, the model's has {shape}"
                )
        self._tensors = dict(tensors)
        self._draw = draw
        self._layout = layout

    @property
    def draw(self) -> Draw:
        """Which errors its tensors have."""
        return self._draw

    @property
    def layout(self) -> Layout:
        """What lies on devices."""
        return self._layout

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"Chip({len(self)} tensors, {self.draw})"


def program(
    model: nn.Module,
    device: Device,
    *,
    seed: int = 0,
    draw: int = 0,
    stream: Stream = "test",
    pass_: int = 0,
    layout: Layout | None = None,
    transform: Transform | None = None,
    noise_device: torch.device | str | None = "cpu",
    prefix: str = "",
    buffers: dict[str, Tensor] | None = None,
    mirrored: bool = False,
    read: int = 0,
) -> Chip:
    """Program the weights of `model` onto devices once, and return what they then hold.

    Gradients pass straight through the quantisation and the error to the clean weights.

    Example:
        >>> import steadynet as sn
        >>> net = nn.Linear(4, 2)
        >>> device = sn.Device(variation=sn.Gaussian(sigma_d=0.2))
        >>> chip = program(net, device, seed=0, draw=7)
        >>> torch.equal(chip["weight"], program(net, device, seed=0, draw=7)["weight"])
        True

    Args:
        model: Its parameters are read, never changed.
        device: The devices and how they err.
        seed: The user's seed.
        draw: Number of the chip; a draw can be replayed.
        stream: What it is for.
        pass_: Forward pass within one training step.
        layout: What lies on devices, as `layout` returns it; the rule's answer if None.
        transform: Applied to each mapped weight (name, weight) before it is programmed.
        noise_device: Where the errors are drawn: on the CPU by default, so that chips agree across hosts;
            None draws on each weight's own device, which is faster on a GPU (same law, other numbers).
        prefix: Put before each name when its errors are drawn, so that two models can share a draw.
        buffers: Memory to be used again: tensors by name, filled at first use. The chip is overwritten by the
            next one that is given the same.
        mirrored: Whether every normal that is drawn has the other sign: a chip of the same law, whose errors, where they are
            Gaussian, are those of the chip of the same draw negated.
        read: Number of the reading, where the device has read noise: chips of one draw are one programming, read again.

    Returns:
        The chip, its tensors on the devices of the weights.

    Raises:
        SteadyNetError: If the model cannot be mapped (see `layout`) or a number is negative.
    """
    placed = layout or layout_of(model, device)
    weights = named_weights(model, placed.names, graph=True)
    tensors: dict[str, Tensor] = {}
    for mapped in placed.mapped:
        weight = weights.get(mapped.name)
        if weight is None:
            raise SteadyNetError(
                f"the layout names {mapped.name!r}, which {type(model).__name__} does not have: make it from this model"
            )
        source: Tensor = weight if transform is None else transform(mapped.name, weight)
        where = noise_device or source.device
        errors = Source(seed, stream, draw, pass_, prefix + mapped.name, where, mirrored, read)
        with torch.no_grad():
            scale = norm_scale(model, mapped, source)
            held = source if scale is None else source * scale
            value = program_tensor(
                held, device, errors, _buffer(buffers, mapped.name, source), matrix=mapped.matrix
            )
            if scale is not None:
                # A channel that the norm multiplies by 0 shows no error of what is held for it. Its weights are used as they
                # are: with zeros in their place the norm's own gain would have no gradient, and never leave 0.
                value.div_(torch.where(scale == 0, 1.0, scale))
                value.copy_(torch.where(scale == 0, source, value))
        tensors[mapped.name] = pass_through(source, value)
    return Chip(tensors, Draw(seed, stream, draw, pass_, mirrored, read), placed)


def norm_scale(model: nn.Module, mapped: MappedTensor, weight: Tensor) -> Tensor | None:
    """Return what a weight is multiplied by where BatchNorm is folded into it; None where none is."""
    if mapped.norm is None:
        return None
    return scale_of(model.get_submodule(mapped.norm), weight, input_major=mapped.matrix.input_major)


def _buffer(buffers: dict[str, Tensor] | None, name: str, like: Tensor) -> Tensor | None:
    if buffers is None:
        return None
    held = buffers.get(name)
    if held is None or held.shape != like.shape or held.dtype != like.dtype or held.device != like.device:
        held = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        buffers[name] = held
    return held


def run(model: nn.Module, chip: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    """Return `model(*args, **kwargs)` computed with the chip's weights.

    Example:
        >>> import steadynet as sn
        >>> net = nn.Linear(4, 2)
        >>> chip = program(net, sn.Device(variation=sn.Gaussian(sigma_d=0.2)))
        >>> run(net, chip, torch.zeros(1, 4)).shape
        torch.Size([1, 2])

    Tied weights are replaced at all of their places. The model is not changed, except that BatchNorm in
    training mode updates its running statistics as it does in any forward.

    Raises:
        SteadyNetError: If the chip has a name or a shape that the model does not have (`functional_call`
            by itself would accept both), or two tensors for a tied weight.
    """
    weights = named_weights(model, tuple(chip))
    cast_chip = dict(chip)
    given: dict[Tensor, Tensor] = {}
    for name, tensor in chip.items():
        weight = weights.get(name)
        if weight is None:
            raise SteadyNetError(
                f"{type(model).__name__} has no parameter {name!r}: program the chip from this model"
            )
        if weight.shape != tensor.shape:
            raise SteadyNetError(
                f"the chip's {name} has shape {tuple(tensor.shape)}, the model's has {tuple(weight.shape)}"
            )
        if given.setdefault(weight, tensor) is not tensor:
            raise SteadyNetError(
                f"the chip holds two tensors for {name}, which is tied: give it one of its names"
            )
        if tensor.dtype != weight.dtype:
            cast_chip[name] = tensor.to(weight.dtype)  # As of a file, which holds float32.
    return call_with(model, cast_chip, args, kwargs)


def call_with(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Return `model(*args, **kwargs)` with parameters and buffers replaced by `tensors`, at all of their places.

    A module that the model holds under several names is replaced under one of them: `functional_call` would
    swap its tensors once for each name, and put back the replacement of the first in place of the original.

    Raises:
        KeyError: If the model has no tensor of such a name; `run` checks them.
    """
    return places(model).call(model, tensors, args, kwargs)


@dataclass(frozen=True)
class Places:
    """Where a model keeps each of its parameters and buffers.

    Attributes:
        by_name: Every name of a tensor, and the names under which `functional_call` must replace it.
        computed: Tensors that parametrisations compute, by name.
    """

    by_name: Mapping[str, tuple[str, ...]]
    computed: Mapping[str, Place] = field(default_factory=dict[str, Place])

    def spread(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors by all their places, computed ones left out.

        Raises:
            KeyError: If the model has no tensor of such a name.
        """
        plain = {name: tensor for name, tensor in tensors.items() if name not in self.computed}
        return {place: tensor for name, tensor in plain.items() for place in self.by_name[name]}

    def call(
        self,
        model: nn.Module,
        tensors: Mapping[str, Tensor],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return `model(*args, **kwargs)` with tensors replaced; see `call_with`."""
        computed = {name: tensors[name] for name in self.computed if name in tensors}
        with replaced(self.computed, computed):
            return torch.func.functional_call(
                model, self.spread(tensors), args, dict(kwargs or {}), tie_weights=False
            )


def places(model: nn.Module) -> Places:
    """Return where `model` keeps its tensors, to be asked once where it is called many times."""
    originals = dict(model.named_parameters(remove_duplicate=False))
    originals.update(cast("Iterator[tuple[str, Any]]", model.named_buffers(remove_duplicate=False)))
    found: dict[Tensor, list[str]] = {}
    for prefix, module in cast("Iterator[tuple[str, nn.Module]]", model.named_modules()):
        own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        own.update(
            cast("Iterator[tuple[str, Any]]", module.named_buffers(recurse=False, remove_duplicate=False))
        )
        for key, original in own.items():
            found.setdefault(original, []).append(f"{prefix}.{key}" if prefix else key)
    return Places(
        {name: tuple(found[original]) for name, original in originals.items()}, computed_places(model)
    )
