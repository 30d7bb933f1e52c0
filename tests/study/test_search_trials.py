"""Who tries what: each trial once, whoever shares the search and whoever is killed, with the values of an undisturbed search."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.study.search_store import Planned, Trial, best
from steadynet.study.trials import Trials
from study.searching import GRID, RANGE, SEARCH, searches, share, tried, worth

MANY = {**SEARCH, "over": RANGE, "trials": 8}


def optuna_study(search: Planned, out: Path) -> Any:
    import optuna

    return optuna.load_study(study_name=search.version, storage=f"sqlite:///{out / 'searches.db'}")


def test_a_grid_is_tried_in_its_order_and_the_best_is_chosen(tmp_path: Path) -> None:
    [search] = searches(tmp_path, SEARCH)
    assert search.chosen() is None
    assert tried(search) == [{"beta": beta} for beta in GRID]
    assert search.chosen() == {"beta": 1e-2}
    assert not search.trials_path.exists()
    assert [trial.score for trial in search.trials()] == [worth({"beta": beta}) for beta in GRID]
    assert "3 of 3 trials; chosen beta 0.01 (accuracy 1.0000 on validation images)" in search.told()


def test_the_least_nll_is_chosen_and_the_first_of_equals(tmp_path: Path) -> None:
    [search] = searches(tmp_path, {**SEARCH, "score": "nll"})
    tried(search)
    # Both ends are equally far from 1e-2: the least of `worth` is theirs.
    assert search.chosen() == {"beta": 1e-1}
    assert "the first of 2 equals" in search.told()
    assert best([Trial({"a": 1}, float("nan"), ""), Trial({"a": 2}, None, "")], maximise=True) is None


def test_a_search_by_tpe_goes_on_as_it_would_have_after_a_cut_at_any_trial(tmp_path: Path) -> None:
    [whole] = searches(tmp_path / "whole", MANY)
    expected = tried(whole)
    assert len(expected) == 8
    assert len({values["beta"] for values in expected}) == 8
    [cut] = searches(tmp_path / "cut", MANY)
    assert tried(cut, at_most=3) == expected[:3]
    taken = Trials(cut).take()
    assert taken is not None
    taken.lock.release()  # as the system does for a process that is killed
    assert tried(cut) == expected[3:], "the trial that was left behind comes first, with its values"
    assert cut.chosen() == whole.chosen()
    assert len(cut.trials()) == 8


def test_a_process_killed_before_its_values_were_drawn_leaves_no_trial(tmp_path: Path) -> None:
    [whole] = searches(tmp_path / "whole", MANY)
    expected = tried(whole)
    [cut] = searches(tmp_path / "cut", MANY)
    tried(cut, at_most=2)
    optuna_study(cut, tmp_path / "cut").ask()  # a trial that runs nowhere, without values
    assert tried(cut) == expected[2:]
    assert [dict(trial.values) for trial in cut.trials()] == expected


def test_a_process_killed_before_all_of_a_grid_stood_in_the_queue_costs_no_value(tmp_path: Path) -> None:
    [search] = searches(tmp_path, SEARCH)
    taken = Trials(search).take()
    assert taken is not None
    import optuna

    storage = f"sqlite:///{tmp_path / 'searches.db'}"
    optuna.delete_study(study_name=search.version, storage=storage)
    again = optuna.create_study(study_name=search.version, storage=storage, direction="maximize")
    for beta in GRID[:2]:
        again.enqueue_trial({"beta": beta})
    taken.lock.release()
    assert [values["beta"] for values in tried(search)] == GRID
    assert len(search.trials()) == 3


def test_what_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    [search] = searches(tmp_path, SEARCH)
    one, other = Trials(search), Trials(search)
    taken = [one.take(), other.take(), one.take()]
    assert [dict(t.values)["beta"] for t in taken if t is not None] == GRID
    assert other.take() is None, "all are taken"
    for t in taken:
        assert t is not None
        assert search.chosen() is None
        one.finish(t, worth(t.values), "none")
    assert search.chosen() == {"beta": 1e-2}


@pytest.mark.parametrize("url", [False, True])
def test_processes_that_share_a_search_do_each_trial_once(tmp_path: Path, url: bool) -> None:
    [search] = searches(tmp_path / "out", {**SEARCH, "over": {"beta": [10.0 ** (-n / 4) for n in range(16)]}})
    storage = f"sqlite:///{tmp_path / 'elsewhere.db'}" if url else None
    log = tmp_path / "log"
    log.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=share, args=(search, log, storage, 0.05)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
        process.close()
    noted = [path.read_text().split() for path in log.iterdir()]
    assert sorted(float(line) for [line] in noted) == sorted(10.0 ** (-n / 4) for n in range(16))
    assert search.chosen() == {"beta": 1e-2}
    assert (tmp_path / "out" / "searches.db").exists() != url


def test_trials_that_fail_count_and_the_choice_is_among_the_others(tmp_path: Path) -> None:
    [search] = searches(tmp_path, SEARCH)
    trials = Trials(search)
    for _ in GRID:
        taken = trials.take()
        assert taken is not None
        failed = taken.values["beta"] == 1e-2
        trials.finish(taken, None if failed else worth(taken.values), "cell", "it diverged" if failed else "")
    assert search.chosen() == {"beta": 1e-1}
    assert [trial.why for trial in search.trials()] == ["", "it diverged", ""]
    assert "3 of 3 trials, 1 failed; chosen beta 0.1" in search.told()


def test_a_search_whose_trials_all_failed_chooses_nothing_and_is_tried_again(tmp_path: Path) -> None:
    [search] = searches(tmp_path, SEARCH)
    trials = Trials(search)
    while (taken := trials.take()) is not None:
        trials.finish(taken, None, "cell", "it diverged")
    assert search.chosen() is None
    assert (
        search.failure() == "none of the 3 trials of its search finished; the first: it diverged (cell cell)"
    )
    trials.renew()
    assert search.failure() == ""
    assert tried(search) == [{"beta": beta} for beta in GRID]
    trials.renew()
    assert search.chosen() == {"beta": 1e-2}, "a search that has chosen is left as it is"


def test_a_changed_search_is_another_and_what_it_shares_with_the_first_is_not_told_it(tmp_path: Path) -> None:
    keys = {
        searches(tmp_path, {**SEARCH, **changed})[0].key
        for changed in (
            {}, {"draws": 5}, {"seed": 7}, {"score": "kpp5"}, {"trials": 2}, {"set": {"epochs": 1}},
            {"over": {"beta": [1e-1, 1e-2]}}, {"over": {"beta": {"low": 1e-3, "high": 1e-1}}, "trials": 3},
        )
    }  # fmt: skip
    assert len(keys) == 8


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", r"--storage 'nonsense' cannot be used"),
        ("sqlite:////no/such/folder/x.db", r"--storage sqlite:////no/such/folder/x.db cannot be used"),
        ("nosuch://me:secret@host/db", r"--storage nosuch://me:\*\*\*@host/db cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused_in_one_line_without_its_password(
    tmp_path: Path, url: str, told: str
) -> None:
    [search] = searches(tmp_path, SEARCH)
    with pytest.raises(SteadyNetError, match=told) as raised:
        Trials(search, url).take()
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_damaged_file_of_trials_is_refused_by_its_name(tmp_path: Path) -> None:
    [search] = searches(tmp_path, SEARCH)
    (tmp_path / "searches.db").write_text("no database" * 100)
    with pytest.raises(SteadyNetError, match=r"searches\.db cannot be used .*delete it") as raised:
        Trials(search).take()
    assert "\n" not in str(raised.value)
