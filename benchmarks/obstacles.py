"""What stands in the way of a target: read off the profiles, by row, and told only where the target is missed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_DESIGN = (
    "the prediction knows neither the pilot's time, nor that the work ends with a quarter of a cycle, nor what the interval adds "
    "against skewness and few chips, nor a forward's fixed cost for each block"
)

OBSTACLES: Mapping[str, str] = MappingProxyType(
    {f"design-{spread}-share": _DESIGN for spread in ("small", "medium", "large")}
)
