"""A plain table on the terminal, as wide as the terminal, or as its text where there is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Row = tuple[str, ...]


def print_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print `rows` under `columns`; a file or pipe gets every row on one line, so that tools can read it."""
    console = Console() if sys.stdout.isatty() else Console(width=max(200, _width(columns, rows)))
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _width(columns: Sequence[str], rows: Sequence[Row]) -> int:
    return sum(max(len(row[i]) for row in (columns, *rows)) + 3 for i in range(len(columns)))
