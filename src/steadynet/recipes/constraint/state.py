"""What a constraint remembers or learns of each weight tensor: a tensor under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from steadynet.errors import SteadyNetError


class Remembered(nn.Module):
    """A buffer, or a learned parameter, for each of some names, saved and moved with the training.

    Args:
        tensors: By the weights' names.
        learned: Whether they are trained.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, learned: bool = False) -> None:
        super().__init__()
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
