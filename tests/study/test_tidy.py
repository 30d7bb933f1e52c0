"""All results as one table: what its columns are, and that both files give back the same numbers and types."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from steadynet.errors import SteadyNetError
from steadynet.study import tidy as module
from steadynet.study.report.content import Grid
from steadynet.study.report.views import view_from
from steadynet.study.tidy import read_tidy, tidy, write_tidy
from study.rows import PANELS, figure3, row


def rows() -> list[dict[str, Any]]:
    """Return rows with what is hard to write: missing values, NaN, long fractions, whole floats, quotes, mixed labels."""
    return [
        row(1 / 3, axes={"recipe": 'W/, "T" = 4', "N": 1}, ekl=None, peak_mib=None),
        row(0.1 + 0.2, axes={"recipe": "OVF\nnew line", "N": 2}, options={"taps": ["a", "b"], "channels_last": True}),
        row(1.0, axes={"recipe": "W/O", "N": 3}, options={"clip": "none"}, nll={"mean": math.nan, "std": math.inf}),
        row(5e-324, axes={"recipe": "None", "N": 4}, options={"model_options": {"width": 0.25}, "data_root": "/x"}),
        row(0.5, axes={"recipe": "NA", "N": 5}, options={"clip": 1.5}, test_seconds=3.0),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_both_files_give_back_the_same_numbers_and_types(suffix: str, tmp_path: Path) -> None:
    paths = write_tidy(rows(), tmp_path / "results")
    assert [path.name for path in paths] == ["results.csv", "results.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.parquet"]
    table, back = tidy(rows()), read_tidy(tmp_path / f"results.{suffix}")
    assert list(back.columns) == list(table.columns)
    assert back.dtypes.astype(str).to_dict() == table.dtypes.astype(str).to_dict()
    pd.testing.assert_frame_equal(back, table, check_exact=True, check_dtype=False)


def test_numbers_are_never_texts_and_what_is_missing_is_missing() -> None:
    table: Any = tidy(rows())
    assert set(table.dtypes.astype(str)) <= {"Float64", "Int64", "boolean", "string"}
    types = table.dtypes.astype(str)
    assert types["accuracy"] == types["ekl_lo"] == types["peak_mib"] == "Float64"
    assert types["seed"] == types["draws"] == types["N"] == "Int64"
    assert table["ekl"].isna().tolist() == [True, False, False, False, False]
    assert table["nll"].isna().tolist() == [False, False, True, False, False]
    assert pd.isna(table["nll_std"][2])
    assert table["accuracy"][1] == 0.1 + 0.2
    assert types["option_clip"] == "string"
    assert table["option_clip"].tolist()[2::2] == ["none", "1.5"]


def test_columns_hold_axes_options_and_figures_but_no_draws_and_no_paths() -> None:
    table: Any = tidy(rows())
    columns = list(table.columns)
    assert columns[:4] == ["study", "cell", "N", "recipe"]
    assert {"accuracy", "accuracy_std", "accuracy_lo", "accuracy_hi", "kpp5", "kpp5_needs", "worst"} <= set(
        columns
    )
    assert {"option_data", "option_model.width", "option_taps", "version_torch"} <= set(columns)
    assert table["option_taps"][1] == '["a", "b"]'
    assert not [
        name for name in columns if "values" in name or "data_root" in name or name in ("axes", "options")
    ]
    assert columns[-1] == "command"


def test_an_axis_that_says_what_the_row_says_has_no_column_of_its_own() -> None:
    assert "axis_sigma_d" not in tidy(figure3()).columns
    once = [row(axes={"sigma_d": 0.2}, sigma_d=s, train_sigma_d=0.2) for s in (0.1, 0.2)]
    table: Any = tidy(once)
    assert (table["sigma_d"].tolist(), table["axis_sigma_d"].tolist()) == ([0.1, 0.2], [0.2, 0.2])


def test_there_is_a_row_for_each_result_with_its_numbers() -> None:
    made = figure3()
    table: Any = tidy(made)
    assert len(table) == len(made)
    assert table["accuracy"].tolist() == [one["accuracy"]["mean"] for one in made]
    assert table["panel"].tolist() == [one["axes"]["panel"] for one in made]
    assert table["sigma_d"].tolist() == [one["sigma_d"] for one in made]
    assert table["command"].tolist() == [one["command"] for one in made]


def test_the_reports_table_shows_what_pandas_makes_of_the_file(tmp_path: Path) -> None:
    write_tidy(figure3(), tmp_path / "results")
    table: Any = read_tidy(tmp_path / "results.csv")
    means = 100 * table.groupby(["panel", "recipe", "sigma_d"])["accuracy"].mean()
    view = view_from({"view": "table", "columns": "sigma_d", "panels": "panel"})
    shown = {
        (panel, line[0].text, float(column.removeprefix("sigma_d "))): entry.value
        for panel, grid in zip(PANELS, view.blocks(figure3(), key_prefix="x"), strict=True)
        if isinstance(grid, Grid)
        for line in grid.rows
        for column, entry in zip(grid.columns[1:], line[1:], strict=True)
    }
    assert len(shown) == len(means) == 45
    assert shown == pytest.approx(means.to_dict())


def test_a_write_that_fails_leaves_the_earlier_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tidy(rows(), tmp_path / "results")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", broken)
    with pytest.raises(RuntimeError):
        write_tidy(rows(), tmp_path / "results")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_rows_missing_packages_and_damaged_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SteadyNetError, match="there are no results"):
        tidy([])
    for suffix in ("csv", "parquet"):
        damaged = tmp_path / f"x.{suffix}"
        damaged.write_bytes(b"")
        with pytest.raises(SteadyNetError, match="cannot be read as a table of results"):
            read_tidy(damaged)
    from steadynet import extras

    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SteadyNetError, match=r"pip install 'steadynet\[study\]'"):
        module.tidy(rows())
