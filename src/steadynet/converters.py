"""Converters around crossbars: inputs come from DACs and outputs go through ADCs, of some bits, which saturate."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadynet.batches import arguments, size_of
from steadynet.chip import call_with, program
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.mapping import Layout, layout
from steadynet.nvm.device import Device
from steadynet.nvm.matrix import Matrix

_CONVOLUTION = nn.modules.conv._ConvNd  # pyright: ignore[reportPrivateUsage] (torch names no public base)
# Magnitudes that a call of a layer is remembered by; those of a wide layer on many images would not fit memory.
_KEPT = 500_000


@dataclass(frozen=True)
class Converters:
    """Bits of what lies before and behind each crossbar.

    With b bits and the range R that calibration found, a converter gives step · round(clamp(x, −R, R) / step), step =
    R/(2^(b−1) − 1). Inputs that were never negative in calibration, as those behind a ReLU, take all levels for one sign: step =
    R/(2^b − 1), and what is negative becomes 0. The columns of each crossbar are converted by themselves, their J slices added
    before, and partial sums of the crossbars that a layer's rows are cut into are added digitally, as is the bias. A layer has
    one range for its inputs and one for its partial sums.

    Rounding has no slope. Where a gradient is taken, as in a search for the worst case, it passes straight through a converter:
    unchanged within the range and half a step beyond, and as 0 where the converter saturates. No value changes by that.

    Args:
        input_bits: Of the inputs' DACs, 2 … 16; None for exact ones.
        output_bits: Of the outputs' ADCs, 2 … 16; None for exact ones.
        coverage: Share of the magnitudes seen in calibration that R holds; what is larger saturates.

    Raises:
        SteadyNetError: If a value is out of its range, or neither has bits.
    """

    input_bits: int | None = 8
    output_bits: int | None = 8
    coverage: float = 1.0

    def __post_init__(self) -> None:
        for name in ("input_bits", "output_bits"):
            bits = getattr(self, name)
            if bits is not None:
                check_integer(name, bits, at_least=2, at_most=16)
        if self.input_bits is None and self.output_bits is None:
            raise SteadyNetError("converters need input_bits or output_bits")
        check_number("coverage", self.coverage, above=0, at_most=1)


def with_converters(model: nn.Module, device: Device, inputs: Any, converters: Converters) -> nn.Module:
    """Return a copy of a model whose layers on devices have converters, to be evaluated as any other.

    Ranges are those that the quantised network without errors shows on `inputs`, as a chip's are calibrated on data without
    labels. The copy has the same parameters and state_dict; its layers have hooks. It is for evaluation, and for what
    follows a gradient on chips; training does not see converters.

    Example:
        >>> import steadynet as sn
        >>> net, images = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(8, 4)
        >>> device = sn.Device(variation=sn.Gaussian(0.1))
        >>> chip = with_converters(net, device, images, Converters(input_bits=4, output_bits=6))
        >>> chip(images).shape
        torch.Size([8, 2])

    Args:
        model: A trained network.
        device: What its weights lie on; its tile says how many rows are summed before they are converted.
        inputs: A batch to calibrate on, without labels.
        converters: Their bits.

    Raises:
        SteadyNetError: If what lies on devices is neither a convolution nor linear, is not computed by a call of its layer, or is
            computed by a parametrisation; if the model has converters already, or the device folds BatchNorm.
    """
    if device.fold_bn:
        raise SteadyNetError(
            "converters see what a crossbar sums, and with fold_bn the network computes without the folded scale: fold it for "
            "good by steadynet.fold_batchnorm(model), and take a device without fold_bn"
        )
    copied = copy.deepcopy(model).eval()
    found = layout(copied, device)
    layers = list(_layers(copied, found, device))
    for layer in layers:
        layer.attach()
    if not size_of(inputs):
        raise SteadyNetError("converters need at least one input to be calibrated on")
    args, kwargs = arguments(inputs)
    with torch.no_grad():
        call_with(copied, program(copied, device.ideal, layout=found), args, kwargs)
    for layer in layers:
        layer.calibrate(converters)
    return copied


def _layers(model: nn.Module, found: Layout, device: Device) -> Iterator[_Layer]:
    """Yield the converters of each layer on devices, one that stands at several places once."""
    seen: set[nn.Module] = set()
    for mapped in found.mapped:
        for name in (mapped.name, *mapped.aliases):
            owner, _, key = name.rpartition(".")
            module = model.get_submodule(owner)
            where = f"{name} ({type(module).__name__})"
            if not isinstance(module, _CONVOLUTION | nn.Linear) or key != "weight":
                raise SteadyNetError(
                    f"converters are for convolutions and linear layers, and {where} is neither: exclude it by name"
                )
            if key not in dict(module.named_parameters(recurse=False)):
                raise SteadyNetError(
                    f"{where} is computed by a parametrisation, which converters cannot cut into tiles: bake it in by "
                    "torch.nn.utils.parametrize.remove_parametrizations"
                )
            if any(isinstance(hook, _Layer) for hook in _hooks(module)):
                raise SteadyNetError(
                    f"{owner or 'the model'} has converters already: start from the model without"
                )
            if module not in seen:
                seen.add(module)
                yield _Layer(name, module, mapped.matrix, device.tile_weights[0])


def _hooks(module: nn.Module) -> list[Any]:
    return [*cast("dict[int, Any]", module._forward_hooks).values()]  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType] (torch names no public way to them)


@dataclass
class _Range:
    """A converter's levels: none until it is calibrated."""

    step: float | None = None
    low: float = 0.0
    high: float = 0.0

    def __call__(self, values: Tensor) -> Tensor:
        if self.step is None:
            return values
        if self.step == 0:
            return torch.zeros_like(values)
        levels = values / self.step
        given = levels.round().clamp(self.low, self.high)
        if torch.is_grad_enabled() and levels.requires_grad:
            # By half a step wider: the largest value seen in calibration may lie beyond the last level by a rounding.
            within = levels.clamp(self.low - 0.5, self.high + 0.5)
            # Less exactly 0, which keeps the sign of a zero too: the gradient alone is that of the clamped value.
            given = given.detach() - (within.detach() - within)
        return given * self.step


@dataclass
class _Seen:
    """Magnitudes of what a layer was given, or gave: the largest, and at most `_KEPT` evenly spaced ones of each call."""

    largest: float = 0.0
    negative: bool = False
    sizes: list[Tensor] = field(default_factory=list[Tensor])

    def note(self, values: Tensor) -> None:
        flat = values.detach().flatten()
        self.negative = self.negative or bool((flat < 0).any())
        sizes = flat.abs()
        self.largest = max(self.largest, float(sizes.max()))
        self.sizes.append(sizes[:: -(-len(sizes) // _KEPT)])

    def levels(self, bits: int, coverage: float, *, signed: bool) -> _Range:
        """Return a converter whose range holds a share of the magnitudes."""
        reach = self.largest
        if coverage < 1:
            sizes = torch.cat(self.sizes)
            reach = float(sizes.kthvalue(max(1, math.ceil(coverage * len(sizes)))).values)
        most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        return _Range(reach / most, -most if signed else 0.0, most)


@dataclass
class _Layer:
    """The converters of one layer, as its hooks; in calibration they note what they see."""

    name: str
    module: nn.Module
    matrix: Matrix
    rows: int
    inputs: _Range = field(default_factory=_Range)
    outputs: _Range = field(default_factory=_Range)
    calibrating: bool = True
    seen_inputs: _Seen = field(default_factory=_Seen)
    seen_outputs: _Seen = field(default_factory=_Seen)

    def attach(self) -> None:
        self.module.register_forward_pre_hook(self.before)
        # Before the hooks that are there: what those make of the output comes after the crossbar.
        self.module.register_forward_hook(self, prepend=True, with_kwargs=True)

    def before(self, _module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Convert the inputs."""
        if not args:
            raise SteadyNetError(
                f"{self.name} ({type(self.module).__name__}) is called with its input by name, which its converters cannot see: "
                "pass the input by its place, or exclude it by name"
            )
        if self.calibrating:
            self.seen_inputs.note(args[0])
        return (self.inputs(args[0]), *args[1:])

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor:
        """Return the sum of the crossbars' converted outputs, and the bias."""
        if not self.calibrating and self.outputs.step is None:
            return output
        bias = self._bias(module, output)
        total: Tensor | None = None
        # One after the other: a wide layer's many parts would not fit memory together.
        for part in self._parts(module, args, kwargs, output if bias is None else output - bias):
            if self.calibrating:
                self.seen_outputs.note(part)
            given = self.outputs(part)
            total = given if total is None else total + given
        if total is None:
            return output
        total = total if bias is None else total + bias
        if self.calibrating:
            self._check(total, output)
            return output
        return total

    def _parts(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], whole: Tensor
    ) -> Iterator[Tensor]:
        """Yield what the crossbars of each range of rows give; `whole`, what all rows give, where one holds them."""
        weight = cast("Tensor", module.weight)
        matrix = self.matrix.of(weight)
        count = matrix.shape[1]
        if count <= self.rows:
            yield whole
            return
        for start in range(0, count, self.rows):
            mask = torch.zeros(count, 1, dtype=weight.dtype, device=weight.device)
            mask[start : start + self.rows] = 1
            tensors = {"layer.weight": self.matrix.back(matrix * mask, tuple(weight.shape))}
            if (bias := cast("Tensor | None", module.bias)) is not None:
                tensors["layer.bias"] = torch.zeros_like(bias)
            # A transposed convolution may be told its output's size besides.
            yield torch.func.functional_call(_Bare(module), tensors, args, kwargs)

    def _bias(self, module: nn.Module, output: Tensor) -> Tensor | None:
        bias = cast("Tensor | None", module.bias)
        if bias is None or isinstance(module, nn.Linear):
            return bias
        space = len(cast("tuple[int, ...]", module.kernel_size))
        return bias.reshape(-1, *[1] * space).to(output.dtype)

    def _check(self, total: Tensor, output: Tensor) -> None:
        """Refuse a layer that is not the sum of what its rows give."""
        off = float((total - output).abs().max())
        # Sums of halves that are rounded to bfloat16 differ by a few of its steps.
        within = max(1e-3, 8 * torch.finfo(output.dtype).eps)
        if off > within * max(float(output.abs().max()), 1e-12):
            raise SteadyNetError(
                f"{self.name} ({type(self.module).__name__}) is not linear in its weights, so it cannot be cut into crossbars "
                "whose outputs are converted: exclude it by name, or take a tile of more rows"
            )

    def calibrate(self, converters: Converters) -> None:
        """Find the ranges."""
        if not self.seen_inputs.sizes:
            raise SteadyNetError(
                f"{self.name} ({type(self.module).__name__}) is computed elsewhere than by a call of its layer, so converters "
                "would be passed by: exclude it by name"
            )
        inputs, outputs, coverage = self.seen_inputs, self.seen_outputs, converters.coverage
        self.seen_inputs, self.seen_outputs, self.calibrating = _Seen(), _Seen(), False
        if converters.input_bits is not None:
            self.inputs = inputs.levels(converters.input_bits, coverage, signed=inputs.negative)
        if converters.output_bits is not None:
            self.outputs = outputs.levels(converters.output_bits, coverage, signed=True)


class _Bare(nn.Module):
    """A layer without its hooks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer.forward(*args, **kwargs)
