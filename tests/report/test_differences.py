"""Differences from the control are paired by training seed, and say when they decide nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steadynet.report import print_table, write_report
from steadynet.report.differences import differences


def row(recipe: str, seed: int, accuracy: float, sigma_d: float = 0.2, clean: float = 0.98) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "seed": seed,
        "sigma_d": sigma_d,
        "train_sigma_d": sigma_d,
        "clean_accuracy": clean,
        "accuracy": {"mean": accuracy, "std": 0.1, "lo": accuracy - 0.01, "hi": accuracy + 0.01},
    }


def grid(accuracies: dict[str, tuple[float, ...]], **others: Any) -> list[dict[str, Any]]:
    return [row(r, seed, a, **others) for r, values in accuracies.items() for seed, a in enumerate(values)]


def test_a_difference_is_the_mean_of_the_seeds_with_students_interval() -> None:
    rows = grid({"noise-t4": (0.80, 0.90, 0.70), "ovf": (0.81, 0.93, 0.75)})
    (found,) = differences(rows)
    assert (found.recipe, found.control, found.seeds) == ("ovf", "noise-t4", (0, 1, 2))
    # By hand: 1, 3, 5 points: mean 3, std 2, t_{0.975, 2} = 4.302653.
    assert found.estimate.mean == pytest.approx(0.03)
    assert found.estimate.half_width == pytest.approx(0.02 * 4.302653 / math.sqrt(3), rel=1e-6)


def test_pairing_takes_the_seeds_own_ups_and_downs_out() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0.8, 0.05, 6)
    rows = grid({"noise-t4": tuple(shared), "irs": tuple(shared + rng.normal(0.01, 0.001, 6))})
    (found,) = differences(rows)
    # Unpaired, the half width would be about t · 0.05 · sqrt(2/6) = 6 points; paired about 0.1.
    assert found.estimate.half_width < 0.003
    assert found.estimate.lo > 0


def test_only_seeds_that_both_have_count_and_one_gives_no_difference() -> None:
    rows = [*grid({"noise-t4": (0.8, 0.9, 0.7)}), row("ovf", 0, 0.9), row("ovf", 2, 0.8), row("irs", 1, 0.5)]
    (found,) = differences(rows)
    assert (found.recipe, found.seeds) == ("ovf", (0, 2))


def test_the_control_is_the_one_at_the_papers_temperature_then_plain_noise() -> None:
    values = (0.8, 0.9)
    assert {d.control for d in differences(grid({"noise": values, "noise-t4": values, "ovf": values}))} == {
        "noise-t4"
    }
    assert {d.control for d in differences(grid({"ovf": values, "noise": values, "vanilla": values}))} == {
        "noise"
    }
    assert differences(grid({"ovf": values, "irs": values})) == ()


def test_a_difference_with_a_training_that_is_not_converged_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = grid({"vanilla": (0.5, 0.6), "noise-t4": (0.8, 0.9)}) + grid({"ovf": (0.7, 0.85)}, clean=0.9)
    assert {d.recipe: d.converged for d in differences(rows)} == {"vanilla": True, "ovf": False}
    print_table(rows, "digits", draws=7)
    printed = capsys.readouterr().out
    assert "minus noise-t4" in printed
    assert "-7.50 ± 31.77*" in printed
    assert "over 2 pairs of trainings" in printed
    write_report(tmp_path, rows, title="digits", about={})
    found = json.loads((tmp_path / "results.json").read_text())["differences"]
    assert [d["recipe"] for d in found] == ["vanilla", "ovf"]
    assert r"-7.50 ± 31.77\*" in (tmp_path / "results.md").read_text()


def test_one_seed_shows_no_table_of_differences(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(grid({"noise-t4": (0.8,), "ovf": (0.9,)}), "digits")
    assert "minus" not in capsys.readouterr().out
