"""What a Monte Carlo evaluation found: estimates with intervals, and the draws that they come from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steadynet.errors import SteadyNetError, check_number
from steadynet.montecarlo.estimates import Estimate, Percentile, Yield
from steadynet.montecarlo.intervals import (
    Interval,
    Values,
    draws_needed,
    mean_interval,
    percentile_ranks,
    proportion_interval,
    ratio_interval,
)
from steadynet.montecarlo.metrics import DrawSums
from steadynet.nvm.device import Device
from steadynet.randomness import Stream

LEVEL = 0.95
# Far below one image's share, far above a float's error: a computed 1.1 − 0.2 asks no more than 900 of 1000.
ROUNDING = 1e-9
VALUES = ("accuracy", "nll", "brier", "calibration_error", "ekl_sum", "ekl_count")
FIGURES = ("accuracy", "nll", "brier", "calibration_error", "ekl")


@dataclass(frozen=True, eq=False)
class MonteCarloResult:
    """One trained network on many chips.

    Intervals are over draws of this one network on these images: they speak neither of other trainings
    nor of other test images.

    Attributes:
        sigma_d: σ_d of the device.
        device: The device in words.
        seed: Seed of the draws.
        stream: Stream of the draws.
        first_draw: Number of the first draw.
        images: Test images.
        values: Per-draw accuracy, nll, brier, calibration_error, and ekl's parts ekl_sum and ekl_count.
        clean: Figures of the clean floating-point network.
        quantised: Figures of the network quantised for the device, without error.
        mutual_information: Of prediction and draw, mean over images, in nats: the epistemic part of the
            predictive entropy.
        deterministic: Whether σ_d is 0, so that one draw stands for all.
    """

    sigma_d: float
    device: str
    seed: int
    stream: str
    first_draw: int
    images: int
    values: Mapping[str, Values]
    clean: Mapping[str, float]
    quantised: Mapping[str, float]
    mutual_information: float
    deterministic: bool

    @property
    def draws(self) -> int:
        """R, the number of draws."""
        return len(self.values["accuracy"])

    @property
    def accuracy(self) -> Estimate:
        """Top-1 accuracy, as a fraction."""
        return self._mean("accuracy", 0.0, 1.0)

    @property
    def nll(self) -> Estimate:
        """Negative log-likelihood per image over all predictions, in nats."""
        return self._mean("nll", 0.0, np.inf)

    @property
    def brier(self) -> Estimate:
        """Brier score per image over all predictions, 0 … 2."""
        return self._mean("brier", 0.0, 2.0)

    @property
    def calibration_error(self) -> Estimate:
        """Expected calibration error of each chip."""
        return self._mean("calibration_error", 0.0, 1.0)

    @property
    def ekl(self) -> Estimate:
        """Mean −log p_y over the correct predictions of all draws: KL(one-hot ‖ softmax).

        A ratio of two sums over draws; its interval is the delta method's. NaN without a correct prediction.
        It looks at correct predictions only, so a network that is right by chance looks sure.
        """
        sums, counts = self.values["ekl_sum"], self.values["ekl_count"]
        total = float(counts.sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            each = sums / counts
        return Estimate(
            float(sums.sum()) / total if total else float("nan"),
            float(np.nanstd(each, ddof=1)) if np.isfinite(each).sum() > 1 else float("nan"),
            None if self.deterministic else ratio_interval(sums, counts, LEVEL),
            each,
        )

    @property
    def worst(self) -> float:
        """The lowest accuracy of the draws: no bound on what a further chip may do."""
        return float(self.values["accuracy"].min())

    def percentile(self, k: float) -> Percentile:
        """Return the k-th percentile of accuracy over draws (KPP).

        Raises:
            SteadyNetError: If `k` is not between 0 and 100.
        """
        return percentile_over(self.values["accuracy"], k)

    def yield_at(self, accuracy: float) -> Yield:
        """Return P(a chip's accuracy ≥ `accuracy`), `accuracy` as a fraction.

        Where σ_d is 0 all chips are alike: it is 0 or 1, and so is each end of its interval.

        Raises:
            SteadyNetError: If `accuracy` is not within 0 … 1.
        """
        check_number("accuracy", accuracy, at_least=0, at_most=1)
        kept = int((self.values["accuracy"] >= accuracy - ROUNDING).sum())
        if self.deterministic:
            return Yield(accuracy, float(kept), Interval(float(kept), float(kept)))
        return Yield(accuracy, kept / self.draws, proportion_interval(kept, self.draws, LEVEL))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain types, for JSON; `from_dict` gives it back exactly."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["values"] = {name: values.tolist() for name, values in self.values.items()}
        plain["clean"], plain["quantised"] = dict(self.clean), dict(self.quantised)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> MonteCarloResult:
        """Return the result that `to_dict` wrote.

        Raises:
            SteadyNetError: If a field is missing or foreign, or the draws' figures are not of equal number.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        if set(plain) != names:
            raise SteadyNetError(
                f"no Monte Carlo result: missing {sorted(names - set(plain))}, foreign {sorted(set(plain) - names)}"
            )
        values = {name: np.asarray(items, dtype=np.float64) for name, items in plain["values"].items()}
        counts = {name: len(items) for name, items in values.items()}
        if set(values) != set(VALUES) or len(set(counts.values())) != 1:
            raise SteadyNetError(f"no Monte Carlo result: draws of each of {', '.join(VALUES)}, got {counts}")
        fields: dict[str, Any] = {**plain, "values": values}
        return cls(**fields)

    def figures(self) -> dict[str, Any]:
        """Return each figure's mean, std and interval (lo, hi) as plain types; None where undefined."""
        found: dict[str, Any] = {name: _plain(getattr(self, name)) for name in FIGURES}
        for k in (1, 5, 10):
            percentile = self.percentile(k)
            low, high = percentile.interval or (None, None)
            found[f"kpp{k}"] = {
                "mean": percentile.value,
                "lo": low,
                "hi": high,
                "needs": percentile.needs_draws,
            }
        return found | {"worst": self.worst, "mutual_information": self.mutual_information}

    def summary(self) -> str:
        """Return the figures as lines of text, with draws, seed, and what the intervals are of."""
        lines = [
            f"{self.draws} draw{'s' * (self.draws != 1)} (seed {self.seed}, stream {self.stream!r}) of {self.device}, "
            f"{self.images} images",
            f"accuracy            {_percent(self.accuracy)}   clean {self.clean['accuracy']:.2%}, "
            f"quantised {self.quantised['accuracy']:.2%}",
        ]
        for k in () if self.deterministic else (1, 5, 10):
            p = self.percentile(k)
            interval = (
                f"{p.interval.low:.2%} … {p.interval.high:.2%}"
                if p.interval
                else f"an interval needs at least {p.needs_draws} draws"
            )
            lines.append(f"{f'{k} % of chips below':<20}{p.value:.2%} ({interval})")
        if not self.deterministic:
            lines.append(f"worst of {self.draws:<11}{self.worst:.2%}")
        lines += [
            f"{label:<20}{getattr(self, name)}"
            for name, label in (
                ("ekl", "EKL"),
                ("nll", "neg. log-likelihood"),
                ("brier", "Brier score"),
                ("calibration_error", "calibration error"),
            )
        ]
        lines.append(f"{'mutual information':<20}{self.mutual_information:.4g}")
        lines.append(
            "σ_d = 0: all chips are alike, there is no interval"
            if self.deterministic
            else "± : 95 % interval over draws of this one network; not over trainings or test images"
        )
        return "\n".join(lines)

    def _mean(self, name: str, low: float, high: float) -> Estimate:
        values = self.values[name]
        interval = None if self.deterministic else mean_interval(values, LEVEL)
        if interval is not None:
            interval = Interval(max(low, interval.low), min(high, interval.high))
        std = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        return Estimate(float(values.mean()), std, interval, values)


def from_sums(
    sums: Sequence[DrawSums],
    *,
    clean: DrawSums,
    quantised: DrawSums,
    mutual_information: float,
    device: Device,
    seed: int,
    stream: Stream,
    first_draw: int,
) -> MonteCarloResult:
    """Return the result of draws whose sums over the images are given."""
    per_draw = [_figures(total) for total in sums]
    values = {name: np.array([row[name] for row in per_draw], dtype=np.float64) for name in per_draw[0]}
    return MonteCarloResult(
        sigma_d=device.sigma_d,
        device=str(device),
        seed=seed,
        stream=stream,
        first_draw=first_draw,
        images=sums[0].images,
        values=values,
        clean=_figures(clean),
        quantised=_figures(quantised),
        mutual_information=0.0 if device.exact else mutual_information,
        deterministic=device.exact,
    )


def _figures(total: DrawSums) -> dict[str, float]:
    return {
        "accuracy": total.correct / total.images,
        "nll": total.nll / total.images,
        "brier": total.brier / total.images,
        "calibration_error": total.calibration_error,
        "ekl_sum": total.ekl,
        "ekl_count": total.correct,
    }


def percentile_over(values: Values, k: float) -> Percentile:
    """Return the k-th percentile of one value per draw, with its interval.

    Raises:
        SteadyNetError: If `k` is not between 0 and 100.
    """
    check_number("percentile k", k, above=0)
    if k >= 100:
        raise SteadyNetError(f"percentile k must be below 100, got {k}")
    ordered, ranks = np.sort(values), percentile_ranks(len(values), k, LEVEL)
    return Percentile(
        k,
        float(ordered[_rank(len(values), k) - 1]),
        None if ranks is None else Interval(float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1])),
        draws_needed(k, LEVEL),
    )


def _rank(draws: int, k: float) -> int:
    """Return the smallest rank, from 1, that is at least k % of `draws`."""
    # k · draws first: 7/100 · 100 is a little more than 7 in floating point, and would be rank 8.
    return max(1, math.ceil(k * draws / 100 - ROUNDING))


def _plain(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval or (None, None)
    numbers = {"mean": estimate.mean, "std": estimate.std, "lo": low, "hi": high}
    return {key: None if value is None or np.isnan(value) else float(value) for key, value in numbers.items()}


def _percent(estimate: Estimate) -> str:
    half = "" if estimate.interval is None else f" ± {100 * estimate.half_width:.2f} points"
    return f"{estimate.mean:.2%}{half}"
