"""What a constraint remembers or learns of each weight tensor: a tensor under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.nvm.matrix import PLAIN, Matrix

if TYPE_CHECKING:
    from steadynet.mapping import Layout


class Remembered(nn.Module):
    """A buffer, or a learned parameter, for each of some names, saved and moved with the training.

    Args:
        tensors: By the weights' names.
        learned: Whether they are trained.
        layout: How the weights lie on devices; outputs first if None.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], *, learned: bool = False, layout: Layout | None = None
    ) -> None:
        super().__init__()
        self._matrices = {} if layout is None else {mapped.name: mapped.matrix for mapped in layout.mapped}
        # A module's own names must not hold the dots of a parameter's.
        self._keys = {name: f"of{number}" for number, name in enumerate(tensors)}
        for name, tensor in tensors.items():
            own = tensor.detach().clone()
            if learned:
                self.register_parameter(self._keys[name], nn.Parameter(own))
            else:
                self.register_buffer(self._keys[name], own)

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each weight's name and its tensor."""
        for name in self._keys:
            yield name, self.of(name)

    def matrix(self, name: str) -> Matrix:
        """Return how a weight lies on crossbars."""
        return self._matrices.get(name, PLAIN)

    def of(self, name: str) -> Tensor:
        """Return the tensor of a weight."""
        tensor = getattr(self, self._keys[name])
        if not isinstance(tensor, Tensor):  # pragma: no cover (a module's attribute could be anything)
            raise TypeError(name)
        return tensor


def sizes(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the root mean square of each weight tensor.

    Raises:
        SteadyNetError: If one is all 0.
    """
    found = {name: weight.detach().square().mean().sqrt() for name, weight in weights.items()}
    for name, size in found.items():
        if not float(size) > 0:
            raise SteadyNetError(
                f"{name} is all 0, so it has no size to be held at: initialise it, or exclude it"
            )
    return found


def by_output(weight: Tensor, matrix: Matrix = PLAIN) -> Tensor:
    """Return a weight as [outputs, inputs of each], whichever of its dimensions counts the outputs.

    One of fewer than two dimensions is a single row.
    """
    if weight.dim() < 2:
        return weight.view(1, -1)
    if not matrix.input_major:
        return weight.flatten(1)
    # Of a transposed convolution [I, O/g, k, k]: the first dimension holds the inputs, group by group.
    grouped = weight.reshape(matrix.groups, -1, *weight.shape[1:])
    return grouped.transpose(1, 2).flatten(0, 1).flatten(1)


def over_outputs(rows: Tensor, weight: Tensor, matrix: Matrix = PLAIN) -> Tensor:
    """Return a number of each output [outputs] so that it meets that output's weights: what `by_output` took apart."""
    if weight.dim() < 2:
        return rows.view(())
    rest = [1] * (weight.dim() - 2)
    if not matrix.input_major:
        return rows.view(-1, 1, *rest)
    grouped = rows.view(matrix.groups, 1, -1, *rest)
    inputs = weight.shape[0] // matrix.groups
    return grouped.expand(-1, inputs, *grouped.shape[2:]).flatten(0, 1)
