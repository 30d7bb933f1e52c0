"""Which parameters of a model lie on NVM devices, which stay digital, and why.

Each layer's rule says it of its own parameters; name patterns override it.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from steadynet.batchnorm import folded_pairs
from steadynet.computed import computed_places, evaluated
from steadynet.errors import SteadyNetError, unknown
from steadynet.layer_rules import matrix_of, verdict
from steadynet.nvm.device import Device
from steadynet.nvm.matrix import PLAIN, Matrix
from steadynet.programmable import check_programmable


@dataclass(frozen=True)
class MappedTensor:
    """A parameter that lies on devices.

    Attributes:
        name: Its name in `model.named_parameters()`; that of the first place if it is tied.
        shape: Its shape.
        kind: What layer it belongs to: convolution, linear, recurrent, attention, embedding, or named (by
            a pattern).
        aliases: Its other names, where the model ties it. All share one programming.
        devices: NVM devices that it takes, J in each of two sign crossbars: 2 J · weights.
        matrix: How it lies on crossbars.
        crossbars: How many it takes, those of both signs.
        norm: The BatchNorm that is folded into it, by name; None without one.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    aliases: tuple[str, ...]
    devices: int
    matrix: Matrix = PLAIN
    crossbars: int = 0
    norm: str | None = None

    @property
    def weights(self) -> int:
        """How many weights it holds."""
        return torch.Size(self.shape).numel()


@dataclass(frozen=True)
class DigitalTensor:
    """A parameter that stays digital, and why."""

    name: str
    shape: tuple[int, ...]
    reason: str

    @property
    def weights(self) -> int:
        """How many numbers it holds."""
        return torch.Size(self.shape).numel()


@dataclass(frozen=True)
class Layout:
    """What of a model lies on devices (`mapped`) and what does not (`digital`)."""

    mapped: tuple[MappedTensor, ...]
    digital: tuple[DigitalTensor, ...]

    def __iter__(self) -> Iterator[MappedTensor]:
        return iter(self.mapped)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the mapped parameters."""
        return tuple(tensor.name for tensor in self.mapped)

    @property
    def made_of(self) -> frozenset[str]:
        """Names of the digital parameters that parametrised weights on devices are computed from."""
        parts = {t.name: re.fullmatch(r"(.*?)parametrizations\.(.+)\.[^.]+", t.name) for t in self.digital}
        return frozenset(name for name, part in parts.items() if part and part[1] + part[2] in self.names)

    @property
    def weights(self) -> int:
        """How many numbers the network computes with, a parametrised weight on devices counted once, as what it comes to."""
        within = self.made_of
        return sum(t.weights for t in (*self.mapped, *self.digital) if t.name not in within)

    def __str__(self) -> str:
        total = self.weights
        rows = [("parameter", "shape", "weights", "devices", "where")]
        rows += [
            (
                " = ".join((t.name, *t.aliases)),
                "×".join(map(str, t.shape)),
                f"{t.weights:,}",
                f"{t.devices:,}",
                t.kind,
            )
            for t in self.mapped
        ]
        rows += [
            (t.name, "×".join(map(str, t.shape)), f"{t.weights:,}", "–", f"digital: {t.reason}")
            for t in self.digital
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}"
            for a, b, c, d, e in rows
        ]
        on = sum(t.weights for t in self.mapped)
        lines.append(
            f"{on:,} of {total:,} parameters ({on / total:.2%}) lie on {sum(t.devices for t in self.mapped):,} devices"
        )
        return "\n".join(lines)


def layout(
    model: nn.Module,
    device: Device | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    allow_none: bool = False,
) -> Layout:
    """Return which parameters of `model` lie on devices.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
        >>> layout(net).names
        ('0.weight',)
        >>> layout(net).digital[0].reason
        'bias of Linear'

    Args:
        model: Any module. It is not changed.
        device: Its J gives the number of devices, its `include` and `exclude` the exceptions to the rule; the
            default device if None.
        include: Further patterns of parameter names (`fnmatch`) that lie on devices whatever the rule says.
        exclude: Further patterns of names that do not, whatever the rule and `include` say.
        allow_none: Whether nothing at all may lie on devices.

    Raises:
        SteadyNetError: If nothing would be mapped, a pattern matches no parameter, or the model has a
            part that cannot be programmed (TorchScript, a data-parallel wrapper, a layer whose weight is
            computed by a hook): such a part would stay clean unnoticed.
    """
    if not isinstance(model, nn.Module):
        raise SteadyNetError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    check_programmable(model)
    device = device or Device()
    include, exclude = (*device.include, *include), (*device.exclude, *exclude)
    names = [*(name for name, _ in model.named_parameters(remove_duplicate=False)), *computed_places(model)]
    for pattern in (*include, *exclude):
        if not fnmatch.filter(names, pattern):
            raise SteadyNetError(f"pattern {pattern!r} matches no parameter of {type(model).__name__}")
    mapped: list[MappedTensor] = []
    digital: list[DigitalTensor] = []
    for places in _tied(model):
        parameter = places[0][2]
        all_names = tuple(name for name, _, _ in places)
        verdicts = [verdict(owner, name.rpartition(".")[2]) for name, owner, _ in places]
        kind = next((kind for kind, _ in verdicts if kind), None)
        reason = verdicts[0][1]
        if _matches(all_names, include):
            kind = kind or "named"
        if _matches(all_names, exclude):
            kind, reason = None, "excluded by name"
        if kind and not parameter.is_floating_point():
            kind, reason = None, f"its dtype {parameter.dtype} is no floating point"
        shape = tuple(parameter.shape)
        if kind:
            # The layer that computes with it says how it lies, not whoever holds it first.
            owner = next(
                (own for (_, own, _), (rule, _) in zip(places, verdicts, strict=True) if rule), places[0][1]
            )
            mapped.append(_mapped(all_names, kind, owner, parameter, device))
        else:
            digital.append(DigitalTensor(all_names[0], shape, reason))
    for name, (owner, key) in computed_places(model).items():
        kind = verdict(owner, key)[0]
        kind = kind or ("named" if _matches((name,), include) else None)
        if kind is None or _matches((name,), exclude):
            continue
        mapped.append(_mapped((name,), kind, owner, evaluated(owner, key), device))
    if device.fold_bn and mapped:
        norms = folded_pairs(model)
        mapped = [dataclasses.replace(tensor, norm=_norm_of(tensor, norms)) for tensor in mapped]
    if not mapped and not allow_none:
        raise SteadyNetError(
            f"{type(model).__name__} has no weight that lies on devices ({len(digital)} parameters stay digital): "
            "name some by Device(include=[…]) or --include"
        )
    found = Layout(tuple(mapped), tuple(digital))
    if not allow_none:
        _check_faults(found, device)
    return found


def _norm_of(tensor: MappedTensor, norms: Mapping[str, str]) -> str | None:
    """Return the BatchNorm that is folded into a tensor.

    Raises:
        SteadyNetError: If layers that share it have norms of their own: chips would hold two different weights.
    """
    own = {norms.get(name) for name in (tensor.name, *tensor.aliases)}
    if len(own) > 1:
        raise SteadyNetError(
            f"{tensor.name} is tied to {', '.join(tensor.aliases)}, and BatchNorm behind them makes different weights of it: "
            "leave out fold_bn"
        )
    return own.pop()


def _check_faults(found: Layout, device: Device) -> None:
    """Raise `SteadyNetError` if a device has faults of a tensor that does not lie on devices: they would be left out."""
    for effect in device.effects:
        names: tuple[str, ...] = getattr(effect, "tensors", ())
        for name in names:
            owner = next((t.name for t in found.mapped if name in t.aliases), None)
            if owner is not None:
                raise SteadyNetError(
                    f"the fault map tells of {name}, which is tied to {owner}: give its faults by that name"
                )
            if name not in found.names:
                raise unknown("tensor in the fault map", name, found.names)


def matching(layout: Layout, patterns: Sequence[str], what: str) -> frozenset[str]:
    """Return the names of the mapped parameters that match one of the patterns, a tied one by any of its names.

    Args:
        layout: What lies on devices.
        patterns: Of names, as `fnmatch` has them.
        what: How a refusal calls a pattern.

    Raises:
        SteadyNetError: If a pattern matches nothing that lies on devices; the nearest names are told.
    """
    found: set[str] = set()
    for pattern in patterns:
        matched = {t.name for t in layout.mapped if _matches((t.name, *t.aliases), [pattern])}
        if not matched:
            raise unknown(what, pattern, [name for t in layout.mapped for name in (t.name, *t.aliases)])
        found |= matched
    return frozenset(found)


def check_finite(model: nn.Module) -> None:
    """Raise `SteadyNetError` if a parameter or running statistic of `model` is NaN or infinite, or another buffer NaN, naming it.

    A buffer may be infinite on purpose, as a mask of attention is.
    """
    strict = {name for name, _ in model.named_parameters()}
    strict |= {name for name, _ in model.named_buffers() if name.endswith(("running_mean", "running_var"))}
    for name, tensor in _tensors(model):
        if not tensor.is_floating_point():
            continue
        bad = ~torch.isfinite(tensor) if name in strict else torch.isnan(tensor)
        if bool(bad.any()):
            count = int(bad.sum())
            raise SteadyNetError(
                f"{name} of {type(model).__name__} holds {count} NaN or infinite values: load a good checkpoint"
            )


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _tied(model: nn.Module) -> Iterable[list[tuple[str, nn.Module, Tensor]]]:
    """Group the parameters' places (name, owner, tensor) by the tensor that they share."""
    groups: dict[int, list[tuple[str, nn.Module, Tensor]]] = {}
    seen: set[str] = set()
    modules = cast("Iterator[tuple[str, nn.Module]]", model.named_modules(remove_duplicate=False))
    for prefix, module in modules:
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            name = f"{prefix}.{key}" if prefix else key
            if name not in seen:
                seen.add(name)
                groups.setdefault(id(parameter), []).append((name, module, parameter))
    return groups.values()


def _mapped(
    names: tuple[str, ...], kind: str, owner: nn.Module, tensor: Tensor, device: Device
) -> MappedTensor:
    """Return a tensor of a layer as it lies on devices.

    Raises:
        SteadyNetError: If the layer changes it whenever it computes.
    """
    if getattr(owner, "max_norm", None) is not None:
        raise SteadyNetError(
            f"{names[0]} belongs to an embedding that shortens its weights in each forward, which programmed ones cannot be: "
            "let it have max_norm=None, or exclude it"
        )
    shape = tuple(tensor.shape)
    matrix = matrix_of(owner, shape)
    crossbars = 2 * sum(1 for _ in matrix.tiles(shape, device.tile_weights))
    return MappedTensor(
        names[0], shape, kind, names[1:], 2 * device.slices * tensor.numel(), matrix, crossbars
    )


def _matches(names: tuple[str, ...], patterns: Sequence[str]) -> bool:
    return any(fnmatch.filter(names, pattern) for pattern in patterns)
