"""Measured devices: tables of what conductances were reached for each that was aimed at, and the laws that are fitted to them.

A table has a column `target`, and either `mean` and `std` (and `count`, if it is known), one row for each target, targets
rising; or `read`, one row for each device that was read (or several columns whose names begin with `read`), in any order. A unit
may stand in a name: `target (µS)`, `target [nA]` or `target_uS`; all that name one must agree.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from steadynet.errors import SteadyNetError, check_choice, check_integer
from steadynet.extras import require_extra
from steadynet.nvm.conductance_law import Measured, Polynomial

Fit = Literal["table", "polynomial"]
FITS: tuple[Fit, ...] = ("table", "polynomial")
MOST_DEGREE = 4
Values = NDArray[np.float64]
_UNITS = {
    "us": "µS",
    "μs": "µS",
    "µs": "µS",
    "ns": "nS",
    "ms": "mS",
    "s": "S",
    "ua": "µA",
    "na": "nA",
    "a": "A",
}


@dataclass(frozen=True)
class Measurements:
    """What was measured, target by target.

    Attributes:
        targets: Conductances that were aimed at, rising.
        means: Means of what was reached.
        stds: Stds of what was reached, of a sample (n − 1).
        counts: Devices of each target; None if they are not told.
        unit: Of all of them, as in the file; None if it is not told.
    """

    targets: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    counts: tuple[int, ...] | None
    unit: str | None

    def mean_half_widths(self, confidence: float = 0.95) -> tuple[float, ...] | None:
        """Return the half-width of each mean's interval, by t of n − 1 degrees of freedom; None without counts."""
        if self.counts is None:
            return None
        tail = (1 - confidence) / 2
        found: list[float] = []
        for std, count in zip(self.stds, self.counts, strict=True):
            law: Any = stats.t(count - 1)
            found.append(float(law.isf(tail)) * std / math.sqrt(count))
        return tuple(found)

    def std_interval(self, confidence: float = 0.95) -> tuple[tuple[float, float], ...] | None:
        """Return each std's interval for Gaussian errors, by χ² of n − 1 degrees of freedom; None without counts."""
        if self.counts is None:
            return None
        found: list[tuple[float, float]] = []
        tail = (1 - confidence) / 2
        for std, count in zip(self.stds, self.counts, strict=True):
            law: Any = stats.chi2(count - 1)
            low, high = float(law.ppf(tail)), float(law.isf(tail))
            found.append((std * math.sqrt((count - 1) / high), std * math.sqrt((count - 1) / low)))
        return tuple(found)


def read_measurements(path: Path | str) -> Measurements:
    """Return the measurements in a CSV or Parquet file.

    Raises:
        SteadyNetError: If the file is missing or cannot be read, lacks columns, or holds what cannot be: targets that do not
            rise or stand there twice, negative stds, cells that are no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise SteadyNetError(f"there is no file {path} of measurements: give a CSV or Parquet table")
    columns = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    names = {name: _split(name) for name in columns}
    units = {unit for _, unit in names.values() if unit}
    if len(units) > 1:
        raise SteadyNetError(f"{path} names several units ({', '.join(sorted(units))}): give all columns one")
    unit = next(iter(units), None)
    plain: dict[str, str] = {}
    for name, (word, _) in names.items():
        if word in plain and not _is_read(word):
            raise SteadyNetError(f"{path} has two columns for {word!r}: {plain[word]!r} and {name!r}")
        plain.setdefault(word, name)
    reads = [name for name, (word, _) in names.items() if _is_read(word)]
    if reads and (both := [plain[word] for word in ("mean", "std") if word in plain]):
        raise SteadyNetError(
            f"{path} has reads ({reads[0]!r}) and what is made of them ({', '.join(map(repr, both))}): give one of both"
        )
    if "target" not in plain or not (reads or {"mean", "std"} <= plain.keys()):
        lacking = [word for word in ("target", "mean", "std") if word not in plain]
        raise SteadyNetError(
            f"{path} lacks the columns {', '.join(lacking)}: it needs target, mean and std, or target and read, and has "
            f"{', '.join(map(repr, columns)) or 'none'}"
        )
    targets = columns[plain["target"]]
    if reads:
        return _of_reads(path, targets, [columns[name] for name in reads], unit)
    counts = columns.get(plain.get("count", ""))
    return _of_table(path, targets, columns[plain["mean"]], columns[plain["std"]], counts, unit)


def fitted_law(
    measured: Measurements,
    *,
    fit: Fit = "table",
    degree: int | None = None,
    g_max: float | None = None,
    unit: str | None = None,
) -> Measured | Polynomial:
    """Return the law of devices that were measured.

    Args:
        measured: What was measured.
        fit: "table" takes it as it is, interpolated linearly. "polynomial" takes the std as a polynomial of x = g/g_max, by least
            squares (each target weighs by its devices, where they are told), and the mean as the target.
        degree: Of the polynomial, 0 … 4; if None the one whose predictions of each target from the others are best.
        g_max: The conductance that the largest level stands for; the largest target if None.
        unit: Of the measurements, where their file does not tell it.

    Raises:
        SteadyNetError: If a value is out of its range, or the polynomial is negative somewhere.
    """
    check_choice("fit", fit, FITS)
    if unit is not None and measured.unit is not None and _unit(unit) != measured.unit:
        raise SteadyNetError(f"unit {unit} contradicts the file's, {measured.unit}: leave it out")
    told = measured.unit or (_unit(unit) if unit is not None else "µS")
    top = measured.targets[-1] if g_max is None else g_max
    if fit == "table":
        return Measured(measured.targets, measured.means, measured.stds, top, unit=told)
    if top > measured.targets[-1] * (1 + 1e-9):
        raise SteadyNetError(
            f"g_max {top:g} {told} lies above the largest target {measured.targets[-1]:g}: a law is not extrapolated"
        )
    x = np.array(measured.targets) / top
    stds = np.array(measured.stds)
    # A std of n numbers has a variance of σ²/(2 (n − 1)): the weights of least squares are roots of n − 1.
    counts = np.array(measured.counts or [2] * len(x), dtype=np.float64)
    weights: Values = np.sqrt(counts - 1)
    if degree is None:
        degree = _best_degree(x, stds, weights)
    check_integer("degree", degree, at_least=0, at_most=min(MOST_DEGREE, len(x) - 1))
    coefficients = _polynomial(x, stds, weights, degree)
    return Polynomial(coefficients, g_max=top, g_min=measured.targets[0], unit=told)


def _polynomial(x: Values, stds: Values, weights: Values, degree: int) -> tuple[float, ...]:
    """Return c_0, c_1, … of weighted least squares."""
    powers = x[:, None] ** np.arange(degree + 1)
    found: Any = np.linalg.lstsq(powers * weights[:, None], stds * weights, rcond=None)
    return tuple(float(c) for c in found[0])


def _best_degree(x: Values, stds: Values, weights: Values) -> int:
    """Return the degree with the least squared error of each target's std, predicted from the others."""
    losses: dict[int, float] = {}
    for degree in range(min(MOST_DEGREE, len(x) - 2) + 1):
        misses: list[float] = []
        for left_out in range(len(x)):
            kept = np.arange(len(x)) != left_out
            fit = _polynomial(x[kept], stds[kept], weights[kept], degree)
            predicted = sum(c * float(x[left_out]) ** k for k, c in enumerate(fit))
            misses.append(float(weights[left_out] * (stds[left_out] - predicted)) ** 2)
        losses[degree] = sum(misses)
    return min(losses, key=lambda degree: losses[degree]) if losses else 0


def _of_table(
    path: Path,
    targets: Sequence[float],
    means: Sequence[float],
    stds: Sequence[float],
    counts: Any,
    unit: str | None,
) -> Measurements:
    if len(targets) < 2:
        raise SteadyNetError(f"{path} has {len(targets)} targets: a device needs two or more")
    for index, (one, other) in enumerate(itertools.pairwise(targets)):
        if other == one:
            raise SteadyNetError(
                f"{path}: target {other:g} stands there twice (rows {index + 2} and {index + 3})"
            )
        if other < one:
            raise SteadyNetError(
                f"{path}: targets must rise, and {other:g} (row {index + 3}) comes after {one:g}: sort them"
            )
    for row, std in enumerate(stds):
        if std < 0:
            raise SteadyNetError(
                f"{path}: the std of target {targets[row]:g} (row {row + 2}) is negative: {std:g}"
            )
    whole: tuple[int, ...] | None = None
    if counts is not None:
        for row, count in enumerate(counts):
            if count < 2 or count != int(count):
                raise SteadyNetError(
                    f"{path}: the count of row {row + 2} must be an integer of 2 or more, got {count:g}"
                )
        whole = tuple(int(count) for count in counts)
    return Measurements(tuple(targets), tuple(means), tuple(stds), whole, unit)


def _of_reads(
    path: Path, targets: Sequence[float], reads: Sequence[Sequence[float]], unit: str | None
) -> Measurements:
    groups: dict[float, list[float]] = {}
    for column in reads:
        for target, value in zip(targets, column, strict=True):
            groups.setdefault(target, []).append(value)
    if len(groups) < 2:
        raise SteadyNetError(f"{path} has {len(groups)} targets: a device needs two or more")
    for target, values in groups.items():
        if len(values) < 2:
            raise SteadyNetError(f"{path}: target {target:g} was read once: a std needs two reads or more")
    order = sorted(groups)
    return Measurements(
        tuple(order),
        tuple(float(np.mean(groups[target])) for target in order),
        tuple(float(np.std(groups[target], ddof=1)) for target in order),
        tuple(len(groups[target]) for target in order),
        unit,
    )


def _csv(path: Path) -> dict[str, list[float]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        dialect = csv.Sniffer().sniff(text.partition("\n")[0], ",;\t") if text.strip() else csv.excel
        rows = [row for row in csv.reader(text.splitlines(), dialect) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError) as error:
        raise SteadyNetError(f"{path} cannot be read: {error}") from error
    except csv.Error as error:
        raise SteadyNetError(f"{path} is no CSV table with a line of names ({error})") from error
    if not rows:
        raise SteadyNetError(f"{path} is empty: it needs a line of names, and a row for each target or read")
    names = [name.strip() for name in rows[0]]
    columns: dict[str, list[float]] = {name: [] for name in names}
    if len(columns) < len(names):
        raise SteadyNetError(f"{path} names a column twice: {', '.join(names)}")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise SteadyNetError(f"{path}: row {number} has {len(row)} cells, its names are {len(names)}")
        for name, cell in zip(names, row, strict=True):
            if _is_wanted(_split(name)[0]):
                columns[name].append(_number(path, number, name, cell))
    return columns


def _parquet(path: Path) -> dict[str, list[float]]:
    require_extra("study", "Parquet tables")
    import pandas as pd

    try:
        frame: Any = pd.read_parquet(path)
    except Exception as error:  # pyarrow has many ways to say that a file is damaged.
        raise SteadyNetError(f"{path} is no readable Parquet table ({type(error).__name__})") from error
    columns: dict[str, list[float]] = {}
    for name in map(str, frame.columns):
        word = _split(name)[0]
        if _is_wanted(word):
            columns[name] = [
                _number(path, row, name, cell) for row, cell in enumerate(frame[name].tolist(), start=1)
            ]
    return columns


def _number(path: Path, row: int, name: str, cell: object) -> float:
    try:
        value = float(cell)  # pyright: ignore[reportArgumentType] (what is no number raises)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise SteadyNetError(f"{path}: {name} of row {row} must be a number, got {cell!r}")
    return value


def _split(name: str) -> tuple[str, str | None]:
    """Return a column's word in lower case, and the unit in its name."""
    found = re.fullmatch(r"\s*(\w+?)\s*[(\[]\s*([^)\]]+?)\s*[)\]]\s*", name)
    if found is None and (tail := re.fullmatch(r"\s*(target|mean|std|reads?)_(\w+)\s*", name, re.IGNORECASE)):
        found = tail if tail[2].lower() in _UNITS else None
    if found is None:
        return name.strip().lower(), None
    return found[1].lower(), _unit(found[2])


def _is_read(word: str) -> bool:
    """Return whether a column holds reads: read, reads, read 1, read_2; not read_time or readings."""
    return re.fullmatch(r"reads?[ _-]*\d*", word) is not None


def _is_wanted(word: str) -> bool:
    return word in ("target", "mean", "std", "count") or _is_read(word)


def _unit(text: str) -> str:
    return _UNITS.get(text.lower(), text)
