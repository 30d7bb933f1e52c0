"""Measured tables and reads: what is read of them, what is fitted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steadynet.errors import SteadyNetError
from steadynet.nvm.conductance_law import Measured, Polynomial
from steadynet.nvm.measurements import Measurements, fitted_law, read_measurements


def written(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        ("target,mean,std", None), ("target (µS),mean (uS),std", "µS"), ("Target [nA];Mean [nA];Std [nA]", "nA"),
        ("target_us,mean_us,std_us", "µS"), ("target\tmean\tstd", None), ("target,mean,std,remark", None),
    ],
)  # fmt: skip
def test_a_table_is_read(head: str, unit: str | None, tmp_path: Path) -> None:
    sign = next(c for c in ",;\t" if c in head)
    rows = [["2", "2.1", "0.5"], ["10", "9.9", "1.5"]]
    extra = ["as expected"] if "remark" in head else []
    text = "\n".join([head, *(sign.join(row + extra) for row in rows), "", ""])
    assert read_measurements(written(tmp_path, text)) == Measurements(
        (2, 10), (2.1, 9.9), (0.5, 1.5), None, unit
    )


def test_reads_are_gathered_by_target_in_any_order(tmp_path: Path) -> None:
    long = "read,target\n1.0,1\n9.0,10\n3.0,1\n11.0,10\n2.0,1\n"
    found = read_measurements(written(tmp_path, long))
    assert found.targets == (1, 10)
    assert found.means == (2, 10)
    assert found.stds == pytest.approx((1, np.sqrt(2)))
    assert found.counts == (3, 2)
    wide = "target,read 1,read 2\n10,9,11\n1,1,3\n"
    assert read_measurements(written(tmp_path, wide)).counts == (2, 2)
    for names in ("target,read1,Read_2", "target,reads 1,read-2", "target,read_1 (uS),read_2 (uS)"):
        assert read_measurements(written(tmp_path, wide.replace("target,read 1,read 2", names))).counts == (
            2,
            2,
        )


def test_a_column_that_only_begins_like_reads_is_none(tmp_path: Path) -> None:
    timed = "target,read,read_time\n10,11,1\n10,9,2\n40,41,1\n40,38,2\n"
    found = read_measurements(written(tmp_path, timed))
    assert (found.means, found.counts) == ((10, 39.5), (2, 2))
    table = "target,mean,std,readings,read_voltage\n10,11,1,5,0.2\n40,41,2,5,0.2\n"
    assert read_measurements(written(tmp_path, table)).stds == (1, 2)
    with pytest.raises(
        SteadyNetError, match=r"has reads \('read'\) and what is made of them \('mean', 'std'\)"
    ):
        read_measurements(written(tmp_path, "target,mean,std,read\n10,11,1,10\n40,41,2,40\n"))


def test_a_parquet_table_is_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"target (µS)": [1.0, 2.0], "mean": [1.1, 2.2], "std": [0.1, 0.2], "count": [5, 6], "lot": ["a", "b"]}
    )
    frame.to_parquet(tmp_path / "m.parquet")
    found = read_measurements(tmp_path / "m.parquet")
    assert found == Measurements((1, 2), (1.1, 2.2), (0.1, 0.2), (5, 6), "µS")
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(SteadyNetError, match="no readable Parquet table"):
        read_measurements(tmp_path / "bad.parquet")


def test_a_table_becomes_a_law_as_it_is() -> None:
    law = fitted_law(Measurements((1, 5, 9), (1.1, 5, 9), (0.1, 0.3, 0.2), None, "nA"), g_max=5)
    assert law == Measured((1, 5, 9), (1.1, 5, 9), (0.1, 0.3, 0.2), g_max=5, unit="nA")


def test_a_polynomial_is_recovered_with_its_degree() -> None:
    x = np.linspace(0.1, 1, 12)
    std = 1 + 3 * x - 2 * x**2
    exact = Measurements(tuple(50 * x), tuple(50 * x), tuple(std), None, None)
    law = fitted_law(exact, fit="polynomial")
    assert isinstance(law, Polynomial)
    assert law.coefficients[:3] == pytest.approx((1, 3, -2), abs=1e-9)
    assert law.coefficients[3:] == pytest.approx((0,) * (len(law.coefficients) - 3), abs=1e-9)
    assert (law.g_min, law.g_max, law.unit) == (5, 50, "µS")
    line = fitted_law(exact, fit="polynomial", degree=1)
    assert isinstance(line, Polynomial)
    assert line.coefficients == pytest.approx(tuple(np.polynomial.polynomial.polyfit(x, std, 1)), rel=1e-9)


def test_targets_weigh_by_their_reads() -> None:
    two = Measurements((1.0, 2.0), (1.0, 2.0), (1.0, 2.0), (1001, 2), None)
    law = fitted_law(two, fit="polynomial", degree=0)
    assert isinstance(law, Polynomial)
    assert law.coefficients[0] == pytest.approx((1000 * 1.0 + 1 * 2.0) / 1001)


def test_intervals_cover_the_truth() -> None:
    # Of 400 intervals at 95 % as few as 355 or as many as 399 are covered by chance in one of 1e4.
    rng = np.random.default_rng(0)
    reads = rng.normal(5, 2, (400, 20))
    found = Measurements(
        tuple(range(400)), tuple(reads.mean(1)), tuple(reads.std(1, ddof=1)), (20,) * 400, None
    )
    intervals = found.std_interval()
    halves = found.mean_half_widths()
    assert intervals is not None
    assert halves is not None
    assert 355 <= sum(low < 2 < high for low, high in intervals) <= 399
    assert 355 <= sum(abs(mean - 5) < half for mean, half in zip(found.means, halves, strict=True)) <= 399


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (
            "target,std\n1,2\n",
            r"lacks the columns mean: it needs .* and has 'target', 'std'",
        ),
        ("conductance,mean,std\n1,2,3\n", "lacks the columns target"),
        ("target,mean,std\n1,1,0.1\n", "has 1 targets: a device needs two or more"),
        ("target,mean,std\n1,1,0.1\n1,1,0.1\n", r"target 1 stands there twice \(rows 2 and 3\)"),
        (
            "target,mean,std\n2,1,0.1\n1,1,0.1\n",
            r"targets must rise, and 1 \(row 3\) comes after 2: sort them",
        ),
        ("target,mean,std\n1,1,0.1\n2,1,-0.1\n", r"the std of target 2 \(row 3\) is negative: -0.1"),
        ("target,mean,std\n1,1,0.1\n2,x,0.1\n", "mean of row 3 must be a number, got 'x'"),
        ("target,mean,std\n1,1,0.1\n2,,0.1\n", "mean of row 3 must be a number, got ''"),
        ("target,mean,std\n1,1,0.1\n2,inf,0.1\n", "mean of row 3 must be a number, got 'inf'"),
        ("target,mean,std\n1,1\n", "row 2 has 2 cells, its names are 3"),
        ("target,mean,mean\n1,1,1\n", "names a column twice"),
        ("target (µS),mean (nS),std\n1,1,1\n", r"names several units \(nS, µS\)"),
        ("target (uS),target [µS],mean,std\n1,1,1,1\n", "has two columns for 'target'"),
        ("target,read\n1,1\n1,2\n2,2\n", "target 2 was read once"),
        ("target,read\n1,1\n1,2\n", "has 1 targets"),
        (
            "target,mean,std,count\n1,1,0.1,5\n2,2,0.1,1\n",
            "count of row 3 must be an integer of 2 or more, got 1",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SteadyNetError, match=message) as refused:
        read_measurements(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "spline"}, "unknown fit 'spline'"),
        ({"fit": "polynomial", "degree": 3}, "degree must be an integer ≥ 0 and ≤ 2, got 3"),
        ({"g_max": 11.0}, "g_max 11 nA lies above the largest target 10"),
        ({"g_max": 11.0, "fit": "polynomial", "degree": 1}, "g_max 11 nA lies above the largest target 10"),
        ({"unit": "µS"}, "unit µS contradicts the file's, nA"),
        ({"fit": "polynomial", "degree": 2}, "std is negative"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    steep = Measurements((1.0, 2.0, 10.0), (1.0, 2.0, 10.0), (5.0, 0.01, 0.1), None, "nA")
    with pytest.raises(SteadyNetError, match=message):
        fitted_law(steep, **options)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match=r"there is no file .*none\.csv of measurements"):
        read_measurements(tmp_path / "none.csv")
