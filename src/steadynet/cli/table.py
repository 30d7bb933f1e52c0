"""A plain table on the terminal, as wide as the terminal, or as its text where there is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

Row = tuple[str, ...]


def print_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print `rows` under `columns`; a file or pipe gets every row on one line, so that tools can read it."""
    console = Console() if sys.stdout.isatty() else Console(width=max(200, _width(columns, rows)))
    # As texts: brackets in a name would be taken for colours.
    table = Table(*map(_header, columns), box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _header(name: str) -> Column:
    # In a narrow terminal lines are broken: what is cut off would be lost.
    return Column(Text(name), overflow="fold")


def _width(columns: Sequence[str], rows: Sequence[Row]) -> int:
    return sum(max(len(row[i]) for row in (columns, *rows)) + 3 for i in range(len(columns)))
