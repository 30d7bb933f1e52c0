"""Draw: `python -m benchmarks.table [FILE]` prints the measured rows as a table and writes it as Markdown."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN, SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table

from benchmarks.benches import BENCHES
from benchmarks.harness import Ratio
from benchmarks.machine import ROOT
from benchmarks.obstacles import OBSTACLES
from benchmarks.scale import SCALES
from benchmarks.store import read
from steadynet.errors import SteadyNetError
from steadynet.files import write_text_atomically

RESULTS = ROOT / "benchmarks" / "results"


def rows_of(found: dict[str, Any]) -> list[Ratio]:
    """Return the rows of a file in the table's order."""
    benches: dict[str, Any] = found["benches"]
    return [Ratio.from_dict(plain) for name in BENCHES if name in benches for plain in benches[name]["rows"]]


def render(rows: Sequence[Ratio], *, judged: bool, box: Box = SIMPLE_HEAD) -> Table:
    """Return the table: what, target, measured, spread, met?

    Args:
        rows: To be shown.
        judged: Whether the targets are those of the scale that was measured.
        box: How it is framed.
    """
    table = Table(box=box, pad_edge=False)
    table.add_column("what", overflow="fold")
    for column in ("target", "measured", "quartiles", "min … max", "rounds"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("met?", no_wrap=True)
    for row in rows:
        low, high = row.quartiles
        table.add_row(
            row.what + (" *" if row.computed else ""),
            "" if row.target is None else str(row.target),
            f"{row.median:.3g}",
            f"{low:.3g} … {high:.3g}",
            f"{min(row.ratios):.3g} … {max(row.ratios):.3g}",
            str(len(row.ratios)),
            _met(row, judged),
        )
    return table


def _met(row: Ratio, judged: bool) -> str:
    if row.met is None or not judged:
        return ""
    return "yes" if row.met else "no"


def _short(commit: str) -> str:
    number, dash, changed = commit.partition("-")
    return number[:12] + dash + changed


def notes(found: dict[str, Any], rows: Sequence[Ratio]) -> list[str]:
    """Return what a reader must know: the machine, the versions, what was computed, what failed, what was missed."""
    machine: dict[str, Any] = found["head"]["machine"]
    judged = SCALES[found["head"]["scale"]].judged
    lines = [
        f"{machine['cpu']} ({', '.join(machine['flags']) or 'no vector flags known'}), {machine['cores']} cores, "
        f"{machine['memory']} GiB, {machine['threads']} threads; {machine['system']}",
        f"torch {machine['torch']}, Python {machine['python']}, SteadyNet {machine['steadynet']}, commit "
        + ", ".join(sorted({_short(bench["commit"]) for bench in found["benches"].values()})),
        "measured: the median of the rounds' ratios; both sides ran in turn in every round",
    ]
    if not judged:
        lines.append(
            f"scale {found['head']['scale']}: the targets are those of the full scale, and not judged here"
        )
    lines += [f"* {row.name}: {row.computed}" for row in rows if row.computed]
    lines += [
        f"{name}: not measured: {bench['failed']}"
        for name, bench in found["benches"].items()
        if bench["failed"]
    ]
    for row in rows:
        if judged and row.met is False:
            reason = OBSTACLES.get(row.name, "")
            lines.append(f"{row.name} misses its target" + (f": {reason}" if reason else ""))
            lines += [f"    {line}" for line in row.profile]
    return lines


def markdown(found: dict[str, Any]) -> str:
    """Return table and notes as Markdown."""
    rows = rows_of(found)
    judged = SCALES[found["head"]["scale"]].judged
    console = Console(width=400, file=io.StringIO(), no_color=True)
    with console.capture() as captured:
        console.print(render(rows, judged=judged, box=MARKDOWN))
    table = "\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip())
    told = "\n".join(
        line if line.startswith("    ") else f"- {line.replace('* ', 'An asterisk, ')}"
        for line in notes(found, rows)
    )
    table = table.replace(" *", r" \*")
    return f"# Benchmarks\n\n{table}\n\n{told}\n"


def newest(folder: Path) -> Path:
    """Return the results that were written last.

    Raises:
        SteadyNetError: If there are none.
    """
    found = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SteadyNetError(f"{folder} holds no results: run python -m benchmarks first")
    return found[-1]


def main(arguments: list[str] | None = None) -> int:
    """Print the table of a file, the newest by default, and write latest.md beside it; return 2 if there is none."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.table", description="Draw the table of measured rows."
    )
    made.add_argument("file", nargs="?", type=Path, help="of benchmarks/results; the newest by default")
    options = made.parse_args(arguments)
    try:
        path: Path = options.file or newest(RESULTS)
        found = read(path)
        scale = SCALES[found["head"]["scale"]]
        target = path.with_name("latest.md" if scale.judged else f"latest-{scale.name}.md")
        write_text_atomically(target, markdown(found))
    except SteadyNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    rows = rows_of(found)
    console.print(render(rows, judged=scale.judged))
    for line in notes(found, rows):
        console.print(line, highlight=False, markup=False)
    console.print(f"written: {target}", highlight=False, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
