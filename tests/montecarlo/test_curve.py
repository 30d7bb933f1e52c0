"""Accuracy over growing σ_d, the largest σ_d that keeps an accuracy, and differences on shared draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import steadynet as sn
from montecarlo.slow_loop import images, net
from steadynet.montecarlo import Curve, MonteCarloResult, curve, paired_difference

DEVICE = sn.Device(variation=sn.Gaussian(sigma_d=0.2))


def result(sigma_d: float, accuracies: list[float], **others: Any) -> MonteCarloResult:
    zeros = dict.fromkeys(("accuracy", "nll", "brier", "calibration_error", "ekl_sum", "ekl_count"), 0.0)
    values = {name: np.zeros(len(accuracies)) for name in zeros} | {"accuracy": np.array(accuracies)}
    fields: dict[str, Any] = {"seed": 0, "stream": "test", "first_draw": 0, "images": 100, **others}
    return MonteCarloResult(
        sigma_d,
        "a device",
        values=values,
        clean=zeros,
        quantised=zeros,
        mutual_information=0.0,
        deterministic=False,
        **fields,
    )


def line(*points: tuple[float, float]) -> Curve:
    return Curve(tuple(result(sigma_d, [accuracy, accuracy]) for sigma_d, accuracy in points))


def test_each_point_is_the_evaluation_at_that_sigma_d() -> None:
    model, data = net(), images()
    found = curve(model, DEVICE, data, [0.0, 0.1, 0.3], draws=3, seed=5)
    assert found.sigma_d == (0.0, 0.1, 0.3)
    for point in found.results:
        alone = sn.monte_carlo(model, DEVICE.at(point.sigma_d), data, draws=3, seed=5)
        np.testing.assert_array_equal(point.nll.values, alone.nll.values)
    assert [point.draws for point in found.results] == [1, 3, 3]


@pytest.mark.parametrize(
    ("sigma_d", "message"),
    [
        ([], "sigma_d is empty"),
        ([0.2, 0.1], r"must grow from value to value, got 0\.2, 0\.1"),
        ([0.1, 0.1], "must grow"),
        ([0.1, -0.2], "sigma_d must be a finite number ≥ 0"),
        ([math.nan], "sigma_d must be a finite number"),
        ([0.1, math.inf], "sigma_d must be a finite number"),
        (["0.1"], "sigma_d must be a finite number"),
    ],
)
def test_sigma_d_must_grow(sigma_d: list[float], message: str) -> None:
    with pytest.raises(sn.SteadyNetError, match=message):
        curve(net(), DEVICE, images(), sigma_d, draws=1)


def test_the_largest_sigma_d_is_interpolated_where_the_curve_first_falls_below() -> None:
    falling = line((0.0, 0.9), (0.1, 0.8), (0.3, 0.4))
    assert falling.largest_sigma_d(0.85) == pytest.approx(0.05)
    assert falling.largest_sigma_d(0.5) == pytest.approx(0.25)
    # At a point itself, both neighbours agree.
    assert falling.largest_sigma_d(0.8) == pytest.approx(0.1)
    assert falling.largest_sigma_d(0.9) == pytest.approx(0.0)


def test_a_curve_that_rises_again_is_left_where_it_first_fell() -> None:
    assert line((0.1, 0.9), (0.2, 0.7), (0.3, 0.95)).largest_sigma_d(0.8) == pytest.approx(0.15)


def test_an_accuracy_never_kept_has_none_and_one_never_lost_has_no_bound() -> None:
    falling = line((0.1, 0.9), (0.2, 0.8))
    assert falling.largest_sigma_d(0.91) is None
    assert falling.largest_sigma_d(0.8) == math.inf
    assert line((0.1, 0.9)).largest_sigma_d(0.9) == math.inf
    assert line((0.1, 0.9)).largest_sigma_d(0.95) is None


def test_a_plateau_at_the_accuracy_is_kept_to_its_end() -> None:
    # Three times 0.1 … 0.9 rounds to a mean just off the value itself, either way.
    for tenth in range(1, 10):
        accuracy = tenth / 10
        flat = tuple(result(sigma_d, [accuracy] * 3) for sigma_d in (0.1, 0.2))
        fallen = result(0.3, [accuracy - 0.1] * 3)
        assert Curve(flat).largest_sigma_d(accuracy) == math.inf
        assert Curve((*flat, fallen)).largest_sigma_d(accuracy) == pytest.approx(0.2)


def test_an_accuracy_kept_but_for_a_rounding_has_no_sigma_d_below_the_first() -> None:
    assert line((0.0, 0.9 - 5e-10), (0.1, 0.5)).largest_sigma_d(0.9) == 0.0


@pytest.mark.parametrize("accuracy", [-0.01, 1.01, 90, math.nan])
def test_an_accuracy_that_is_no_fraction_is_refused(accuracy: float) -> None:
    with pytest.raises(sn.SteadyNetError, match="accuracy must be a finite number"):
        line((0.1, 0.9)).largest_sigma_d(accuracy)


def test_a_paired_difference_is_draw_by_draw() -> None:
    found = paired_difference(result(0.1, [0.9, 0.8, 0.85]), result(0.2, [0.7, 0.7, 0.7]))
    assert found.values == pytest.approx(np.array([0.2, 0.1, 0.15]))
    assert found.mean == pytest.approx(0.15)
    assert found.std == pytest.approx(0.05)
    half = stats.t.ppf(0.975, 2) * 0.05 / math.sqrt(3)
    assert found.interval == pytest.approx((0.15 - half, 0.15 + half))


def test_a_paired_difference_may_be_negative_and_a_single_draw_has_no_interval() -> None:
    found = paired_difference(result(0.1, [0.25]), result(0.1, [0.75]))
    assert found.mean == -0.5
    assert found.interval is None
    assert math.isnan(found.std)


def test_shared_draws_make_the_difference_narrower_than_two_separate_intervals() -> None:
    # The same errors hurt both networks alike; the second is a point worse, with a small spread of its own.
    rng = np.random.default_rng(0)
    shared = rng.normal(0.8, 0.05, 50)
    a = result(0.2, list(shared))
    b = result(0.2, list(shared - 0.01 + rng.normal(0, 0.005, 50)))
    paired = paired_difference(a, b).interval
    assert paired is not None
    unpaired = stats.ttest_ind(a.accuracy.values, b.accuracy.values).confidence_interval(0.95)
    assert paired.half_width < (unpaired.high - unpaired.low) / 2 / 5
    assert paired.low > 0 > unpaired.low


def test_the_same_draws_at_two_sigma_d_go_together() -> None:
    model, data = net(), images(200)
    near, far = curve(model, DEVICE, data, [0.1, 0.12], draws=40).results
    assert np.corrcoef(near.nll.values, far.nll.values)[0, 1] > 0.9
    paired = paired_difference(near, far)
    unpaired = math.hypot(near.accuracy.half_width, far.accuracy.half_width)
    assert paired.half_width < unpaired / 2


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"stream": "pilot"}, {"first_draw": 3}, {"images": 99}],
    ids=lambda o: next(iter(o)),
)
def test_results_on_different_draws_are_not_paired(other: dict[str, Any]) -> None:
    (what,) = other
    with pytest.raises(sn.SteadyNetError, match=f"only on shared draws: {what} is "):
        paired_difference(result(0.1, [0.5, 0.6]), result(0.1, [0.5, 0.6], **other))
    with pytest.raises(sn.SteadyNetError, match="draws is 2 and 3"):
        paired_difference(result(0.1, [0.5, 0.6]), result(0.1, [0.5, 0.6, 0.7]))
