"""Cells in processes: one that kills its worker again and again fails, and the others go on."""

from __future__ import annotations

from pathlib import Path

from steadynet.study.plan import plan
from steadynet.study.runner import run
from steadynet.study.specification import study
from study.small import WRITTEN, written


def test_a_cell_that_kills_its_process_fails_and_the_others_go_on(tmp_path: Path) -> None:
    base = {key: value for key, value in WRITTEN["base"].items() if key not in ("model", "model.width")}
    axes = {
        "net": {"deadly": {"model": "study.deadly.Deadly"}, "cnn": {"model": "cnn", "model.width": 0.25}},
        "recipe": {"W/": {"recipe": "noise"}},
        "seed": [0, 1],
    }
    rules = [{"when": {"net": "deadly", "seed": 1}, "skip": True}]
    whole = plan([study(written(base=base, axes=axes, rules=rules))], tmp_path)
    ended = {place.cell.label(): outcome for place, outcome in run(whole, whole.places, workers=2)}
    assert sorted(outcome.end for outcome in ended.values()) == ["failed", "finished", "finished"]
    [failed] = [outcome for outcome in ended.values() if outcome.end == "failed"]
    assert "died 3 times (SIGKILL)" in failed.message
    assert sorted(place.state() for place in whole.places) == ["failed", "finished", "finished"]
    assert all(place.finished() == ("Deadly" not in place.folder.name) for place in whole.places)
