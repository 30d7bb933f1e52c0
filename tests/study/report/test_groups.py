"""Which trainings one value stands for, whether they are converged, and the command that gives it again."""

from __future__ import annotations

from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.study.report.views.groups import Judge, joined_commands, label_of, select
from study.rows import row


def test_sigma_d_is_that_of_the_test_and_facts_need_no_axis() -> None:
    made = row(axes={"sigma_d": 0.2, "N": 3}, sigma_d=0.4)
    assert (label_of(made, "sigma_d"), label_of(made, "N"), label_of(made, "seed")) == (0.4, 3, 0)
    assert label_of({**made, "axes": {}, "recipe": "noise"}, "recipe") == "noise"
    assert label_of({**made, "train_sigma_d": None}, "train_sigma_d") == "none"


def test_groups_hold_the_seeds_of_each_label_and_know_how_many_are_missing() -> None:
    rows = [row(axes={"recipe": r, "seed": s}) for r, s in (("W/", 0), ("W/", 1), ("OVF", 0))]
    wanted = [{"recipe": r, "seed": s, "sigma_d": 0.2} for r in ("W/", "OVF", "IRS") for s in (0, 1)]
    groups = select(rows, {}, wanted).groups(["recipe"], "table")
    assert {key: (len(g.rows), g.expected) for key, g in groups.items()} == {
        ("W/",): (2, 2),
        ("OVF",): (1, 2),
        ("IRS",): (0, 2),
    }
    assert "1 more not finished" in groups[("OVF",)].detail


def test_the_order_of_labels_is_the_studys_and_numbers_grow() -> None:
    rows = [row(axes={"recipe": r, "N": n}) for r, n in (("OVF", 10), ("W/", 2))]
    wanted = [{"recipe": r, "N": n, "seed": 0, "sigma_d": 0.2} for r in ("W/", "OVF") for n in (10, 2, 5)]
    selection = select(rows, {}, wanted)
    assert selection.labels("recipe") == ["W/", "OVF"]
    assert selection.labels("N") == [2, 5, 10]


def test_trainings_that_differ_in_more_than_their_seed_are_not_averaged() -> None:
    mixed = [row(axes={"N": n}) for n in (1, 2)]
    with pytest.raises(SteadyNetError, match="view curve mixes N 1 and 2 in one value: name N in the view"):
        select(mixed, {}, None).groups(["recipe"], "curve")
    assert len(select(mixed, {}, None).groups(["recipe", "N"], "curve")) == 2
    tested = [row(sigma_d=s) for s in (0.1, 0.2)]
    with pytest.raises(SteadyNetError, match=r"mixes sigma_d 0\.1 and 0\.2"):
        select(tested, {}, None).groups(["recipe"], "curve")
    trained = [row(axes={"sigma_d": s}, sigma_d=0.2) for s in (0.1, 0.2)]
    with pytest.raises(SteadyNetError, match="hold a seed twice"):
        select(trained, {}, None).groups(["recipe", "sigma_d"], "curve")


def vanilla(clean: float, seed: int = 0, **others: Any) -> dict[str, Any]:
    return row(axes={"recipe": "W/O", "seed": seed}, clean_accuracy=clean, **others)


def judged(rows: list[dict[str, Any]], *others: dict[str, Any]) -> bool | None:
    return Judge([*rows, *others]).converged(rows)


def test_two_points_under_vanilla_is_converged_and_more_is_not() -> None:
    assert judged([row(clean_accuracy=0.97)], vanilla(0.99)) is True
    assert judged([row(clean_accuracy=0.9699)], vanilla(0.99)) is False
    assert judged([row(clean_accuracy=0.97)]) is None
    assert judged([vanilla(0.5)], vanilla(0.99, 1)) is True


def test_convergence_is_judged_by_the_mean_over_shared_seeds_and_vanillas_best() -> None:
    rows = [row(axes={"seed": s}, clean_accuracy=c) for s, c in ((0, 0.90), (1, 0.79))]
    # Short of vanilla by 1 and 2 points: 1.5 in the mean; the third seed of vanilla does not count.
    assert judged(rows, vanilla(0.91, 0), vanilla(0.81, 1), vanilla(0.99, 2)) is True
    assert judged(rows, vanilla(0.91, 0), vanilla(0.83, 1)) is False
    twice = [vanilla(0.5, sigma_d=0.1), vanilla(0.99, sigma_d=0.3)]
    assert judged([row(clean_accuracy=0.9)], *twice) is False


@pytest.mark.parametrize(
    ("others", "judgement"),
    [
        ({"options": {"data": "cifar10"}}, None),
        ({"options": {"epochs": 24, "batch_size": 256}}, False),
        ({"options": {"lr": 3e-3, "optimizer": "sgd"}}, False),
        ({"options": {"model_options": {"width": 0.25}}}, None),
        ({"steps": 500}, None),
        ({"options": {"init_from": {"recipe": "vanilla"}}}, None),
        ({"options": {"n": 3, "beta": 0.1}}, False),
        ({"options": {"test_images": 100, "threads": 2}}, False),
    ],
)
def test_vanilla_counts_only_with_the_same_data_net_and_steps(
    others: dict[str, Any], judgement: bool | None
) -> None:
    assert judged([row(clean_accuracy=0.5, **others)], vanilla(0.99)) is judgement


def test_of_several_references_the_one_of_the_same_options_counts_or_else_the_best() -> None:
    slow, fast = ({"lr": lr} for lr in (1e-4, 1e-2))
    references = [vanilla(0.99), vanilla(0.6, options=slow)]
    assert judged([row(clean_accuracy=0.59, options=slow)], *references) is True
    assert judged([row(clean_accuracy=0.59)], *references) is False
    assert judged([row(clean_accuracy=0.59, options=fast)], *references) is False
    assert judged([row(clean_accuracy=0.98, options=fast)], *references) is True


def test_what_the_view_leaves_out_still_judges() -> None:
    rows = [vanilla(0.99), row(clean_accuracy=0.5)]
    (group,) = select(rows, {"recipe": ("W/",)}, None).groups(["recipe"], "curve").values()
    assert group.converged is False


@pytest.mark.parametrize(
    ("commands", "one"),
    [
        (["run f.yaml --only 'p=A B' seed=0"], "run f.yaml --only 'p=A B' seed=0"),
        (
            ["run f.yaml --only p=A seed=0", "run f.yaml --only p=A seed=1"],
            "run f.yaml --only p=A 'seed=0|1'",
        ),
        (["run --only p=A seed=0", "run --only q=B seed=0"], "run --only p=A seed=0; run --only q=B seed=0"),
        (["run a", "run b c"], "run a; run b c"),
    ],
)
def test_commands_that_differ_in_a_label_become_one(commands: list[str], one: str) -> None:
    assert joined_commands(commands) == one


def test_only_plain_training_without_noise_is_what_others_are_held_to() -> None:
    plain = row(0.9, axes={"recipe": "W/O"}, clean_accuracy=0.98)
    warm = row(
        0.4, axes={"recipe": "warm"}, options={"recipe": "vanilla", "temperature": 16.0}, clean_accuracy=0.4
    )
    noisy = row(0.9, options={"val_draws": 8, "data_seed": 0}, clean_accuracy=0.97)
    judge = Judge([plain, warm, noisy])
    assert judge.converged([plain]) is True
    assert judge.converged([warm]) is False, "a variant of it is judged as any other"
    assert judge.converged([noisy]) is True, (
        "validation chips and defaults that are written out make no other setting"
    )
    assert Judge([warm, noisy]).converged([noisy]) is None, "nor is it what others are held to"


def test_the_best_of_several_tests_of_plain_training_is_the_measure_in_whichever_order() -> None:
    reference = [
        row(0.5, axes={"recipe": "W/O", "seed": 0, "sigma_d": sigma_d}, clean_accuracy=clean)
        for sigma_d, clean in ((0.1, 0.99), (0.4, 0.95))
    ]
    own = [row(0.5, axes={"recipe": "OVF", "seed": 0, "sigma_d": 0.1}, clean_accuracy=0.96)]
    assert Judge(reference).converged(own) is False
    assert Judge(reference[::-1]).converged(own) is False
