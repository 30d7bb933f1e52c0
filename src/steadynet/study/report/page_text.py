"""Text for the report's page: numbers in words, and all else inert, whatever it holds."""

from __future__ import annotations

import html
import json
import math
import re
import textwrap
from typing import Any


def escaped(text: str) -> str:
    """Return text for HTML, inside an element or a quoted attribute."""
    return html.escape(_clean(text), quote=True)


def shown_number(value: float) -> str:
    """Return a number for the eye, with six digits at most; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"


def data(value: float, text: str | None = None) -> str:
    """Return a number as an element that shows it and holds all of its digits."""
    seen = escaped(shown_number(value) if text is None else text)
    return f'<data value="{value!r}">{seen}</data>' if math.isfinite(value) else seen


def at(value: float | str) -> str:
    """Return where a point stands, a number or a name, as text."""
    return value if isinstance(value, str) else shown_number(float(value))


def embedded(value: Any) -> str:
    """Return JSON that can stand in a script element: nothing in it ends the element, and NaN is null."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def plotted(text: str, width: int = 0) -> str:
    """Return text for Plotly, which reads some tags and entities in it; wrapped at `width` if given."""
    lines = textwrap.wrap(_clean(text), width, break_on_hyphens=False) if width else [_clean(text)]
    # A dollar would ask for MathJax.
    return "<br>".join(html.escape(line, quote=False).replace("$", "&#36;") for line in lines)


class Anchors:
    """Hands out ids that are unique in the page."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, *parts: str) -> str:
        """Return an id made of words, and of a number if it is taken."""
        base = "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") or "x" for part in parts)
        made, number = base, 1
        while made in self._taken:
            number += 1
            made = f"{base}-{number}"
        self._taken.add(made)
        return made


def _clean(text: str) -> str:
    """Leave out what HTML cannot hold: control characters, and halves of characters."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value
