"""Errors that devices share: of a whole chip, or of a column of a crossbar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadynet.errors import check_choice, check_number
from steadynet.nvm.composed import DeviceEffect
from steadynet.nvm.normals import standard_normal

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device
    from steadynet.randomness import Source

Kind = Literal["gain", "offset"]
KINDS: tuple[Kind, ...] = ("gain", "offset")


@dataclass(frozen=True)
class Common(DeviceEffect):
    """Errors that all devices of a chip, or of a column (an output channel), have in common.

        gain:    x → x (1 + ε),        offset:  x → x + ε,        ε = σ_chip Z_chip + σ_column Z_column

    An offset cancels between two crossbars that are both read (`crossbars="both"` or "differential"), and shifts weights by
    sign(w) ε where one of them holds the weight.

    Args:
        chip: σ_chip ≥ 0, the same Z for all tensors of a chip.
        column: σ_column ≥ 0, one Z for each output channel of each tensor: its first dimension, the second where inputs come
            first (transposed convolutions, embeddings).
        kind: "gain", of references and supplies, or "offset", of leakage and read-out.

    Raises:
        SteadyNetError: If a value is out of its range.
    """

    chip: float = 0.0
    column: float = 0.0
    kind: Kind = "gain"

    def __post_init__(self) -> None:
        check_number("Common's chip", self.chip, at_least=0)
        check_number("Common's column", self.column, at_least=0)
        check_choice("Common's kind", self.kind, KINDS)

    @property
    def per_weight(self) -> bool:
        """True."""
        return True

    def on_devices(self, x: Tensor, targets: Tensor, device: Device, source: Source) -> Tensor:
        """Return x (1 + ε) or x + ε."""
        error = self._error(x[0, 0], source)
        return x * (1 + error) if self.kind == "gain" else x + error

    def on_weights(
        self, weights: Tensor, clean: Tensor, unit: Tensor, device: Device, source: Source
    ) -> Tensor:
        """Return the weights with what the error of their devices' conductances comes to."""
        import torch

        error = self._error(weights, source)
        if self.kind == "gain":
            weights = weights * (1 + error)
        if device.crossbars != "one":
            return weights
        # One crossbar is read against the least conductance, which has no error: 1/R of g_max, and ε of it stays.
        window = 1 - device.least
        shift = device.least / window if self.kind == "gain" else 1 / window
        if not shift:
            return weights
        # The sign of the code, which is what lies on devices; of one that rounds to 0 it counts as positive.
        side = torch.where(clean < -unit / 2, -1.0, 1.0).to(weights.dtype)
        return weights + side * error * (shift * device.max_code) * unit

    def _error(self, like: Tensor, source: Source) -> Tensor:
        """Return ε, broadcastable to the tensor."""
        error = like.new_zeros(())
        if self.chip:
            drawn = standard_normal((), source.chip_generator(f"common {self.kind}"), like)
            error = error + drawn * (self.chip * source.sign)
        if self.column:
            error = error + _of_outputs(like, source, f"column {self.kind}") * (self.column * source.sign)
        return error


def _of_outputs(like: Tensor, source: Source, of: str) -> Tensor:
    """Return a normal number for each output channel, broadcastable to the tensor."""
    matrix = source.matrix
    if matrix is None or not matrix.input_major or like.dim() < 2:
        shape = (like.shape[0] if like.dim() else 1, *[1] * (like.dim() - 1))
        return standard_normal(shape, source.generator(of), like).view(shape if like.dim() else ())
    # Inputs come first, those of each group together; a group has outputs of its own.
    shape = (matrix.groups, like.shape[1], *[1] * (like.dim() - 2))
    drawn = standard_normal(shape, source.generator(of), like)
    return drawn if matrix.groups == 1 else drawn.repeat_interleave(like.shape[0] // matrix.groups, dim=0)
