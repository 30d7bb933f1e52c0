"""What befalls devices after programming: each effect against its formula, one by one and composed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from steadynet.errors import SteadyNetError
from steadynet.nvm.composed import Composed, DeviceEffect, Effect
from steadynet.nvm.device import Device
from steadynet.nvm.effects.bounded import Bounded
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.drift import Drift
from steadynet.nvm.effects.read import PCMRead, Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.programming import Target, program_tensor
from steadynet.nvm.variation import Gaussian
from steadynet.nvm.weight_law import Censored
from steadynet.randomness import Source

# False-alarm rate of each check; there are about 100.
ALPHA = 1e-7
EFFECTS: dict[str, Effect] = {
    "stuck": Stuck(lrs=0.02, hrs=0.05), "bounded": Bounded(),     "drift": Drift(3600.0),
    "drift of one exponent": Drift(100.0, 0.05, 0.01),
    "read": Read(0.05), "relative read": Read(0.05, relative=True), "pcm read": PCMRead(60.0), "gain": Common(0.05, 0.05),
    "offset": Common(0.05, 0.05, "offset"),
}  # fmt: skip


def source(draw: int = 0, name: str = "w", **told: Any) -> Source:
    return Source(0, "test", draw, 0, name, **told)


def programmed(weight: torch.Tensor, device: Device, **told: Any) -> torch.Tensor:
    return program_tensor(weight, device, source(**told))


def conductances(x: float, count: int = 20_000) -> torch.Tensor:
    return torch.full((1, 1, count), x)


def after(effect: Effect, x: torch.Tensor, device: Device | None = None, **told: Any) -> torch.Tensor:
    return effect.on_devices(x, x, device or Device(), source(**told))


# --- conformance --------------------------------------------------------------------------------


@pytest.mark.parametrize("crossbars", ["one", "both", "differential"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_is_a_value_that_is_replayed(effect: str, crossbars: Any) -> None:
    own = EFFECTS[effect]
    assert isinstance(own, Effect)
    assert hash(own) == hash(dataclasses.replace(own))
    device = Device(variation=Gaussian(0.1) + own, crossbars=crossbars, on_off_ratio=20.0)
    assert device.effects == (own,)
    assert device.law == Gaussian(0.1)
    assert not device.exact
    assert device.ideal.exact
    assert device.at(0.3).variation == Gaussian(0.3) + own
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(1))
    held = programmed(weight, device)
    assert held.shape == weight.shape
    assert bool(held.isfinite().all())
    assert torch.equal(held, programmed(weight, device))
    assert not torch.equal(held, programmed(weight, device, draw=1))
    assert not torch.equal(held, programmed(weight, device, name="other"))
    out = torch.empty_like(weight)
    assert torch.equal(Target.of(weight, device).program(source(), out), held)
    with pytest.raises(SteadyNetError, match="a bare generator will not do"):
        program_tensor(weight, device, torch.Generator())


@pytest.mark.parametrize("effect", [name for name, effect in EFFECTS.items() if effect.per_weight])
@pytest.mark.parametrize("crossbars", ["one", "both", "differential"])
@pytest.mark.parametrize("ratio", [None, 4.0])
def test_a_law_of_whole_weights_is_that_of_their_devices(
    effect: str, crossbars: Any, ratio: float | None
) -> None:
    # 1,500 chips of a column of two weights each; two samples of as many differ by a distance of 0.106 at 1e-7, while
    # a std wrong by a factor of 2 has 0.17 and is found with power above 0.99.
    weight = torch.tensor([[1.0, -0.4]])
    held: dict[str, list[torch.Tensor]] = {}
    for path in ("weight", "device"):
        device = Device(
            4, 2, Gaussian(0.02) + EFFECTS[effect], crossbars=crossbars, on_off_ratio=ratio, path=path
        )
        assert device.by_device == (path == "device")
        target = Target.of(weight, device)
        offset = 0 if path == "weight" else 5000
        held[path] = [
            target.program(source(draw=offset + draw), torch.empty_like(weight)) for draw in range(1500)
        ]
    for column in range(2):
        one, other = (
            np.array([float(chip[0, column]) for chip in held[path]]) for path in ("weight", "device")
        )
        same: Any = stats.ks_2samp(one, other)
        assert same.pvalue > ALPHA, (one.std(), other.std())
        # Each std has a relative std of 1/√3000: 0.026 for their ratio, of which this is five.
        assert one.std() == pytest.approx(other.std(), rel=0.13)
    # How the errors of two weights of one column go together, too: a correlation of 1,500 pairs has a std of 0.026.
    found = [np.corrcoef(np.array([chip[0].tolist() for chip in held[path]]).T)[0, 1] for path in held]
    assert abs(found[0] - found[1]) < 0.19


# --- each by its formula ------------------------------------------------------------------------


def test_stuck_devices_are_as_many_as_their_rates() -> None:
    n = 200_000
    x = after(Stuck(lrs=0.02, hrs=0.05), torch.full((2, 4, n // 8), 0.5), Device(on_off_ratio=10.0))
    for value, rate in ((1.0, 0.02), (0.1, 0.05)):
        count = int((x == value).sum())
        assert stats.binom.ppf(ALPHA / 2, n, rate) <= count <= stats.binom.isf(ALPHA / 2, n, rate)
    assert int(((x != 1.0) & (x != 0.1)).sum()) == int((x == 0.5).sum())


def test_a_stuck_device_moves_its_weight_by_its_slice() -> None:
    # All devices of HRS: nothing is held. All of LRS: the largest code of the weight's sign.
    weight = torch.tensor([1.0, -0.5, 0.2, 0.0])
    ideal = Gaussian(0.0)
    none = programmed(weight, Device(variation=ideal + Stuck(hrs=1.0)))
    torch.testing.assert_close(none, torch.zeros(4), rtol=0, atol=1e-6)
    full = programmed(weight, Device(variation=ideal + Stuck(lrs=1.0)))
    torch.testing.assert_close(full, torch.tensor([1.0, -1.0, 1.0, 1.0]))
    both = programmed(weight, Device(variation=ideal + Stuck(lrs=1.0), crossbars="both"))
    torch.testing.assert_close(both, torch.zeros(4))


def test_a_map_says_which_devices_are_stuck(tmp_path: Path) -> None:
    faults = np.zeros((1, 4, 3), dtype=np.int8)
    faults[0, 3, 0] = -1  # the most significant slice of the first weight
    faults[0, 0, 1] = 1
    path = tmp_path / "faults.npz"
    np.savez(path, w=faults)
    stuck = Stuck(map=str(path))
    device = Device(variation=Gaussian(0.0) + stuck)
    held = programmed(torch.tensor([1.0, -128 / 255, 64 / 255]), device) * 255
    # 255 loses 3·64; code 128 = 2·64 gains 3 in slice 0; 64 stays.
    assert held.round().tolist() == [63.0, -131.0, 64.0]
    assert torch.equal(held, programmed(torch.tensor([1.0, -128 / 255, 64 / 255]), device, draw=9) * 255), (
        "the same at every draw"
    )
    assert programmed(torch.tensor([1.0]), device, name="another").tolist() == [1.0]
    np.savez(path, w=faults[:, :, :2])
    assert Stuck(map=str(path)) != stuck, "another content is another value"
    with pytest.raises(SteadyNetError, match="has changed since it was read"):
        programmed(torch.ones(3), device)
    with pytest.raises(SteadyNetError, match=r"faults of w are \(1, 4, 2\), its devices \(1, 4, 3\)"):
        programmed(torch.ones(3), Device(variation=Gaussian(0.0) + Stuck(map=str(path))))
    np.savez(path, w=faults.astype(np.int16))
    with pytest.raises(SteadyNetError, match="must be int8"):
        Stuck(map=str(path))
    path.write_bytes(b"no archive")
    with pytest.raises(SteadyNetError, match="no readable fault map"):
        Stuck(map=str(path))


@pytest.mark.parametrize("x", [0.002, 0.05, 0.3, 1.0])
def test_drift_has_the_exponents_of_its_law(x: float) -> None:
    # ν is recovered from each device; of 20,000 the mean has a std of σ/141 and the std one of σ/200.
    seconds, t_0 = 86_400.0, 20.0
    mean = min(max(-0.0155 * math.log(x) + 0.0244, 0.049), 0.1)
    std = min(max(-0.0125 * math.log(x) - 0.0059, 0.008), 0.045)
    drifted = after(Drift(seconds), conductances(x)).double()
    exponents = -(drifted / x).log() / math.log((seconds + t_0) / t_0)
    assert bool((exponents >= 0).all())
    folded: Any = stats.foldnorm(mean / std, scale=std)
    assert float(exponents.mean()) == pytest.approx(folded.mean(), abs=5.3 * std / 141)
    assert float(exponents.std()) == pytest.approx(folded.std(), rel=0.03)


def test_drift_of_one_exponent_and_of_no_time() -> None:
    x = torch.rand(1, 4, 10)
    torch.testing.assert_close(after(Drift(80.0, exponent=0.5), x), x / math.sqrt(5))
    assert torch.equal(after(Drift(0.0), x), x)


def test_compensation_restores_the_mean_magnitude() -> None:
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    plain = Device(variation=Gaussian(0.05))
    drifted = {
        compensate: programmed(
            weight, dataclasses.replace(plain, variation=Gaussian(0.05) + Drift(1e6, compensate=compensate))
        )  # type: ignore[operator]
        for compensate in (True, False)
    }
    before = programmed(weight, dataclasses.replace(plain, path="device"))
    assert float(drifted[False].abs().mean()) < 0.7 * float(before.abs().mean())
    torch.testing.assert_close(drifted[True].abs().mean(), before.abs().mean(), rtol=1e-5, atol=0)
    factor = (drifted[True] / drifted[False]).flatten()
    torch.testing.assert_close(factor, factor[0].expand_as(factor), rtol=1e-4, atol=0)
    # Nothing to scale is left as it is.
    assert not programmed(torch.zeros(3), Device(variation=Gaussian(0.0) + Drift(10.0))).any()


@pytest.mark.parametrize("x", [0.0, 0.01, 0.4, 1.0])
def test_noise_of_reading_has_its_std(x: float) -> None:
    at = PCMRead(3600.0)
    grown = math.sqrt(math.log((3600 + 20 + 250e-9) / 500e-9))
    pcm = 0.0 if x == 0 else x * min(0.0088 / x**0.65, 0.2) * grown
    for effect, std in ((Read(0.05), 0.05), (Read(0.05, relative=True), 0.05 * x), (at, pcm)):
        noise = (after(effect, conductances(x)) - x).double()
        if std == 0:
            assert not noise.any()
            continue
        total = float(noise.square().sum()) / std**2
        assert stats.chi2.ppf(ALPHA / 2, 20_000) < total < stats.chi2.isf(ALPHA / 2, 20_000)
        assert abs(float(noise.mean())) < stats.norm.isf(ALPHA / 2) * std / 20_000**0.5


@pytest.mark.parametrize("path", ["weight", "device"])
def test_a_programming_is_read_again_with_new_noise(path: Any) -> None:
    weight = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    device = Device(variation=Gaussian(0.1) + Read(0.02), path=path)
    assert device.read_noise
    quiet = dataclasses.replace(device, variation=device.law)
    once = programmed(weight, quiet)
    reads = [programmed(weight, device, read=read) for read in range(2)]
    noise = [read - once for read in reads]
    expected = 0.02 * Device().relative_std * float(weight.abs().max())
    for own in noise:
        # 2,000 numbers: a relative std of 0.016.
        assert float(own.std()) == pytest.approx(expected, rel=0.085)
    assert abs(float(torch.corrcoef(torch.stack([own.flatten() for own in noise]))[0, 1])) < 0.12
    target = Target.of(weight, device)
    settled = target.settle(source())
    for read in (0, 1, 0):
        assert torch.equal(target.read(settled, source(read=read), torch.empty_like(weight)), reads[read])


def test_bounded_devices_hold_no_more_than_they_can() -> None:
    x = torch.tensor([[[-0.2, 0.05, 0.5, 1.3]]])
    assert after(Bounded(), x).flatten().tolist() == pytest.approx([0.0, 0.05, 0.5, 1.0])
    assert after(Bounded(), x, Device(on_off_ratio=10.0)).flatten().tolist() == pytest.approx(
        [0.1, 0.1, 0.5, 1.0]
    )
    assert after(Bounded(0.02, 1.2), x).flatten().tolist() == pytest.approx([0.02, 0.05, 0.5, 1.2])
    with pytest.raises(
        SteadyNetError, match=r"high 0\.1 must be more than the least conductance of the device, 0\.25"
    ):
        after(Bounded(high=0.1), x, Device(on_off_ratio=4.0))
    held = programmed(torch.ones(5000), Device(8, 8, Gaussian(0.3) + Bounded()))
    assert float(held.max()) == 1.0
    # Half of the devices of the largest level are cut.
    assert 0.45 < float((held == 1).float().mean()) < 0.55


def test_mirrored_errors_are_negated() -> None:
    weight = torch.randn(9, 9, generator=torch.Generator().manual_seed(0))
    for effect in (Read(0.05), Common(chip=0.05)):
        device = Device(variation=Gaussian(0.1) + effect)
        clean = programmed(weight, device.ideal)
        one, other = (programmed(weight, device, mirrored=mirrored) - clean for mirrored in (False, True))
        if isinstance(effect, Read):
            torch.testing.assert_close(one, -other, rtol=0, atol=1e-5)
        else:
            assert not torch.equal(one, other)


def test_effects_are_applied_in_their_order() -> None:
    weight = torch.ones(4000)
    cut_last = programmed(weight, Device(8, 8, Gaussian(0.1) + Common(chip=0.2) + Bounded()))
    cut_first = programmed(weight, Device(8, 8, Gaussian(0.1) + Bounded() + Common(chip=0.2)))
    assert float(cut_last.max()) <= 1.0
    assert float(cut_first.max()) != 1.0
    told = Gaussian(0.1) + Stuck(lrs=0.1) + Drift(30.0)
    assert isinstance(told, Composed)
    assert told.effects == (Stuck(lrs=0.1), Drift(30.0))
    assert str(told).startswith("Gaussian(sigma_d=0.1) + Stuck(lrs=0.1")


@dataclasses.dataclass(frozen=True)
class Halved(DeviceEffect):
    """A user's own effect."""

    def on_devices(
        self, x: torch.Tensor, targets: torch.Tensor, device: Device, source: Source
    ) -> torch.Tensor:
        return x[:, :, :1] if x.shape[-1] == 3 else x / 2


def test_a_users_effect_fits_in_and_a_wrong_one_is_named() -> None:
    device = Device(variation=Gaussian(0.0) + Halved())
    torch.testing.assert_close(programmed(torch.ones(4), device), torch.full((4,), 0.5))
    with pytest.raises(
        SteadyNetError, match=r"Halved returned conductances of shape \(1, 4, 1\), not \(1, 4, 3\)"
    ):
        programmed(torch.ones(3), device)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Composed(Gaussian(0.1), (3,)),  # type: ignore[arg-type]
         "an effect must be one such as .*, got 3"),
        (lambda: Composed(Gaussian(0.1), (Gaussian(0.1),)),  # type: ignore[arg-type]
         "an effect must be one such as"),
        (lambda: Composed(Gaussian(0.1), (Drift,)),  # type: ignore[arg-type]
         "an effect must be one such as"),
        (lambda: Composed(Gaussian, ()), "effects are added to a law of programming"),  # type: ignore[arg-type]
        (lambda: Stuck(lrs=-0.1), "Stuck's lrs must be a finite number ≥ 0 and ≤ 1, got -0.1"),
        (lambda: Stuck(lrs=0.6, hrs=0.6), "add up to more than 1"),
        (lambda: Stuck(map="/nowhere.npz"), "there is no fault map /nowhere.npz"),
        (lambda: Drift(-1.0), "Drift's seconds must be a finite number ≥ 0, got -1.0"),
        (lambda: Drift(1.0, exponent_std=0.1), "give exponent too"),
        (lambda: Drift(1.0, compensate=1), "compensate must be True or False, got 1"),
        (lambda: Read(-0.1), "Read's sigma must be"),
        (lambda: PCMRead(t_r=0.0), "t_r must be a finite number > 0"),
        (lambda: Common(kind="gian"), "unknown Common's kind 'gian': did you mean 'gain'"),
        (lambda: Bounded(1.0), "Bounded's high must be a finite number > 1, got 1.0"),
        (lambda: Device(variation=Censored(0.1) + Stuck(lrs=0.1)), "Stuck befalls devices, and Censored is a law of whole"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()
