"""A comparison trains each cell once, on shared draws, and goes on after an interruption to the same rows."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import steadynet.comparison as comparison
from comparing import HARDWARE, SETTINGS, load_data, make_model, problem
from steadynet.comparison import Plan, Problem, compare
from steadynet.data import DataSplits
from steadynet.errors import DivergenceError, SteadyNetError
from steadynet.montecarlo import monte_carlo
from steadynet.recipes import Recipe, recipe
from steadynet.training.module import TrainingModule

TWO = (recipe("vanilla"), recipe("noise"))
PLAN = Plan(TWO, sigma_d=(0.1, 0.3), train_sigma_d=0.2, seeds=(4, 5), draws=3, evaluation_seed=7)
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:  # pyright: ignore[reportUnusedFunction]
    """Sums are taken in the same order whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, Path]:
    """The rows of an uninterrupted comparison, and its folder."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "out"
    rows = compare(problem(), PLAN, SETTINGS, out, hardware=HARDWARE)
    torch.set_num_threads(before)
    return rows, out


def timeless(rows: Rows) -> Rows:
    """Rows without the wall-clock time."""
    return [{key: value for key, value in row.items() if key != "train_seconds"} for row in rows]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of folders that `fit` is called for from here on."""
    calls: list[str] = []
    real: Callable[..., Any] = comparison.fit

    def fit(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["out"].name)
        return real(*args, **kwargs)

    monkeypatch.setattr(comparison, "fit", fit)
    return calls


def test_a_row_for_each_training_and_sigma_in_the_plans_order(whole: tuple[Rows, Path]) -> None:
    rows, out = whole
    grid = [(cell.recipe.name, cell.seed, sigma) for cell in PLAN.cells() for sigma in cell.sigma_d]
    assert [(row["recipe"], row["seed"], row["sigma_d"]) for row in rows] == grid
    for row in rows:
        assert row["train_sigma_d"] == 0.2
        assert (row["draws"], row["evaluation_seed"], row["images"]) == (3, 7, 30)
        assert row["steps"] == 2 * 3, "two epochs of three batches"
        assert row["best_epoch"] in (0, 1)
        values = row["accuracy_values"]
        assert len(values) == 3
        assert row["accuracy"]["mean"] == pytest.approx(sum(values) / 3)
        assert row["worst"] == min(values)
        for metric in ("accuracy", "nll", "brier", "ece"):
            assert row[metric]["lo"] <= row[metric]["mean"] <= row[metric]["hi"]
        assert json.loads(json.dumps(row, allow_nan=False)) == row, "plain types"
    assert {path.name for path in (out / "cells").iterdir()} == {cell.folder for cell in PLAN.cells()}


def test_a_row_is_what_its_backbone_gives_again(whole: tuple[Rows, Path]) -> None:
    rows, out = whole
    row = rows[3]
    model = make_model(0)
    model.load_state_dict(load_file(out / "cells" / "noise-sigma0.2-seed4" / "backbone.safetensors"))
    again = monte_carlo(model, problem().device.at(0.3), load_data().test, draws=3, seed=7)
    assert again.accuracy.values.tolist() == row["accuracy_values"]
    assert again.clean["accuracy"] == row["clean_accuracy"]
    assert again.quantised["accuracy"] == row["quantised_accuracy"]


def test_finished_cells_are_not_run_again(whole: tuple[Rows, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, out = whole
    calls = counted(monkeypatch)
    told: list[tuple[int, int, str, int]] = []
    again = compare(
        problem(), PLAN, SETTINGS, out, hardware=HARDWARE, resume=True,
        on_cell=lambda done, all_, cell, rows: told.append((done, all_, cell.folder, len(rows))),
    )  # fmt: skip
    assert calls == []
    assert again == rows, "with the time that training took"
    assert told == [(index + 1, 4, cell.folder, 2) for index, cell in enumerate(PLAN.cells())]


def other_data() -> DataSplits:
    """As many images as `load_data` gives, others."""
    return dataclasses.replace(
        load_data(), train=dataclasses.replace(load_data().train, labels=load_data().train.labels.flip(0))
    )


def other_model(seed: int) -> Any:
    """A layer more."""
    return torch.nn.Sequential(make_model(seed), torch.nn.Linear(3, 3))


def test_a_comparison_of_a_version_that_noted_no_images_goes_on(
    whole: tuple[Rows, Path], tmp_path: Path
) -> None:
    shutil.copytree(whole[1], tmp_path / "out")
    path = tmp_path / "out" / "comparison.json"
    held = json.loads(path.read_text())
    path.write_text(
        json.dumps({key: value for key, value in held.items() if key not in ("images", "network")})
    )
    assert len(compare(problem(), PLAN, SETTINGS, tmp_path / "out", hardware=HARDWARE, resume=True)) == 8


def test_a_new_comparison_is_never_mixed_with_an_old_one(
    whole: tuple[Rows, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, out = whole
    calls = counted(monkeypatch)
    before = sorted(path.read_bytes() for path in out.rglob("*.json"))
    with pytest.raises(SteadyNetError, match="is not empty"):
        compare(problem(), PLAN, SETTINGS, out, hardware=HARDWARE)
    with pytest.raises(SteadyNetError, match="holds no comparison to resume"):
        compare(problem(), PLAN, SETTINGS, tmp_path, hardware=HARDWARE, resume=True)
    others: list[tuple[Problem, Plan, Any, str]] = [
        (problem("other"), PLAN, SETTINGS, "other name"),
        (dataclasses.replace(problem(), device=problem().device.at(0.5)), PLAN, SETTINGS, "other device"),
        (problem(), dataclasses.replace(PLAN, draws=4), SETTINGS, "other plan"),
        (problem(), dataclasses.replace(PLAN, seeds=(4,)), SETTINGS, "other plan"),
        (problem(), dataclasses.replace(PLAN, recipes=TWO[:1]), SETTINGS, "other recipes"),
        (problem(), PLAN, dataclasses.replace(SETTINGS, epochs=3), "other settings"),
        (dataclasses.replace(problem(), load_data=other_data), PLAN, SETTINGS, "other images"),
        (dataclasses.replace(problem(), make_model=other_model), PLAN, SETTINGS, "other network"),
    ]
    for other, plan, settings, told in others:
        with pytest.raises(SteadyNetError, match=told):
            compare(other, plan, settings, out, hardware=HARDWARE, resume=True)
    assert calls == []
    assert sorted(path.read_bytes() for path in out.rglob("*.json")) == before
    # What changes no number may change: how often a checkpoint is written.
    free = dataclasses.replace(SETTINGS, checkpoint_every=2)
    assert len(compare(problem(), PLAN, free, out, hardware=HARDWARE, resume=True)) == 8


def interrupt_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the training step of that number, counted over all trainings."""
    real = TrainingModule.training_step
    done = [0]

    def training_step(self: TrainingModule, batch: Any, batch_idx: int) -> Tensor:
        done[0] += 1
        if done[0] == steps:
            signal.raise_signal(signal.SIGINT)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)


# A cell takes 6 steps: within the first one, in the second cell's first epoch, at its epoch's end, in the last.
@pytest.mark.parametrize("steps", [2, 8, 9, 23])
def test_an_interrupted_comparison_goes_on_to_the_same_rows(
    steps: int, whole: tuple[Rows, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_after(steps, patch)
        with pytest.raises(KeyboardInterrupt):
            compare(problem(), PLAN, SETTINGS, out, hardware=HARDWARE)
    names = [cell.folder for cell in PLAN.cells()]
    finished = (steps - 1) // 6
    assert [(out / "cells" / name / "result.json").exists() for name in names] == [
        index < finished for index in range(4)
    ]
    assert (out / "cells" / names[finished] / "last.ckpt").exists()
    calls = counted(monkeypatch)
    rows = compare(problem(), PLAN, SETTINGS, out, hardware=HARDWARE, resume=True)
    assert calls == names[finished:]
    assert timeless(rows) == timeless(whole[0])


def test_a_cell_that_was_cut_between_training_and_test_is_tested(
    whole: tuple[Rows, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def killed(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "full", killed)
        with pytest.raises(KeyboardInterrupt):
            compare(problem(), PLAN, SETTINGS, tmp_path / "out", hardware=HARDWARE)
    rows = compare(problem(), PLAN, SETTINGS, tmp_path / "out", hardware=HARDWARE, resume=True)
    assert timeless(rows) == timeless(whole[0])


def test_a_damaged_file_is_told_and_can_be_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    plan = dataclasses.replace(PLAN, recipes=TWO[1:], seeds=(4,))
    rows = compare(problem(), plan, SETTINGS, out, hardware=HARDWARE)
    (result,) = out.rglob("result.json")
    for text in ("", "{", "[1]", "{}", '{"rows": 3}'):
        result.write_text(text)
        with pytest.raises(SteadyNetError, match=r"result.json cannot be read .*: delete it and resume"):
            compare(problem(), plan, SETTINGS, out, hardware=HARDWARE, resume=True)
    result.unlink()
    assert timeless(compare(problem(), plan, SETTINGS, out, hardware=HARDWARE, resume=True)) == timeless(rows)
    for text in ("", "[1]"):
        (out / "comparison.json").write_text(text)
        with pytest.raises(SteadyNetError, match=r"comparison.json is no readable JSON"):
            compare(problem(), plan, SETTINGS, out, hardware=HARDWARE, resume=True)


def test_recipes_share_all_their_draws(tmp_path: Path) -> None:
    """One recipe under two names: initial weights, order, augmentation, dropout and all errors are the same."""
    twins = (Recipe(name="a"), Recipe(name="b"))
    plan = dataclasses.replace(PLAN, recipes=twins, seeds=(4,))
    rows = timeless(compare(problem(), plan, SETTINGS, tmp_path / "out", hardware=HARDWARE))
    names = [row.pop("recipe") for row in rows]
    assert names == ["a", "a", "b", "b"]
    assert rows[:2] == rows[2:]
    assert rows[0]["accuracy_values"] != rows[1]["accuracy_values"], "the rows could differ"


def test_different_recipes_see_the_same_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every error drawn, in training and in the test, by the standard normals that its generator gives."""
    import steadynet.randomness as randomness

    seen: dict[str, list[tuple[Any, ...]]] = {"train": [], "test": []}

    real = randomness.draw_generator

    def draw_generator(*told: Any) -> Any:
        seen["test" if told[1] == "test" else "train"].append(told[:5])
        return real(*told)

    monkeypatch.setattr(randomness, "draw_generator", draw_generator)
    found: list[dict[str, list[tuple[Any, ...]]]] = []
    for name in ("noise", "noise-t4"):
        seen.update(train=[], test=[])
        plan = dataclasses.replace(PLAN, recipes=(recipe(name),), seeds=(4,))
        compare(problem(), plan, SETTINGS, tmp_path / name, hardware=HARDWARE)
        found.append(dict(seen))
    assert found[0] == found[1]
    entries = [entry for entry in found[0]["train"] if entry[1] == "train"]
    assert len({entry[2] for entry in entries}) == 6, "a fresh chip at each step"
    assert len(set(entries)) == len(entries)
    assert {entry[1] for entry in found[0]["train"]} == {"train", "validation"}
    assert {entry[1] for entry in found[0]["test"]} == {"test"}


def test_processes_change_no_row(whole: tuple[Rows, Path], tmp_path: Path) -> None:
    told: list[str] = []
    rows = compare(
        problem(), PLAN, SETTINGS, tmp_path / "out", hardware=HARDWARE, processes=2,
        on_cell=lambda done, all_, cell, rows: told.append(cell.folder),
    )  # fmt: skip
    assert timeless(rows) == timeless(whole[0])
    assert sorted(told) == sorted(cell.folder for cell in PLAN.cells())
    with pytest.raises(SteadyNetError, match="processes must be an integer ≥ 1"):
        compare(problem(), PLAN, SETTINGS, tmp_path / "x", hardware=HARDWARE, processes=0)
    assert not (tmp_path / "x").exists()


def test_data_are_loaded_once_and_never_another_problems(tmp_path: Path) -> None:
    loaded: list[str] = []

    def loader(name: str) -> Callable[[], DataSplits]:
        def load() -> DataSplits:
            loaded.append(name)
            return load_data()

        return load

    for name in ("one", "two", "three"):
        plan = dataclasses.replace(PLAN, seeds=(4,), draws=1)
        # The function is gone after its comparison; another may lie at its place in memory.
        compare(dataclasses.replace(problem(), load_data=loader(name)), plan, SETTINGS, tmp_path / name,
                hardware=HARDWARE)  # fmt: skip
    assert loaded == ["one", "two", "three"]


def test_a_training_that_diverges_is_told_and_the_finished_cells_stay(tmp_path: Path) -> None:
    wild = dataclasses.replace(SETTINGS, lr=1e30, optimizer="sgd")
    with pytest.raises(DivergenceError, match="at step"):
        compare(problem(), PLAN, wild, tmp_path / "out", hardware=HARDWARE)
    assert (tmp_path / "out" / "comparison.json").exists()
    assert not list(tmp_path.rglob("result.json"))
