"""A result keeps its draws, gives its figures, and says what its intervals are over."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import steadynet as sn
from montecarlo.slow_loop import images, net
from steadynet.montecarlo import Estimate, MonteCarloResult, metrics
from steadynet.montecarlo.intervals import Interval

DEVICE = sn.Device(variation=sn.Gaussian(sigma_d=0.2))


def result(accuracies: list[float], images: int = 1000, **others: Any) -> MonteCarloResult:
    zeros = dict.fromkeys(("accuracy", "nll", "brier", "calibration_error", "ekl_sum", "ekl_count"), 0.0)
    values = {name: np.zeros(len(accuracies)) for name in zeros} | {
        name: np.array(column, dtype=np.float64)
        for name, column in {"accuracy": accuracies, **others}.items()
        if name in zeros
    }
    return MonteCarloResult(
        0.2,
        "a device",
        4,
        "pilot",
        0,
        images,
        values,
        zeros,
        zeros,
        0.125,
        others.get("deterministic", False),
    )


@pytest.fixture(scope="module")
def real() -> MonteCarloResult:
    return sn.monte_carlo(net(), DEVICE, images(), draws=40, seed=9)


@pytest.mark.parametrize("name", ["accuracy", "nll", "brier", "calibration_error"])
def test_a_mean_has_students_interval_over_draws(real: MonteCarloResult, name: str) -> None:
    values = real.values[name]
    estimate = getattr(real, name)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.std == pytest.approx(math.sqrt(((values - values.mean()) ** 2).sum() / 39))
    half = stats.t.ppf(0.975, 39) * estimate.std / math.sqrt(40)
    assert estimate.interval == pytest.approx((estimate.mean - half, estimate.mean + half))
    assert estimate.half_width == pytest.approx(half)


def test_ekl_is_the_mean_over_the_correct_predictions_of_all_draws() -> None:
    # Pooled: (2 + 9 + 0)/(1 + 3 + 0), not the mean of 2 and 3; a chip without a correct prediction has none.
    ekl = result([0.1, 0.3, 0.0], ekl_sum=[2, 9, 0], ekl_count=[1, 3, 0]).ekl
    assert ekl.mean == 11 / 4
    assert ekl.values[:2].tolist() == [2, 3]
    assert math.isnan(ekl.values[2])
    assert ekl.std == pytest.approx(math.sqrt(0.5))
    # Delta method by hand: residuals 2 − 2.75, 9 − 8.25, 0; mean denominator 4/3.
    error = np.std([-0.75, 0.75, 0], ddof=1) / (math.sqrt(3) * 4 / 3)
    half = stats.t.ppf(0.975, 2) * error
    assert ekl.interval == pytest.approx((2.75 - half, 2.75 + half))


def test_ekl_without_a_correct_prediction_is_undefined() -> None:
    ekl = result([0.0, 0.0]).ekl
    assert math.isnan(ekl.mean)
    assert math.isnan(ekl.std)
    assert ekl.interval is None


def test_an_interval_stays_within_what_the_figure_can_be() -> None:
    accuracy = result([1.0, 1.0, 0.8]).accuracy
    assert accuracy.interval is not None
    assert accuracy.interval.high == 1.0
    # … and "±" says how far it reaches from the mean, not half of what is left of it.
    full = stats.t.ppf(0.975, 2) * accuracy.std / math.sqrt(3)
    assert accuracy.half_width == pytest.approx(full)
    assert str(accuracy) == f"{accuracy.mean:.4g} ± {full:.4g}"
    low = result([0.0, 0.0, 0.2]).accuracy.interval
    assert low is not None
    assert low.low == 0.0


def test_the_interval_of_a_brier_score_reaches_to_2() -> None:
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert result([0.0] * 3, brier=[1.1, 1.3, 1.2]).brier.interval == pytest.approx((1.2 - half, 1.2 + half))
    high = result([0.0] * 3, brier=[2.0, 2.0, 1.6]).brier.interval
    assert high is not None
    assert high.high == 2.0


def test_the_upper_end_of_a_bin_of_confidences_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Exactly 3/15, 6/15 and 15/15, and a little more than 3/15; a softmax would round.
    confidence = torch.tensor([0.2, 0.4, 1.0, 0.2 + 1e-9], dtype=torch.float64)
    logits, labels = torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64)
    figures = dataclasses.replace(metrics.image_figures(logits, labels), confidence=confidence)
    monkeypatch.setattr(metrics, "image_figures", lambda *_: figures)
    sums, _, _ = metrics.measure(logits, labels)
    assert sums.bins[0].nonzero().flatten().tolist() == [2, 3, 5, 14]


def test_equal_draws_have_an_interval_of_one_value_and_a_single_draw_none() -> None:
    # 0.5 is exact in binary: no rounding stands for a spread.
    assert result([0.5] * 5).accuracy.interval == (0.5, 0.5)
    single = result([0.5]).accuracy
    assert single.interval is None
    assert math.isnan(single.std)
    assert math.isnan(single.half_width)
    assert str(single) == "0.5"


def test_the_worst_is_the_least_accurate_chip(real: MonteCarloResult) -> None:
    assert real.worst == min(real.values["accuracy"].tolist())
    assert result([0.7, 0.2, 0.9]).worst == 0.2


def test_the_yield_counts_chips_that_keep_the_accuracy() -> None:
    # 0.9 of 1000 images is 900: kept, also where 0.9 is computed.
    chips = result([0.899, 0.9, 0.901, 900 / 1000])
    for target in (0.9, 0.7 + 0.2, 1.1 - 0.2):  # the last two are a rounding below and above 0.9
        assert chips.yield_at(target).value == 0.75
    found = chips.yield_at(0.9)
    assert found.accuracy == 0.9
    expected = stats.binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert chips.yield_at(0.0).value == 1
    assert chips.yield_at(1.0).value == 0
    assert result([1.0]).yield_at(1.0).value == 1


@pytest.mark.parametrize("images", [7, 1000, 1006, 10_000, 360])
def test_a_chip_one_image_short_of_the_accuracy_is_no_success(images: int) -> None:
    # 0.9 · 1006 = 905.4 images: 906 keep it, 905 do not.
    for percent in range(101):
        needed = -(-percent * images // 100)
        chips = result([count / images for count in (needed - 1, needed) if count >= 0], images=images)
        assert chips.yield_at(percent / 100).value == (0.5 if needed else 1.0), percent


@pytest.mark.parametrize("accuracy", [-0.1, 1.1, 90, math.nan])
def test_an_accuracy_that_is_no_fraction_is_refused(accuracy: float) -> None:
    with pytest.raises(sn.SteadyNetError, match="accuracy must be a finite number"):
        result([0.5]).yield_at(accuracy)


def test_a_result_survives_json_exactly(real: MonteCarloResult) -> None:
    back = MonteCarloResult.from_dict(json.loads(json.dumps(real.to_dict(), allow_nan=False)))
    for field in dataclasses.fields(MonteCarloResult):
        if field.name != "values":
            assert getattr(back, field.name) == getattr(real, field.name), field.name
    assert back.values.keys() == real.values.keys()
    for name, values in real.values.items():
        assert back.values[name].dtype == np.float64
        np.testing.assert_array_equal(back.values[name], values)
    assert back.summary() == real.summary()
    assert back.figures() == real.figures()


def test_what_is_no_result_is_refused(real: MonteCarloResult) -> None:
    plain = real.to_dict()
    missing = {key: value for key, value in plain.items() if key != "seed"}
    with pytest.raises(sn.SteadyNetError, match=r"missing \['seed'\], foreign \['sead'\]"):
        MonteCarloResult.from_dict({**missing, "sead": 0})
    for values in (
        {name: column for name, column in plain["values"].items() if name != "nll"},
        {**plain["values"], "f1": plain["values"]["nll"]},
        {**plain["values"], "nll": plain["values"]["nll"][1:]},
    ):
        with pytest.raises(sn.SteadyNetError, match="no Monte Carlo result: draws of each of accuracy, nll"):
            MonteCarloResult.from_dict({**plain, "values": values})


def test_figures_are_plain_numbers_that_json_takes(real: MonteCarloResult) -> None:
    for some in (real, result([0.0, 0.0]), result([0.5]), result([0.5], deterministic=True)):
        figures = json.loads(json.dumps(some.figures(), allow_nan=False))
        assert figures == some.figures()
    figures = real.figures()
    low, high = real.nll.interval or (0, 0)
    assert figures["nll"] == {"mean": real.nll.mean, "std": real.nll.std, "lo": low, "hi": high}
    assert figures["worst"] == real.worst
    assert figures["mutual_information"] == real.mutual_information
    assert figures["kpp10"] == {
        "mean": real.percentile(10).value,
        "lo": (real.percentile(10).interval or (0, 0))[0],
        "hi": (real.percentile(10).interval or (0, 0))[1],
        "needs": 36,
    }
    assert figures["kpp1"]["lo"] is None
    assert result([0.0, 0.0]).figures()["ekl"]["mean"] is None


def test_the_summary_says_draws_seed_and_what_the_interval_is_over(real: MonteCarloResult) -> None:
    text = real.summary()
    first, last = text.splitlines()[0], text.splitlines()[-1]
    assert first.startswith("40 draws (seed 9, stream 'test') of ")
    assert str(DEVICE) in first
    assert first.endswith("37 images")
    assert last == "± : 95 % interval over draws of this one network; not over trainings or test images"
    half = 100 * real.accuracy.half_width
    assert f"{real.accuracy.mean:.2%} ± {half:.2f} points" in text
    assert f"clean {real.clean['accuracy']:.2%}, quantised {real.quantised['accuracy']:.2%}" in text
    assert "1 % of chips below" in text
    assert "an interval needs at least 368 draws" in text
    assert f"worst of 40         {real.worst:.2%}" in text
    for words in ("EKL", "neg. log-likelihood", "Brier score", "calibration error", "mutual information"):
        assert words in text


def test_the_summary_without_error_claims_no_interval() -> None:
    text = result([0.9], deterministic=True).summary()
    assert text.splitlines()[-1] == "σ_d = 0: all chips are alike, there is no interval"
    assert text.splitlines()[0].startswith("1 draw (seed 4, stream 'pilot')")
    for claim in ("±", "needs at least", "worst", "chips below"):
        assert claim not in text


def test_an_estimate_without_interval_prints_its_mean_alone() -> None:
    assert str(Estimate(0.25, 0.1, None, np.array([0.25]))) == "0.25"
    assert str(Estimate(0.25, 0.1, Interval(0.125, 0.375), np.array([0.25]))) == "0.25 ± 0.125"
