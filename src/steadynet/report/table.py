"""The table on the terminal: recipe × σ_d."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich.box import MARKDOWN, SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from steadynet.report.differences import Difference, differences, differences_caption, render_differences
from steadynet.report.rows import Cell, Row, interval_caption, order, summarise, training_caption


def print_table(rows: Sequence[Row], title: str, *, draws: int | None = None) -> None:
    """Print the tables with their captions; without a terminal they are as wide as they need to be."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    cells, found = summarise(rows), differences(rows)
    console.print(f"accuracy in %: {title}", highlight=False, markup=False)
    console.print(render_table(cells))
    if found:
        console.print(render_differences(found))
    for line in captions(cells, found, draws):
        console.print(line, highlight=False, markup=False)


def markdown_table(rows: Sequence[Row], title: str, *, draws: int | None = None) -> str:
    """Return the tables with their captions as Markdown."""
    cells, found = summarise(rows), differences(rows)
    tables = [_markdown(render_table(cells, MARKDOWN))]
    if found:
        tables.append(_markdown(render_differences(found, MARKDOWN)))
    notes = "\n".join(f"- {line.replace('*:', 'An asterisk:')}" for line in captions(cells, found, draws))
    return f"Accuracy in %: {title}\n\n" + "\n\n".join(tables) + f"\n\n{notes}\n"


def _markdown(table: Table) -> str:
    console = Console(width=400, file=io.StringIO(), no_color=True)
    with console.capture() as captured:
        console.print(table)
    text = "\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip())
    return text.replace("*", r"\*")


def captions(cells: Sequence[Cell], found: Sequence[Difference] = (), draws: int | None = None) -> list[str]:
    """Return what a reader must know: what intervals are over, at which σ_d was trained, what * means.

    Args:
        cells: From `summarise`.
        found: From `differences`.
        draws: Simulated chips per network and σ_d.
    """
    lines = [interval_caption(cells, draws)]
    if found:
        lines.append(differences_caption(found))
    lines.append(training_caption(cells))
    if any(
        "…" in _clean([cell for cell in cells if cell.recipe == recipe])
        for recipe in order(c.recipe for c in cells)
    ):
        lines.append("clean a … b: least and greatest of the networks trained for these sigma_d")
    if any(cell.converged is False for cell in cells):
        lines.append(
            "*: not converged (clean accuracy more than 2 points under vanilla's): it needs more steps"
        )
    return lines


def render_table(cells: Sequence[Cell], box: Box = SIMPLE_HEAD) -> Table:
    """Return the table: accuracy in % ± half the interval for each recipe and σ_d, and clean accuracy.

    A cell that is not converged bears an asterisk.

    Args:
        cells: From `summarise`.
        box: How it is framed.
    """
    sigmas = sorted({cell.sigma_d for cell in cells})
    table = Table(box=box, pad_edge=False)
    # In a narrow terminal lines are broken: what is cut off would be lost.
    table.add_column("recipe", overflow="fold")
    table.add_column("clean", justify="right", overflow="fold")
    for sigma in sigmas:
        table.add_column(f"sigma_d {sigma:g}", justify="right", overflow="fold")
    for recipe in order(cell.recipe for cell in cells):
        own = [cell for cell in cells if cell.recipe == recipe]
        # A σ_d trained twice (not by our own commands) gives a line for each.
        lines = max(sum(cell.sigma_d == sigma for cell in own) for sigma in sigmas)
        for line in range(lines):
            row = [_nth(own, sigma, line) for sigma in sigmas]
            table.add_row(
                Text(recipe), _clean([cell for cell in row if cell is not None]), *map(accuracy_text, row)
            )
    return table


def accuracy_text(cell: Cell | None) -> str:
    """Return accuracy ± half its interval in %, with an asterisk if the training is not converged."""
    if cell is None or "accuracy" not in cell.metrics:
        return "-"
    accuracy = cell.metrics["accuracy"]
    half = "" if math.isnan(accuracy.half_width) else f" ± {100 * accuracy.half_width:.2f}"
    return f"{100 * accuracy.mean:.2f}{half}{'*' if cell.converged is False else ''}"


def _nth(cells: Sequence[Cell], sigma: float, line: int) -> Cell | None:
    found = [cell for cell in cells if cell.sigma_d == sigma]
    return found[line] if line < len(found) else None


def _clean(cells: Sequence[Cell]) -> str:
    """Return the clean accuracy in %, as a range where the networks differ from σ_d to σ_d."""
    values = sorted({round(100 * cell.clean, 2) for cell in cells if not math.isnan(cell.clean)})
    if not values:
        return "-"
    return f"{values[0]:.2f}" if len(values) == 1 else f"{values[0]:.2f} … {values[-1]:.2f}"
