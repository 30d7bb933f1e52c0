"""Measured rows are kept on disk and taken up again; the table is drawn from the file alone."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import table
from benchmarks.benches import apart
from benchmarks.harness import Ratio, Target
from benchmarks.machine import ROOT, Machine, sources, this_machine
from benchmarks.scale import FULL, QUICK
from benchmarks.store import Store, read
from steadynet.errors import SteadyNetError

MACHINE = Machine("Some CPU @ 2.0 GHz", ("avx512_bf16",), 2, 24, "Linux x86_64")


def row(name: str = "noise-fp32", ratio: float = 1.05, **others: Any) -> Ratio:
    return Ratio(name, f"{name} ÷ plain", (ratio, ratio), (1.0, 1.0), target=Target(1.1, "at most"), **others)


def test_rows_of_the_same_code_and_machine_are_taken_up_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path, MACHINE, 2, FULL)
    store.add("noise-fp32", [row()], 1.0)
    again = Store.open(tmp_path, MACHINE, 2, FULL)
    assert again.path == store.path
    assert again.has("noise-fp32")
    assert not again.has("noise-bf16")
    assert table.rows_of(read(store.path)) == [row()]


def test_another_setting_gets_a_file_of_its_own_and_fresh_costs_nothing(tmp_path: Path) -> None:
    first = Store.open(tmp_path, MACHINE, 2, FULL)
    first.add("noise-fp32", [row()], 1.0)
    before = first.path.read_bytes()
    others = [
        Store.open(tmp_path, MACHINE, 1, FULL),
        Store.open(tmp_path, MACHINE, 2, QUICK),
        Store.open(tmp_path, Machine("Other", (), 2, 24, "Linux x86_64"), 2, FULL),
        Store.open(tmp_path, MACHINE, 2, FULL, fresh=True),
    ]
    for other in others:
        assert not other.has("noise-fp32")
        other.add("noise-fp32", [row(ratio=2.0)], 1.0)
        assert other.path != first.path
    assert first.path.read_bytes() == before


def test_changed_code_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(tmp_path, MACHINE, 2, FULL).add("noise-fp32", [row()], 1.0)
    monkeypatch.setattr("benchmarks.store.sources", lambda apart: "other")
    assert not Store.open(tmp_path, MACHINE, 2, FULL).has("noise-fp32")


def test_a_steps_row_depends_on_no_code_of_evaluation() -> None:
    """And each of both on the rest; what is left out is there, so that a name cannot have been misspelt."""
    assert apart("draw-fp32") == apart("design-small") == ()
    left_out = apart("noise-fp32")
    assert left_out == apart("peer") == apart("memory")
    assert all((ROOT / name).exists() for name in left_out)
    assert sources(left_out) != sources()
    assert not any("training" in name or "nvm" in name or "recipes" in name for name in left_out)


def test_what_failed_is_told_and_tried_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path, MACHINE, 2, FULL)
    store.fail("peer", "SteadyNetError: no network")
    assert not store.has("peer")
    found = read(store.path)
    assert "peer: not measured: SteadyNetError: no network" in table.notes(found, table.rows_of(found))


@pytest.mark.parametrize("text", ["", "[]", '{"rows": []}'])
def test_a_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SteadyNetError, match="holds no results of benchmarks"):
        read(path)
    assert table.main([str(path)]) == 2


def test_a_file_names_the_machine_and_the_day(tmp_path: Path) -> None:
    name = Store.open(tmp_path, MACHINE, 2, FULL).path.name
    assert name.endswith("-some-cpu-2-0-ghz-2cores-24gib.json")
    assert len(name.split("-some")[0]) == len("2026-01-31")


def test_this_machine_is_told_by_what_speed_depends_on() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory >= 1
    assert machine.cpu


def drawn(rows: list[Ratio], *, judged: bool) -> list[str]:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(table.render(rows, judged=judged))
    return [line.strip() for line in captured.get().splitlines() if line.strip()]


def test_the_table_says_what_is_met() -> None:
    rows = [row(), row("irs-fp32", 1.25), Ratio("memory-fast", "fast ÷ plain", (3.8,), (1.0,), unit="bytes")]
    lines = drawn(rows, judged=True)
    assert lines[2].split()[-1] == "yes"
    assert "≤ 1.1" in lines[2]
    assert lines[3].split()[-1] == "no"
    assert lines[4].split()[-1] == "1", "a row without target ends with its rounds"
    assert not any(line.endswith(("yes", "no")) for line in drawn(rows, judged=False))


def results(tmp_path: Path, rows: list[Ratio], scale: Any = FULL) -> Path:
    store = Store.open(tmp_path, MACHINE, 2, scale)
    for one in rows:
        store.add(one.name, [one], 1.0)
    return store.path


def test_a_miss_is_told_with_its_profile_and_a_computed_figure_with_how(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row("noise-fp32", 1.25, profile=("+9.0 ms  aten::normal_",)),
        row("best", computed="full: computed"),
    ]
    path = results(tmp_path, rows)
    assert table.main([str(path)]) == 0
    printed = capsys.readouterr().out
    text = (tmp_path / "latest.md").read_text()
    for told in (printed, text):
        assert "noise-fp32 misses its target" in told
        assert "    +9.0 ms  aten::normal_" in told
        assert "best: full: computed" in told
        assert "2 threads" in told
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert r"\*" in lines[3]


def test_the_table_is_drawn_from_the_file_that_was_used_last(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="holds no results"):
        table.newest(tmp_path)
    quick, full = results(tmp_path, [row()], QUICK), results(tmp_path, [row()])
    for moment, path in enumerate((quick, full), start=1):
        os.utime(path, (moment, moment))
    assert table.newest(tmp_path) == full
    quick.touch()
    assert table.newest(tmp_path) == quick


def test_a_quick_table_judges_nothing_and_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = results(tmp_path, [row(ratio=1.25)], QUICK)
    assert table.main([str(path)]) == 0
    text = (tmp_path / "latest-quick.md").read_text()
    assert "misses" not in text
    assert "not judged here" in text
    assert not (tmp_path / "latest.md").exists()


def test_what_follows_from_the_rounds_is_in_the_file_too(tmp_path: Path) -> None:
    path = results(tmp_path, [Ratio("best", "a ÷ b", (1.0, 4.0), (2.0, 2.0), target=Target(0.5, "at most"))])
    (plain,) = json.loads(path.read_text())["benches"]["best"]["rows"]
    assert (plain["ratios"], plain["median"], plain["min"], plain["max"]) == ([0.5, 2.0], 1.25, 0.5, 2.0)
    assert plain["met"] is False
