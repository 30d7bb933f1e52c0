"""CorrectNet's orthogonal regularisation: rows of a weight that do not amplify what errors leave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from steadynet.errors import SteadyNetError, check_number
from steadynet.recipes.base import FreeWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadynet.mapping import Layout
    from steadynet.nvm.matrix import Matrix
    from steadynet.recipes.constraint.state import Remembered


@dataclass(frozen=True)
class Orthogonal(FreeWeights):
    """A penalty on each programmed weight W, flattened to [outputs, inputs of each].

        penalty = strength · Σ_W ‖WᵀW − λ² I‖²_F.

    With λ = 1 it is the form that the authors of negative feedback training ran as CorrectNet. CorrectNet's own bounds the
    Lipschitz constant of a layer whose weights err as w e^θ, θ ~ N(0, σ²), by k ≤ 1:

        λ = k / (e^{σ²/2} + 3 sqrt((e^{σ²} − 1) e^{σ²})).

    ‖WᵀW − λ²I‖² and ‖WWᵀ − λ²I‖² differ by a constant, so the smaller of the two matrices is computed.

    Args:
        strength: The penalty's weight, > 0.
        lipschitz: k in (0, 1] for CorrectNet's own form; None for λ = 1.
        sigma: σ of the log-normal error in λ; the training's σ_d if None.

    Raises:
        SteadyNetError: If a number is out of its range, or `sigma` is given without `lipschitz`.

    Source:
        Eldebiky et al., "CorrectNet", DATE 2023; 5e-4 and λ = 1 from the code of "Negative Feedback Training".
    """

    strength: float = 5e-4
    lipschitz: float | None = None
    sigma: float | None = None

    def __post_init__(self) -> None:
        check_number("orthogonal (strength)", self.strength, above=0)
        if self.lipschitz is not None:
            check_number("lipschitz", self.lipschitz, above=0, at_most=1)
        elif self.sigma is not None:
            raise SteadyNetError(
                "orthogonal_sigma is the sigma of CorrectNet's own form, which lipschitz asks for: give lipschitz too"
            )
        if self.sigma is not None:
            check_number("orthogonal_sigma", self.sigma, at_least=0)

    def radius(self, sigma_d: float) -> float:
        """Return λ, for a training at `sigma_d`."""
        if self.lipschitz is None:
            return 1.0
        square = (sigma_d if self.sigma is None else self.sigma) ** 2
        return self.lipschitz / (math.exp(square / 2) + 3 * math.sqrt(math.expm1(square) * math.exp(square)))

    def setup(self, weights: Mapping[str, Tensor], sigma_d: float, layout: Layout | None = None) -> nn.Module:
        """Return the module that remembers λ² of each weight."""
        import torch

        from steadynet.recipes.constraint.state import Remembered

        squares = {name: torch.tensor(self.radius(sigma_d) ** 2) for name in weights}
        return Remembered(squares, layout=layout)

    def penalty(self, weights: Mapping[str, Tensor], state: nn.Module) -> Tensor | None:
        """Return strength · Σ ‖WᵀW − λ²I‖²_F, computed in float32 or wider."""
        import torch

        squares = cast("Remembered", state)
        distances = [_distance(w, squares.of(n), squares.matrix(n)) for n, w in weights.items()]
        return self.strength * torch.stack(distances).sum()


def _distance(weight: Tensor, square: Tensor, matrix: Matrix) -> Tensor:
    import torch

    from steadynet.recipes.constraint.state import by_output

    rows = by_output(weight, matrix)
    with torch.autocast(rows.device.type, enabled=False):
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        small = wide if wide.shape[0] <= wide.shape[1] else wide.T
        gram = small @ small.T
        # WᵀW has as many eigenvalues as columns; those that WWᵀ lacks are zeros, each at a distance of λ².
        beside = max(0, wide.shape[1] - wide.shape[0]) * square**2
        return (
            gram - square * torch.eye(len(gram), dtype=wide.dtype, device=wide.device)
        ).square().sum() + beside
