"""All results of a study as one table, a row for each training and σ_d of its test: CSV, and Parquet for pandas.

Columns: study, cell, the axes by their names (`axis_NAME` where another column has that name), what a row tells of training
and test, each figure's mean (by its own name), std, lo and hi, the options that made the training as `option_NAME`, and the
versions as `version_NAME`. Numbers are nullable floats and integers, so that what is missing is missing and not a text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from steadynet.errors import SteadyNetError
from steadynet.extras import require_extra
from steadynet.files import write_atomically, write_text_atomically
from steadynet.report.rows import order
from steadynet.study.flat import OWN

if TYPE_CHECKING:
    import pandas as pd

# What a row tells, in the table's order; figures follow.
_PLAIN = (
    "recipe", "seed", "sigma_d", "train_sigma_d", "clean_accuracy", "quantised_accuracy", "draws", "evaluation_seed", "images",
    "best_epoch", "steps", "train_seconds", "test_seconds", "peak_mib",
)  # fmt: skip
# Of draws, of what is told elsewhere, or of where data lie.
_LEFT_OUT = ("study", "cell", "axes", "options", "versions", "command", "other_code", "finished")
_PATHS = ("data_root",)
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?")
_TEXTS = ("study", "cell", "recipe", "finished", "command")


def write_tidy(rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """Write `<stem>.csv` and `<stem>.parquet`, whole or not at all, and return their paths.

    Args:
        rows: As `study.rows` gives them.
        stem: Path without suffix; its folder exists.

    Raises:
        SteadyNetError: If pandas or pyarrow is missing, there are no rows, or a file cannot be written.
    """
    table = tidy(rows)
    csv, parquet = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("csv", "parquet"))
    write_text_atomically(csv, table.to_csv(index=False, lineterminator="\n"))
    write_atomically(parquet, lambda path: table.to_parquet(path, index=False, engine="pyarrow"))
    return [csv, parquet]


def read_tidy(path: Path) -> pd.DataFrame:
    """Return a table that `write_tidy` wrote, from either of its files, with the types that it had.

    Raises:
        SteadyNetError: If pandas or pyarrow is missing, or the file cannot be read.
    """
    require_extra("study", "a tidy table")
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path, engine="pyarrow", dtype_backend="numpy_nullable")
        # As texts, which Python's own conversion reads to the last digit; an empty field is missing, and no word is.
        table: Any = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise SteadyNetError(f"{path} cannot be read as a table of results: {error}") from error
    texts = {str(name): [None if pd.isna(v) else str(v) for v in table[name]] for name in table.columns}
    return pd.DataFrame({name: _column(pd, _parsed(name, values)) for name, values in texts.items()})


def _parsed(name: str, texts: list[str | None]) -> list[Any]:
    """Return a column's values as the numbers or switches that all its texts are, or as texts."""
    known = [text for text in texts if text is not None]
    # A version may look like a number.
    if name in _TEXTS or name.startswith("version_"):
        return list(texts)
    if all(text in ("True", "False") for text in known):
        return [None if text is None else text == "True" for text in texts]
    for kind, pattern in ((int, _INTEGER), (float, _NUMBER)):
        if all(pattern.fullmatch(text) for text in known):
            return [None if text is None else kind(text) for text in texts]
    return list(texts)


def tidy(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table; see the module's docstring.

    Raises:
        SteadyNetError: If pandas is missing, or there are no rows.
    """
    require_extra("study", "a tidy table")
    import pandas as pd

    if not rows:
        raise SteadyNetError("there are no results to make a table of")
    # An axis that says what the row says anyway needs no column; a training's σ_d where the row's is the test's does.
    apart = {
        axis
        for row in rows
        for axis, label in cast("Mapping[str, Any]", row.get("axes", {})).items()
        if axis in row and row[axis] != label
    }
    lines = [_flat(row, apart) for row in rows]
    columns = order(name for line in lines for name in line)
    told = ["finished", "command"]
    columns = [name for name in columns if name not in told] + [name for name in told if name in columns]
    made = {name: _column(pd, [line.get(name) for line in lines]) for name in columns}
    return pd.DataFrame(made)


def _column(pd: Any, values: list[Any]) -> Any:
    """Return values as a column of one nullable type: integers, floats, switches, or texts."""
    known = [value for value in values if value is not None]
    if not known:
        return pd.array([None] * len(values), dtype="Float64")
    if all(isinstance(value, bool) for value in known):
        return pd.array(values, dtype="boolean")
    if all(isinstance(value, int) and not isinstance(value, bool) for value in known):
        return pd.array(values, dtype="Int64")
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pd.array([None if value is None else float(value) for value in values], dtype="Float64")
    return pd.array([None if value is None else str(value) for value in values], dtype="string")


# Columns of every table, whatever a study's axes are called.
_TOLD = ("study", "cell", "finished", "command")


def _flat(row: Mapping[str, Any], apart: set[str]) -> dict[str, Any]:
    own: dict[str, Any] = {name: _number(row[name]) for name in _PLAIN if name in row}
    for name, value in row.items():
        if name in own or name in _LEFT_OUT or name.endswith("values"):
            continue
        if isinstance(value, Mapping):
            for key, number in cast("Mapping[str, Any]", value).items():
                if number is None or isinstance(number, int | float):
                    own[name if key == "mean" else f"{name}_{key}"] = _number(number)
        elif value is None or isinstance(value, str | int | float):
            own[name] = _number(value)
    axes = {
        f"axis_{axis}" if axis in own or axis in _TOLD else axis: label
        for axis, label in cast("Mapping[str, Any]", row.get("axes", {})).items()
        if axis not in own or axis in apart
    }
    told = {name: row[name] for name in _TOLD if row.get(name)}
    versions = cast("Mapping[str, Any]", row.get("versions", {}))
    return {
        **{name: told[name] for name in ("study", "cell") if name in told},
        **axes,
        **own,
        **_options(cast("Mapping[str, Any]", row.get("options", {}))),
        **{f"version_{name}": str(version) for name, version in versions.items()},
        **told,
    }


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as columns, those of network and recipe under the names that a study gives them; paths are left out."""
    made: dict[str, Any] = {}
    for name, value in options.items():
        if name in OWN.values():
            inner = cast("Mapping[str, Any]", value or {})
            head = name.removesuffix("_options")
            made |= {f"option_{head}.{key}": _option(entry) for key, entry in inner.items()}
        elif name not in _PATHS:
            made[f"option_{name}"] = _option(value)
    return made


def _option(value: Any) -> Any:
    """Return an option as one field: lists and mappings as JSON."""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
