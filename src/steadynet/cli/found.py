"""What an evaluation found at one σ_d, of one run or of two that are held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steadynet.montecarlo import Estimate


@dataclass(frozen=True, eq=False)
class Found:
    """What was found at one σ_d.

    Attributes:
        references: Accuracy of each clean network, and of it quantised without error.
        first: Of the run.
        second: Of the run that it is held against, if there is one.
        difference: Accuracy of the first minus that of the second.
        reached: Whether the interval that was asked for, of the difference if there is one, is as narrow.
    """

    references: tuple[tuple[float, float], ...]
    first: Any
    second: Any = None
    difference: Estimate | None = None
    reached: bool = True
