"""A search as it is written: what its words come to, which points it is for, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.study.search import Range
from steadynet.study.search_points import sought
from steadynet.study.specification import read_study, study
from study.searching import AXES, SEARCH, with_search
from study.small import write


def test_a_list_is_a_grid_and_numbers_are_read_as_options_are() -> None:
    [search] = study(
        with_search({"over": {"beta": ["1e-1", 1], "n": [2, 3]}, "when": {"recipe": "OVF"}})
    ).search
    assert search.grid() == [{"beta": b, "n": n} for b in (0.1, 1.0) for n in (2, 3)]
    assert (search.trials, search.seeds, search.draws, search.score) == (4, (1000,), 20, "accuracy")
    assert search.per == ("recipe", "sigma_d")
    assert search.maximise
    assert not study(with_search({**SEARCH, "score": "nll"})).search[0].maximise


def test_fewer_trials_than_combinations_are_drawn_from_them_by_the_seed() -> None:
    values = [10.0**-n for n in range(12)]
    drawn = [
        study(with_search({**SEARCH, "over": {"beta": values}, "trials": 5, "seed": seed})).search[0].grid()
        or []
        for seed in (1000, 1000, 1001)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    for one in drawn:
        tried = [trial["beta"] for trial in one]
        assert len(set(tried)) == 5
        assert set(tried) < set(values)


def test_a_range_knows_its_scale_and_whether_its_option_takes_integers() -> None:
    over = {"beta": {"low": "1e-3", "high": 1, "log": True}, "n": {"low": 1, "high": 4}}
    [search] = study(with_search({"over": over, "when": {"recipe": "OVF"}, "trials": 7})).search
    assert search.over == {"beta": Range(1e-3, 1.0, log=True), "n": Range(1, 4, integer=True)}
    assert search.grid() is None
    assert {"beta": 1.0, "n": 1} in search.corners()


def test_there_is_a_search_for_each_combination_of_its_axes_labels_and_it_is_for_all_seeds() -> None:
    axes = {**AXES, "sigma_d": [0.1, 0.2]}
    found = sought(study(with_search({**SEARCH, "set": {"epochs": 1}}, axes=axes)))
    assert [dict(one.labels) for one in found] == [
        {"recipe": "OVF", "sigma_d": 0.1},
        {"recipe": "OVF", "sigma_d": 0.2},
    ]
    for one in found:
        assert [point.labels["seed"] for point in one.points] == [0, 1]
        cell = one.cell({"beta": 0.1})
        assert (cell.training.seed, cell.training.epochs) == (1000, 1)
        assert [(w.split, w.sigma_d, w.draws) for w in cell.tests] == [
            ("validation", one.labels["sigma_d"], 4)
        ]


def test_a_trial_may_be_a_training_with_each_of_several_seeds_none_of_which_is_reported() -> None:
    [one] = sought(study(with_search({**SEARCH, "seed": [1000, 7]})))
    cells = [one.cell({"beta": 0.1}), *(one.cell({"beta": 0.1}, seed) for seed in one.search.seeds)]
    assert [cell.training.seed for cell in cells] == [1000, 1000, 7]
    with pytest.raises(SteadyNetError, match=r"seed 1 is that of recipe=OVF .* which is reported"):
        sought(study(with_search({**SEARCH, "seed": [1000, 1]})))


def test_one_search_may_do_for_several_sigma_d_if_its_trials_are_told_which_they_see() -> None:
    axes = {**AXES, "sigma_d": [0.1, 0.2]}
    with pytest.raises(SteadyNetError, match=r"differ in sigma_d, so one search does not do for both"):
        study(with_search({**SEARCH, "per": ["recipe"]}, axes=axes))
    [one] = sought(study(with_search({**SEARCH, "per": ["recipe"], "set": {"sigma_d": 0.2}}, axes=axes)))
    assert len(one.points) == 4
    assert one.cell({"beta": 0.1}).training.device.sigma_d == 0.2


def test_options_of_the_network_are_searched_for_by_their_names() -> None:
    [one] = sought(
        study(
            with_search({"over": {"model.width": [0.25, 0.5]}, "per": ["sigma_d"], "when": {"recipe": "W/"}})
        )
    )
    assert [one.cell(v).training.model.model_options for v in one.search.grid() or []] == [
        {"width": 0.25},
        {"width": 0.5},
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ove": {"beta": [1]}}, "unknown key of search 1 'ove': did you mean 'over'"),
        ({"over": {}}, "search 1 has nothing to search over"),
        ({"over": {"beta": []}}, "search 1: beta takes a list of values or a range"),
        ({"over": {"beta": 0.1}}, "search 1: beta takes a list of values or a range"),
        ({"over": {"bet": [0.1]}}, "unknown option in search 1: bet 'bet': did you mean 'beta'"),
        ({"over": {"beta": ["small"]}}, "search 1: beta: beta takes a number, got 'small'"),
        ({"over": {"beta": [0.1, "1e-1"]}}, "search 1: beta has 0.1 twice"),
        ({"over": {"beta": {"low": 1}}}, "search 1: beta: a range needs low and high"),
        ({"over": {"beta": {"low": 1, "hihg": 2}}}, "unknown key of search 1: beta 'hihg': did you mean 'high'"),
        ({"over": {"beta": {"low": 1, "high": 1}}}, "search 1: beta: high must be a finite number > 1"),
        ({"over": {"beta": {"low": 0, "high": 1, "log": True}}}, "search 1: beta: low must be a finite number > 0"),
        ({"over": {"beta": {"low": 0, "high": 1, "log": 1}}}, "log takes true or false"),
        ({"over": {"n": {"low": 1, "high": 3, "int": False}}}, "search 1: n is an integer: leave out int: false"),
        ({"over": {"beta": {"low": 0.1, "high": 1}}}, "search 1 draws from a range: say how many trials"),
        ({"over": {"seed": [0, 1]}}, "search 1: seed cannot be searched for"),
        ({"over": {"validation": [0.1]}}, "search 1: validation cannot be searched for"),
        ({"over": {"taps": [["a"]]}}, "a search takes texts, numbers, true and false"),
        ({"when": {"recipes": "OVF"}}, "unknown axis in search 1 'recipes': did you mean 'recipe'"),
        ({"when": {"recipe": "OVV"}}, "search 1: recipe has no label 'OVV': did you mean OVF"),
        ({"per": ["sigma"]}, "unknown axis in search 1: per 'sigma': did you mean 'sigma_d'"),
        ({"set": {"epoch": 1}}, "unknown option in search 1 'epoch': did you mean 'epochs'"),
        ({"set": {"seed": 3}}, "the seed of its trials stands beside set"),
        ({"trials": 0}, "search 1: trials must be an integer ≥ 1"),
        ({"trials": 4}, "search 1: trials is 4, but its lists have 3 combinations"),
        ({"draws": 0}, "search 1: draws must be an integer ≥ 1"),
        ({"score": "accurcy"}, "unknown score of search 1 'accurcy': did you mean 'accuracy'"),
        ({"seed": 1}, "search 1: seed 1 is that of recipe=OVF sigma_d=0.1 seed=1, which is reported"),
        ({"seed": []}, "search 1: seed lists none"),
        ({"seed": [1000, 1000]}, "search 1: seed has one twice"),
        ({"seed": [1000, -1]}, "search 1: seed must be an integer ≥ 0"),
        ({"when": {"recipe": "W/"}}, "search 1, recipe=W/ sigma_d=0.1 seed=0, beta 0.1: "),
    ],
)  # fmt: skip
def test_what_is_no_search_is_refused_in_one_line(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        study(with_search({**SEARCH, **changes}))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_search_for_no_point_or_for_what_another_looks_for_is_refused() -> None:
    skip = [{"when": {"recipe": "OVF"}, "skip": True}]
    with pytest.raises(SteadyNetError, match="search 1 is for no point of the grid"):
        study(with_search(SEARCH, rules=skip))
    with pytest.raises(
        SteadyNetError, match=r"search 2: beta of recipe=OVF .* is what search 1 looks for already"
    ):
        study(with_search(SEARCH, {**SEARCH, "over": {"beta": [0.5]}}))


def test_the_line_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, axes=AXES, search=[{**SEARCH, "trials": 0}])
    with pytest.raises(SteadyNetError, match=r"study .*small\.yaml: search 1: trials must be"):
        read_study(path)
