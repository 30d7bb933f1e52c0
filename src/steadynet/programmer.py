"""Many chips of one trained model: its weights quantised once, its memory used again from chip to chip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from steadynet.chip import norm_scale
from steadynet.computed import named_weights
from steadynet.errors import SteadyNetError
from steadynet.mapping import Layout
from steadynet.nvm.device import Device
from steadynet.nvm.programming import Target
from steadynet.randomness import Source, Stream


class Programmer:
    """Programs chips of a model whose weights stay as they are.

    It gives the very weights that `steadynet.program` gives, draw for draw. What it returns is overwritten when it programs
    again.

    Args:
        model: Its weights are read once, here.
        device: The devices and how they err.
        layout: What lies on devices.
        seed: The user's seed.
        dtype: Of the programmed weights, cast once as they are programmed; that of the model's weights if None.
    """

    def __init__(
        self,
        model: nn.Module,
        device: Device,
        layout: Layout,
        *,
        seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        parameters = named_weights(model, layout.names)
        self._seed = seed
        weights = {name: weight.detach() for name, weight in parameters.items()}
        if not device.quantize:
            # Their targets would else lie in the weights' own memory, and follow them.
            weights = {name: weight.clone() for name, weight in weights.items()}
        self._reads = device.read_noise
        self._targets: dict[str, Target] = {}
        self._scales: dict[str, Tensor] = {}
        for mapped in layout:
            weight = weights[mapped.name]
            scale = norm_scale(model, mapped, weight)
            if scale is not None:
                if silent := int((scale == 0).sum()):
                    raise SteadyNetError(
                        f"{mapped.norm} multiplies {silent} of its channels by 0, which hides the errors of their devices: leave "
                        "out fold_bn, or test the network folded for good, steadynet.fold_batchnorm(model)"
                    )
                self._scales[mapped.name] = scale
                weight = weight * scale
            self._targets[mapped.name] = Target.of(weight, device, mapped.matrix)
        self._dtypes = {name: dtype or parameters[name].dtype for name in layout.names}
        self._held: dict[str, Tensor] = {}

    @property
    def bytes(self) -> int:
        """What one chip's weights take."""
        return sum(
            target.clean.numel() * self._dtypes[name].itemsize for name, target in self._targets.items()
        )

    def forget(self) -> None:
        """Give back the memory that chips were programmed into."""
        self._held.clear()

    def program(self, draw: int, stream: Stream) -> dict[str, Tensor]:
        """Return the weights that the chip of `draw` holds at its first reading, by name."""
        return {name: stacked[0] for name, stacked in self.program_many([draw], stream).items()}

    def chips(self, draws: Sequence[int], stream: Stream) -> Callable[[int], dict[str, Tensor]]:
        """Program chips that are to be read many times.

        Returns:
            What gives their weights at the reading of a number, by name, stacked along a new first dimension [D, …]. Without read
            noise all readings are one.
        """
        if not self._reads:
            held = self.program_many(draws, stream)
            return lambda _read: held
        with torch.no_grad():
            settled = {
                name: [target.settle(self._source(name, draw, stream)) for draw in draws]
                for name, target in self._targets.items()
            }

        def read(number: int) -> dict[str, Tensor]:
            found: dict[str, Tensor] = {}
            with torch.no_grad():
                for name, target in self._targets.items():
                    stacked = self._memory(name, target, len(draws))
                    for out, draw, state in zip(stacked, draws, settled[name], strict=True):
                        self._unfold(name, target.read(state, self._source(name, draw, stream, number), out))
                    found[name] = stacked
            return found

        return read

    def program_many(self, draws: Sequence[int], stream: Stream) -> dict[str, Tensor]:
        """Return the weights of several chips, by name, stacked along a new first dimension [D, …]."""
        found: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, target in self._targets.items():
                stacked = self._memory(name, target, len(draws))
                for out, draw in zip(stacked, draws, strict=True):
                    self._unfold(name, target.program(self._source(name, draw, stream), out))
                found[name] = stacked
        return found

    def _unfold(self, name: str, out: Tensor) -> None:
        """Divide by what was folded in, in place: the network computes with its norm."""
        if name in self._scales:
            out.div_(self._scales[name])

    def _source(self, name: str, draw: int, stream: Stream, read: int = 0) -> Source:
        # On the CPU, so that chips agree across hosts.
        return Source(self._seed, stream, draw, 0, name, "cpu", read=read)

    def _memory(self, name: str, target: Target, chips: int) -> Tensor:
        held = self._held.get(name)
        if held is None or len(held) < chips:
            shape = (chips, *target.clean.shape)
            held = torch.empty(shape, dtype=self._dtypes[name], device=target.clean.device)
            self._held[name] = held
        return held[:chips]
