"""The temperature of logits against a slow search, what it must not change, and that it mends confidence on chips."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import steadynet as sn
from deploy.small_chip import DEVICE, images, trained
from steadynet.chip import program, run
from steadynet.deploy import calibration, fit_temperature, with_temperature
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.programmer import Programmer

EXACT = Device(variation=Gaussian(0.0))


class Told(nn.Module):
    """Gives what it is given, through a weight that is exactly one on devices."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(classes, classes, bias=False)
        self.layer.weight.data = torch.eye(classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        return logits


def smoothed(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Return the mean cross-entropy with labels smoothed to (n + 1)/(n + 2), image by image."""
    count, classes = logits.shape
    total = 0.0
    for row, label in zip(logits / temperature, labels, strict=True):
        log_p = row - row.max() - math.log(np.exp(row - row.max()).sum())
        share = 1 / (count + 2)
        for c in range(classes):
            total -= (1 - share if c == label else share / (classes - 1)) * log_p[c]
    return total / count


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), size=st.floats(0.05, 30))
def test_no_other_temperature_makes_labels_likelier(seed: int, classes: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (40,), generator=generator)
    logits = torch.randn(40, classes, generator=generator)
    logits[torch.arange(40), labels] += 1.5
    found = fit_temperature(Told(classes), EXACT, (size * logits, labels))
    x, y = (size * logits).double().numpy(), labels.numpy()
    least = smoothed(x, y, found)
    assert found > 0
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert least <= smoothed(x, y, factor * found) + 1e-9


def test_it_scales_with_the_logits_and_does_not_depend_on_batches() -> None:
    x, y = images(80)
    net = trained().eval()
    one = fit_temperature(net, DEVICE, (x, y), draws=7)
    assert fit_temperature(with_temperature(net, 16.0), DEVICE, (x, y), draws=7) == pytest.approx(one / 16)
    assert fit_temperature(net, DEVICE, (x, y), draws=7, batch_size=3) == pytest.approx(one, rel=1e-4)
    assert fit_temperature(net, DEVICE, (x, y), draws=7, seed=1) != pytest.approx(one, rel=1e-4)


def test_each_image_is_seen_by_one_chip_and_each_chip_sees_as_many() -> None:
    x, y = images(60)
    net = trained().eval()
    seen: dict[int, list[int]] = {}
    for parts in (1, 6):
        calls: list[int] = []

        def note(_module: nn.Module, args: Any, calls: list[int] = calls) -> None:
            calls.append(len(args[0]))

        handle = net.register_forward_pre_hook(note)
        fit_temperature(net, DEVICE, (x, y), draws=parts)
        handle.remove()
        seen[parts] = calls[1:]  # The first is the trial of replaced weights.
    assert seen[1][-1] == 60
    assert seen[6][-6:] == [10] * 6


def test_it_is_found_on_other_chips_than_those_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[str] = []
    programming = Programmer.program

    def note(self: Programmer, draw: int, stream: Any) -> dict[str, Tensor]:
        streams.append(stream)
        return programming(self, draw, stream)

    monkeypatch.setattr(Programmer, "program", note)
    fit_temperature(trained(), DEVICE, images(), draws=3)
    assert streams == ["validation"] * 3


def test_all_right_and_all_alike_have_a_temperature_too() -> None:
    labels = torch.arange(30) % 3
    right = 5.0 * nn.functional.one_hot(labels, 3).float()
    # Every smoothed label is met exactly where softmax gives it (n + 1)/(n + 2): 31 against 1/2 each of the others.
    assert fit_temperature(Told(3), EXACT, (right, labels)) == pytest.approx(5.0 / math.log(62.0), rel=1e-6)
    assert fit_temperature(Told(3), EXACT, (torch.zeros(30, 3), labels)) == 1.0
    # Worse than chance: the less sure the better.
    assert fit_temperature(Told(3), EXACT, (-right, labels)) > 1000


def test_a_temperature_changes_logits_alone() -> None:
    net, (x, y) = trained().eval(), images(40)
    cooled = with_temperature(net, 4.0)
    assert cooled.state_dict().keys() == net.state_dict().keys()
    torch.testing.assert_close(cooled(x), net(x) / 4)
    chip = program(net, DEVICE, draw=1)
    torch.testing.assert_close(run(cooled, chip, x), run(net, chip, x) / 4)
    plain, other = (sn.monte_carlo(model, DEVICE, (x, y), draws=4) for model in (net, cooled))
    assert np.array_equal(plain.accuracy.values, other.accuracy.values)
    assert not np.allclose(plain.nll.values, other.nll.values)
    many = sn.monte_carlo(cooled, DEVICE, (x, y), draws=4, compute=sn.Compute(processes=2))
    np.testing.assert_allclose(many.nll.values, other.nll.values, rtol=1e-5)


class Wrapped(nn.Module):
    """Gives its logits in a mapping, as networks of libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(x), "hidden": x}


def test_wrapped_logits_are_divided() -> None:
    net, x = Wrapped(), torch.randn(5, 4)
    torch.testing.assert_close(with_temperature(net, 2.0)(x), net(x)["logits"] / 2)


def test_it_mends_what_training_at_a_temperature_leaves_overconfident() -> None:
    net, test, validation = trained().eval(), images(200, seed=5), images(200, seed=6)
    sure, worse = with_temperature(net, 1 / 8), DEVICE.at(0.9)
    found = calibration(sure, worse, test, validation, draws=10)
    assert found.temperature > 4
    for name in ("nll", "brier", "calibration_error"):
        before, after = (getattr(one, name) for one in (found.before, found.after))
        assert after.mean < before.mean, name
    told = sn.monte_carlo(sure, worse, test, draws=10)
    again = sn.monte_carlo(with_temperature(sure, found.temperature), worse, test, draws=10)
    assert np.array_equal(found.accuracy.values, told.accuracy.values)
    for name in ("nll", "brier", "calibration_error"):
        np.testing.assert_allclose(getattr(found.before, name).values, getattr(told, name).values, rtol=1e-6)
        np.testing.assert_allclose(getattr(found.after, name).values, getattr(again, name).values, rtol=1e-5)
    shares, sure_of, right = found.before.reliability.T
    assert shares.sum() == pytest.approx(1)
    assert float(np.nansum(shares * right)) == pytest.approx(found.accuracy.mean)
    assert np.array_equal(np.isnan(sure_of), shares == 0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda net: with_temperature(net, 0.0), "temperature must be a finite number > 0"),
        (lambda net: with_temperature(net, math.inf), "temperature must be a finite number > 0"),
        (lambda net: fit_temperature(net, DEVICE, images(10), draws=0), "draws must be an integer ≥ 1"),
        (lambda net: calibration(net, DEVICE, images(10), images(10), draws=1), "draws must be an integer ≥ 2"),
        (lambda net: fit_temperature(net, DEVICE, (images(10)[0], torch.full((10,), 7))), "labels run from 7 to 7"),
        (lambda net: fit_temperature(net, DEVICE, (images(10)[0] * math.inf, images(10)[1])), "NaN or infinite"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, told: str) -> None:
    with pytest.raises(SteadyNetError, match=told):
        make(trained().eval())
