"""Monte Carlo gives what a plain loop over chips gives, and neither batches, splits nor modes change it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

import steadynet as sn
from montecarlo.slow_loop import figures_of, images, net, programmed, slow_monte_carlo
from steadynet.montecarlo import images as images_module

DEVICE = sn.Device(variation=sn.Gaussian(sigma_d=0.2))
NAMES = ("accuracy", "nll", "brier", "calibration_error", "ekl_sum", "ekl_count")


def same(a: sn.MonteCarloResult, b: sn.MonteCarloResult, rel: float = 0.0) -> None:
    for name in NAMES:
        np.testing.assert_allclose(a.values[name], b.values[name], rtol=rel, atol=rel, err_msg=name)
    for left, right in ((a.clean, b.clean), (a.quantised, b.quantised)):
        assert left == pytest.approx(right, rel=rel, abs=rel)
    assert a.mutual_information == pytest.approx(b.mutual_information, rel=rel, abs=rel)


@pytest.mark.parametrize("device", [DEVICE, dataclasses.replace(DEVICE, path="device", quantize=False)])
@pytest.mark.parametrize("draws", [range(6), range(4, 9)])
def test_it_equals_a_plain_loop_over_chips(device: sn.Device, draws: range) -> None:
    model, data = net(), images()
    slow = slow_monte_carlo(model, device, data, draws=draws, seed=3)
    fast = sn.monte_carlo(
        model, device, data, draws=len(draws), first_draw=draws.start, seed=3, batch_size=10
    )
    assert fast.draws == len(draws)
    assert fast.images == 37
    for name in ("accuracy", "nll", "brier", "calibration_error"):
        np.testing.assert_allclose(fast.values[name], getattr(slow, name), rtol=1e-11, err_msg=name)
        assert getattr(fast, name).mean == pytest.approx(np.mean(getattr(slow, name)), rel=1e-11)
    assert fast.ekl.mean == pytest.approx(slow.ekl, rel=1e-11)
    assert fast.mutual_information == pytest.approx(slow.mutual_information, rel=1e-9)
    assert fast.mutual_information > 0.01
    # The figures speak only where chips differ and are neither always right nor always wrong.
    assert len(set(slow.accuracy)) > 1
    assert 0.3 < np.mean(slow.accuracy) < 0.95


def test_clean_and_quantised_figures_are_those_of_the_network_without_error() -> None:
    model, (x, y) = net(), images()
    result = sn.monte_carlo(model, dataclasses.replace(DEVICE, weight_bits=2), (x, y), draws=2)
    with torch.no_grad():
        clean = net().eval()(x)
        quantised = programmed(model, sn.Device(weight_bits=2, variation=sn.Gaussian(0.0)), 0, 0, "test")(x)
    for found, logits in ((result.clean, clean), (result.quantised, quantised)):
        accuracy, nll, brier, ece, kl = figures_of(logits, y)
        assert found == pytest.approx(
            {
                "accuracy": accuracy,
                "nll": nll,
                "brier": brier,
                "calibration_error": ece,
                "ekl_sum": sum(kl),
                "ekl_count": len(kl),
            },
            rel=1e-11,
        )
    # Two bits are coarse enough to tell the two apart.
    assert abs(result.clean["nll"] - result.quantised["nll"]) > 1e-3


@pytest.mark.parametrize("batch_size", [1, 7, 36, 37, 500])
def test_the_batch_size_changes_nothing_but_rounding(batch_size: int) -> None:
    model, data = net(), images()
    whole = sn.monte_carlo(model, DEVICE, data, draws=3)
    parts = sn.monte_carlo(model, DEVICE, data, draws=3, batch_size=batch_size)
    same(whole, parts, rel=1e-12)
    assert np.array_equal(whole.accuracy.values, parts.accuracy.values)


def test_a_set_too_large_to_keep_is_read_anew_for_each_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    class Jittered(Dataset[Any]):
        """Noise at each reading: the loader replays it, so that all chips see the same images."""

        reads = 0

        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            Jittered.reads += 1
            return torch.randn(1, 6, 6).double(), index % 4

    kept = sn.monte_carlo(net(), DEVICE, Jittered(), draws=3, batch_size=5)
    assert Jittered.reads == 12
    # Room for one batch, not for two.
    monkeypatch.setattr(images_module, "KEEP_BYTES", 5 * 36 * 8)
    same(kept, sn.monte_carlo(net(), DEVICE, Jittered(), draws=3, batch_size=5))
    # One to see how large images are, two to try the weights on, then three chips, the clean and the quantised network.
    assert Jittered.reads == 12 + 1 + 2 + 12 * (3 + 2)


def test_draws_split_over_calls_join_to_those_of_one() -> None:
    model, data = net(), images()
    whole = sn.monte_carlo(model, DEVICE, data, draws=7, seed=2)
    first = sn.monte_carlo(model, DEVICE, data, draws=3, seed=2)
    rest = sn.monte_carlo(model, DEVICE, data, draws=4, seed=2, first_draw=3)
    for name in NAMES:
        joined = np.concatenate([first.values[name], rest.values[name]])
        np.testing.assert_array_equal(joined, whole.values[name])
    assert (rest.first_draw, rest.draws) == (3, 4)


def test_streams_and_seeds_never_share_their_chips() -> None:
    model, data = net(), images()
    runs = [
        sn.monte_carlo(model, DEVICE, data, draws=4, seed=seed, stream=stream).nll.values.tolist()
        for seed in (0, 1)
        for stream in ("train", "validation", "test", "pilot")
    ]
    values = [value for run in runs for value in run]
    assert len(set(values)) == len(values) == 32


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model = net().train(training)
    model[1].eval()  # a frozen norm inside a network in training
    model[3].train()
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    places = [parameter.data_ptr() for parameter in model.parameters()]
    random = torch.random.get_rng_state()
    sn.monte_carlo(model, DEVICE, images(), draws=2)
    assert [module.training for module in model.modules()] == modes
    assert list(before) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert [parameter.data_ptr() for parameter in model.parameters()] == places
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), random)


def test_the_model_is_left_as_it_was_when_a_chip_fails() -> None:
    class Bursts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 2, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # Clean and quantised weights agree at the corner; a chip's error does not.
            return self.fc(x) if float(self.fc.weight.abs().max()) == 1.0 else self.fc(x) * math.inf

    model = Bursts()
    nn.init.ones_(model.fc.weight)
    data = (torch.ones(4, 4), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(sn.SteadyNetError, match=r"draw 5 at sigma_d 0\.2: .*NaN or infinite"):
        sn.monte_carlo(model, DEVICE, data, draws=3, first_draw=5)
    assert model.training
    assert torch.equal(model.fc.weight, torch.ones(2, 4))


class Moves(nn.Sequential):
    """Remembers where it is sent: a second device in the tests' place."""

    def __init__(self, *modules: nn.Module, broken: bool = False) -> None:
        super().__init__(*modules)
        self.sent: list[str] = []
        self.broken = broken

    def to(self, device: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.sent.append(str(device))
        if self.broken and str(device) != "cpu":
            raise RuntimeError("no such device here")
        return self


def test_the_model_goes_to_the_computing_device_and_back() -> None:
    model = Moves(nn.Flatten(), nn.Linear(36, 4).double())
    sn.monte_carlo(model, DEVICE, images(), draws=1, compute=sn.Compute(device="cpu"))
    assert model.sent == ["cpu", "cpu"]
    broken = Moves(nn.Flatten(), nn.Linear(36, 4).double(), broken=True)
    with pytest.raises(RuntimeError, match="no such device"):
        sn.monte_carlo(broken, DEVICE, images(), draws=1, compute=sn.Compute(device="meta"))
    assert broken.sent == ["meta", "cpu"]
    assert broken.training


def test_without_error_all_chips_are_one_and_no_interval_is_claimed() -> None:
    model, data = net(), images()
    result = sn.monte_carlo(model, DEVICE.at(0.0), data, draws=50)
    assert result.deterministic
    assert result.draws == 1
    for name in NAMES:
        assert result.values[name].tolist() == [result.quantised[name]]
    for name in ("accuracy", "nll", "brier", "calibration_error", "ekl"):
        estimate = getattr(result, name)
        assert estimate.interval is None
        assert math.isnan(estimate.std)
    assert result.mutual_information == 0
    accuracy = result.accuracy.mean
    assert result.yield_at(accuracy) == sn.montecarlo.Yield(accuracy, 1.0, (1.0, 1.0))  # type: ignore[arg-type]
    assert result.yield_at(min(1.0, accuracy + 0.01)).value == 0


def test_a_tensor_dataset_is_read_like_a_pair_and_in_any_integer_type() -> None:
    x, y = images()
    model = net()
    pair = sn.monte_carlo(model, DEVICE, (x, y), draws=2)
    same(pair, sn.monte_carlo(model, DEVICE, TensorDataset(x, y), draws=2))
    same(pair, sn.monte_carlo(model, DEVICE, TensorDataset(x, y.to(torch.uint8)), draws=2))


def test_single_precision_agrees_with_double_to_rounding() -> None:
    single = sn.monte_carlo(net(torch.float32), DEVICE, images(dtype=torch.float32), draws=3)
    slow = slow_monte_carlo(net(), DEVICE, images(), draws=range(3))
    np.testing.assert_allclose(single.nll.values, slow.nll, rtol=1e-3)


def test_the_progress_bar_shows_the_draws_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    model, data = net(), images()
    silent = sn.monte_carlo(model, DEVICE, data, draws=3)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
    shown = sn.monte_carlo(model, DEVICE, data, draws=3, progress=True)
    printed = capsys.readouterr()
    assert "draws at σ_d 0.2" in printed.out
    assert "3/3" in printed.out
    same(silent, shown)
