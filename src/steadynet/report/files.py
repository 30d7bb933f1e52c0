"""Results on disk: JSON with everything, CSV with a line per network and σ_d, Markdown, figures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steadynet.files import write_json_atomically, write_text_atomically
from steadynet.report.differences import differences
from steadynet.report.figures import draw_figures
from steadynet.report.rows import METRICS, Row, summarise
from steadynet.report.table import markdown_table

FIRST = ("recipe", "seed", "train_sigma_d", "sigma_d", "draws", "clean_accuracy", "converged")


def write_report(
    folder: Path, rows: Sequence[Row], *, title: str, about: Mapping[str, Any]
) -> tuple[Path, ...]:
    """Write `results.json`, `.csv` and `.md`, and the figures `accuracy` and `ekl` as PNG and SVG.

    Args:
        folder: Where to; it exists.
        rows: A row per trained network and σ_d; see `rows.Row`.
        title: Title of the figures: data, model.
        about: What produced the rows: command, options, versions; goes into the JSON.

    Returns:
        The files.

    Raises:
        SteadyNetError: If rows are missing or incomplete, or a file cannot be written.
    """
    cells = summarise(rows)
    json_path, csv_path, md_path = (folder / f"results.{suffix}" for suffix in ("json", "csv", "md"))
    write_json_atomically(
        json_path,
        _plain(
            {
                "about": dict(about),
                "rows": list(rows),
                "summary": [asdict(cell) for cell in cells],
                "differences": [asdict(difference) for difference in differences(rows)],
            }
        ),
    )
    marks = {(cell.recipe, cell.sigma_d, cell.train_sigma_d): cell.converged for cell in cells}
    marked = [
        {**row, "converged": marks[(row["recipe"], row["sigma_d"], row["train_sigma_d"])]} for row in rows
    ]
    write_text_atomically(csv_path, tidy_csv(marked))
    draws = {row.get("draws") for row in rows}
    write_text_atomically(
        md_path, markdown_table(rows, title, draws=draws.pop() if len(draws) == 1 else None)
    )
    return (json_path, csv_path, md_path, *draw_figures(folder, cells, title=title))


def tidy_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV: a line each, a metric's mean, std and interval in columns of their own."""
    lines = [_flat(row) for row in rows]
    present = {name for line in lines for name in line}
    columns = [name for name in FIRST if name in present]
    columns += [
        name for line in lines for name in line if name not in columns and not name.endswith(".values")
    ]
    columns = list(dict.fromkeys(columns))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    """Return the row without nesting: accuracy, accuracy_std, accuracy_lo, accuracy_hi and so on."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and name in METRICS:
            for key, number in value.items():  # pyright: ignore[reportUnknownVariableType]
                if not isinstance(number, Sequence) or isinstance(number, str):
                    flat[name if key == "mean" else f"{name}_{key}"] = number
        elif isinstance(value, str | int | float | bool) or value is None:
            flat[name] = value
    return flat


def _plain(value: Any) -> Any:
    """Return `value` in types that JSON has; NaN and infinities, which it has not, as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
