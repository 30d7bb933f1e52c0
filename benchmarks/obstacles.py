"""What stands in the way of a target: read off the profiles, by row, and told only where the target is missed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OBSTACLES: Mapping[str, str] = MappingProxyType({})
