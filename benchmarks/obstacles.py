"""What stands in the way of a target: read off the profiles, by row, and told only where the target is missed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_DESIGN = (
    "the prediction takes a symmetric interval, the best block size and nothing but programmings and images; the run pays for "
    "the pilot, for a block size chosen from 20 chips, and for an interval whose longer side must be narrow enough, where "
    "accuracies are skewed"
)
_MEMORY = (
    "four forwards and backwards are 4, programming them and adding up their gradients 0.2; the rest lies in the same "
    "operations: convolutions, BatchNorm and ReLU take longer with four graphs alive, probably for memory that the system "
    "hands out afresh"
)

OBSTACLES: Mapping[str, str] = MappingProxyType(
    {f"design-{spread}-share": _DESIGN for spread in ("small", "medium", "large")}
    | {
        "ovf-fast": _MEMORY,
        "ovf-lean": "four forwards more than the fast form, whose operations take longer than in a plain step too",
        "best": "drawing 12.9 million normals, which torch does on one core, is 2 % of the float32 step",
    }
)
