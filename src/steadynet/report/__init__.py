"""From rows of results to what people read: a table on the terminal, CSV, JSON, and figures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steadynet.report.figures import draw_figures
    from steadynet.report.files import write_report
    from steadynet.report.rows import Cell, Row, summarise
    from steadynet.report.table import markdown_table, print_table

__all__ = ["Cell", "Row", "draw_figures", "markdown_table", "print_table", "summarise", "write_report"]

# Loaded when asked for: rows and differences are read where matplotlib is not wanted.
_HOME = {
    "Cell": "rows",
    "Row": "rows",
    "draw_figures": "figures",
    "markdown_table": "table",
    "print_table": "table",
    "summarise": "rows",
    "write_report": "files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
