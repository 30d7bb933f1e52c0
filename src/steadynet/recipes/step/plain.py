"""The plain gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Plain:
    """One evaluation of the objective, one backward."""

    def loss(self, compute: Callable[[], Tensor]) -> Tensor:
        """Return the objective's loss as it is."""
        return compute()
