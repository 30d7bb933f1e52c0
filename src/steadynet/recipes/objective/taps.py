"""Where IRS taps a network: the semantics principle, found by running the network once.

The rule: convolutions of the same kernel depth (output channels) that follow each other form a block; a
stem (the first convolution) is a block of its own; a block ends after its last convolution's addition,
activation and pooling, that is, with the tensor that enters the next block; shortcut convolutions do not
count, nor do those of a gate (squeeze and excitation); the last block has no tap unless it is asked for.

Source: "Negative Feedback Training", section 3.3. The rule gives the authors' taps: conv1, pool 1 and
pool 2 of VGG-8; stem, layer1, layer2 and layer3 of ResNet-18.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from steadynet.batches import arguments, logits_of
from steadynet.errors import SteadyNetError, unknown


@dataclass(frozen=True)
class Tap:
    """A place where a feature map is caught.

    Attributes:
        module: Name of the module.
        where: Whether its "output" or its first "input" is caught.
        channels: Channels of the feature map.
        size: Height and width of it on the example.
        call: Which run of the module within one forward, from 0: a network may use one ReLU in many places.
    """

    module: str
    where: Literal["input", "output"]
    channels: int
    size: tuple[int, int]
    call: int = 0


@dataclass
class _Conv:
    """One run of a convolution, what entered it, and which run of which module made that."""

    name: str
    call: int
    channels: int
    kernel: tuple[int, ...]
    entered: Tensor
    producer: tuple[str, int] | None

    @property
    def pointwise(self) -> bool:
        return all(size == 1 for size in self.kernel)


def named_taps(backbone: nn.Module, example: Any, names: Sequence[str]) -> tuple[Tap, ...]:
    """Return taps on the outputs of the named modules; of one that runs several times, on its first.

    Raises:
        SteadyNetError: If a module does not exist (the nearest are named), does not run, or its output is
            no feature map [B, C, H, W].
    """
    modules = dict(cast("Iterator[tuple[str, nn.Module]]", backbone.named_modules()))
    for name in names:
        if name not in modules or not name:
            raise unknown("IRS tap", name, [key for key in modules if key])
    outputs: dict[str, Any] = {}

    def after(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            outputs.setdefault(name, output)

        return hook

    run_in_evaluation(backbone, example, [modules[n].register_forward_hook(after(n)) for n in names])
    taps: list[Tap] = []
    for name in names:
        if name not in outputs:
            raise SteadyNetError(
                f"IRS tap {name!r} never runs in {type(backbone).__name__}: name another module"
            )
        taps.append(_tap(name, "output", outputs[name]))
    return tuple(taps)


def find_taps(backbone: nn.Module, example: Any, n: int | None = None) -> tuple[Tap, ...]:
    """Return the taps that the semantics principle gives, from shallow to deep.

    Args:
        backbone: A convolutional network. It is run once on `example`, in evaluation mode.
        example: Inputs [B, C, H, W].
        n: The shallowest n of them; None for all but the last block's; one more than those adds it.

    Raises:
        SteadyNetError: If the network has fewer than two blocks, or fewer than `n` taps.
    """
    convs, last = _trace(backbone, example)
    if not convs:
        raise SteadyNetError(
            f"IRS finds no convolution that runs in {type(backbone).__name__}: name its taps by taps=[…]"
        )
    blocks = _blocks(_main_path(convs))
    if len(blocks) < 2:
        raise SteadyNetError(
            f"IRS finds a single block of convolutions in {type(backbone).__name__}: name its taps by taps=[…]"
        )
    taps: list[Tap] = []
    for following in blocks[1:]:
        first = following[0]
        taps.append(
            _tap(first.name, "input", first.entered, first.call)
            if first.producer is None
            else _tap(first.producer[0], "output", first.entered, first.producer[1])
        )
    wanted = len(taps) if n is None else n
    if wanted > len(taps) and last is not None:
        name, feature, call = last
        taps.append(_tap(name, "output", feature, call))
    if wanted > len(taps):
        raise SteadyNetError(
            f"IRS asks for n = {wanted} taps, {type(backbone).__name__} has {len(taps)}: lower n or name taps=[…]"
        )
    return tuple(taps[:wanted])


def _trace(backbone: nn.Module, example: Any) -> tuple[list[_Conv], tuple[str, Tensor, int] | None]:
    """Run once; return the convolutions in order, and the last block's map with the module that made it."""
    convs: list[_Conv] = []
    producers: dict[int, tuple[str, int]] = {}
    kept: list[Tensor] = []  # Tensors are told apart by id, so none may be freed while we watch.
    last: list[tuple[str, Tensor, int]] = []
    entered: Counter[str] = Counter()
    left: Counter[str] = Counter()
    hooks: list[Any] = []

    def before(name: str, conv: nn.Conv2d) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            kept.append(inputs[0])
            # The module that handed the tensor over last is the outermost one: layer1, not its last ReLU.
            producer = producers.get(id(inputs[0]))
            run = _Conv(name, entered[name], conv.out_channels, tuple(conv.kernel_size), inputs[0], producer)
            entered[name] += 1
            if not _is_gate(run):
                convs.append(run)
                last.clear()

        return hook

    def after(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            call = left[name]
            left[name] += 1
            if not isinstance(output, Tensor) or output.dim() != 4:
                return
            kept.append(output)
            producers[id(output)] = (name, call)
            # What global pooling leaves is no map any more, unless the block's own map is as small.
            if not last or output.shape[2:] != (1, 1) or last[0][1].shape[2:] == (1, 1):
                last[:] = [(name, output, call)]

        return hook

    for name, module in cast("Iterator[tuple[str, nn.Module]]", backbone.named_modules()):
        if not name:
            continue
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_pre_hook(before(name, module)))
        hooks.append(module.register_forward_hook(after(name)))
    run_in_evaluation(backbone, example, hooks)
    return convs, last[0] if last else None


def _is_gate(conv: _Conv) -> bool:
    """Whether it weighs channels by their means: a 1 × 1 convolution of a map that pooling has left 1 × 1."""
    return conv.pointwise and conv.entered.shape[2:] == (1, 1)


def _main_path(convs: Sequence[_Conv]) -> list[_Conv]:
    """Drop shortcuts: 1 × 1 convolutions that read a tensor which another, wider convolution reads too."""
    readers: dict[int, list[_Conv]] = {}
    for conv in convs:
        readers.setdefault(id(conv.entered), []).append(conv)
    main: list[_Conv] = []
    for conv in convs:
        others = [other for other in readers[id(conv.entered)] if other is not conv]
        wider = any(not other.pointwise for other in others)
        # Bottleneck blocks start with a 1 × 1 convolution too; theirs is the narrower of the two.
        narrower = any(other.channels < conv.channels for other in others)
        if not (conv.pointwise and (wider or narrower)):
            main.append(conv)
    return main


def _blocks(convs: Sequence[_Conv]) -> list[list[_Conv]]:
    """Group consecutive convolutions of the same output channels; the first one stands alone."""
    blocks: list[list[_Conv]] = [[convs[0]]]
    for conv in convs[1:]:
        stem = len(blocks) == 1 and len(blocks[0]) == 1
        if stem or conv.channels != blocks[-1][-1].channels:
            blocks.append([conv])
        else:
            blocks[-1].append(conv)
    return blocks


def _tap(module: str, where: Literal["input", "output"], feature: Any, call: int = 0) -> Tap:
    if not isinstance(feature, Tensor) or feature.dim() != 4:
        shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise SteadyNetError(
            f"IRS tap {module!r} gives {shape}, no feature map [B, C, H, W]: name another module"
        )
    return Tap(module, where, feature.shape[1], (feature.shape[2], feature.shape[3]), call)


def run_in_evaluation(backbone: nn.Module, example: Any, hooks: Sequence[Any] = ()) -> Any:
    """Return the backbone's logits in evaluation mode; `hooks` are removed, and each module has its mode again."""
    was_training = [module.training for module in backbone.modules()]
    backbone.eval()
    try:
        with torch.no_grad():
            args, kwargs = arguments(example)
            return logits_of(backbone(*args, **kwargs))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in zip(backbone.modules(), was_training, strict=True):
            module.training = training
