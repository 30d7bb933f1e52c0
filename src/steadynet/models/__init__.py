"""Plain networks without a word about noise, by name or import path.

The names are known without torch, which `build` imports when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steadynet.models.names import MODELS, ModelName

if TYPE_CHECKING:
    from steadynet.models.registry import build

__all__ = ["MODELS", "ModelName", "build"]


def __getattr__(name: str) -> Any:
    if name == "build":
        from steadynet.models.registry import build

        return build
    raise AttributeError(f"module 'steadynet.models' has no attribute {name!r}")
