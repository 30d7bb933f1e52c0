"""BatchNorm's statistics of a chip, against a computation by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deploy.small_chip import DEVICE, Small, images, trained
from steadynet.batches import sample
from steadynet.chip import program, run
from steadynet.deploy import recalibrated_statistics, recalibration
from steadynet.deploy.recalibration import even_batches
from steadynet.errors import SteadyNetError
from steadynet.montecarlo import monte_carlo


def test_a_norm_that_is_folded_has_no_statistics() -> None:
    with pytest.raises(SteadyNetError, match="fold_bn is for training and evaluation"):
        recalibration(trained(), dataclasses.replace(DEVICE, fold_bn=True), images(), images(), draws=2)


def test_calibration_images_are_drawn_among_all_also_where_they_lie_by_class() -> None:
    few, more = sample(20, 90), sample(45, 90)
    assert few == more[:20]
    assert len({*more}) == 45
    # Of three classes of 30 that lie one after the other, none is left out.
    assert {place // 30 for place in few} == {0, 1, 2}
    assert sample(20, 90) == few != sorted(few)


def by_hand(net: Small, weights: dict[str, torch.Tensor], x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return mean and unbiased variance of each layer's input, computed layer by layer in float64."""
    found: dict[str, torch.Tensor] = {}
    x = x.double()
    for conv, norm in (("conv1", "bn1"), ("conv2", "bn2")):
        x = nn.functional.conv2d(x, weights[f"{conv}.weight"].double(), padding=1)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        count = x.numel() / x.shape[1]
        found[f"{norm}.running_mean"] = mean
        found[f"{norm}.running_var"] = variance * count / (count - 1)
        layer = net.get_submodule(norm)
        assert isinstance(layer, nn.BatchNorm2d)
        shape = (1, -1, 1, 1)
        x = (x - mean.view(shape)) / (variance.view(shape) + layer.eps).sqrt()
        x = (x * layer.weight.detach().double().view(shape) + layer.bias.detach().double().view(shape)).relu()
    return found


def test_statistics_of_one_batch_are_exactly_those_of_its_images() -> None:
    net, (x, _) = trained(), images(40)
    chip = program(net, DEVICE, draw=2)
    found = recalibrated_statistics(net, chip, [x])
    for name, expected in by_hand(net, dict(chip), x).items():
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_several_batches_are_the_means_of_theirs() -> None:
    net, (x, _) = trained(), images(40)
    chip = program(net, DEVICE, draw=2)
    both = recalibrated_statistics(net, chip, [x[:20], x[20:]])
    halves = [recalibrated_statistics(net, chip, [half]) for half in (x[:20], x[20:])]
    for name in ("bn1.running_mean", "bn2.running_var"):
        torch.testing.assert_close(both[name], (halves[0][name] + halves[1][name]) / 2)


@given(count=st.integers(2, 400), most=st.integers(2, 150))
def test_batches_weigh_alike(count: int, most: int) -> None:
    sizes = [len(batch) for batch in even_batches(torch.zeros(count), most)]
    assert sum(sizes) == count
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(most, 3)


def test_a_count_that_batches_do_not_divide_keeps_the_mean_of_all_its_images() -> None:
    # A last batch of 4 images that weighed as much as one of 50 would move the mean of 104 by some of its noise.
    net, (x, _) = trained(), images(104)
    chip = program(net, DEVICE, draw=2)
    exact = recalibrated_statistics(net, chip, [x])["bn1.running_mean"]
    found = recalibrated_statistics(net, chip, even_batches(x, 50))["bn1.running_mean"]
    short = recalibrated_statistics(net, chip, torch.split(x, 50))["bn1.running_mean"]
    assert float((found - exact).abs().max()) < 0.1 * float((short - exact).abs().max())


@pytest.mark.parametrize(
    ("first", "norm", "shape"),
    [
        (nn.Linear(5, 4), nn.BatchNorm1d(4), (30, 5)),
        (nn.Conv1d(1, 4, 2), nn.BatchNorm1d(4), (30, 1, 6)),
        (nn.Conv3d(1, 4, 2), nn.BatchNorm3d(4), (8, 1, 4, 4, 4)),
    ],
)
def test_each_number_of_dimensions_by_hand(first: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = recalibrated_statistics(nn.Sequential(first, norm).eval(), {}, [x])
    with torch.no_grad():
        values = first(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found["1.running_mean"], values.mean(1))
    torch.testing.assert_close(found["1.running_var"], values.var(1))


class Tied(nn.Module):
    """One BatchNorm under two names, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.first = nn.BatchNorm1d(4)
        self.second = self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second(self.fc(self.first(x)))
        return out


def test_a_tied_layer_has_the_mean_over_its_calls() -> None:
    net = Tied().eval()
    x = 1 + 3 * torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    found = recalibrated_statistics(net, {}, [x])
    with torch.no_grad():
        inner = net.fc((x - x.mean(0)) / (x.var(0, correction=0) + net.first.eps).sqrt())
    torch.testing.assert_close(found["first.running_mean"], (x.mean(0) + inner.mean(0)) / 2)
    torch.testing.assert_close(found["first.running_var"], (x.var(0) + inner.var(0)) / 2)


def test_the_model_stays_as_it_was() -> None:
    net, (x, _) = trained(), images(10)
    net.bn1.eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    recalibrated_statistics(net, program(net, DEVICE), [x])
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert (net.training, net.bn1.training, net.bn2.training) == (True, False, True)
    assert net.bn1.momentum == 0.1


def test_accuracy_by_number_of_images_is_what_a_loop_gives() -> None:
    net, (x, y), (calibration, _) = trained(), images(), images(30, seed=5)
    # Labels of the calibration images are not looked at: these are no classes.
    found = recalibration(
        net,
        DEVICE,
        (x, y),
        (calibration, torch.full((30,), 99)),
        images=[12],
        draws=3,
        seed=1,
        batch_size=100,
    )
    assert [point.images for point in found.points] == [0, 12]
    plain = monte_carlo(net, DEVICE, (x, y), draws=3, seed=1).accuracy.values
    assert found.points[0].accuracy.values.tolist() == pytest.approx(plain)
    slow = []
    for draw in range(3):
        chip = program(net, DEVICE, seed=1, draw=draw)
        statistics = recalibrated_statistics(net, chip, [calibration[:12]])
        copy = Small().eval()
        copy.load_state_dict({**net.state_dict(), **statistics})
        with torch.no_grad():
            slow.append(float((run(copy, chip, x).argmax(1) == y).float().mean()))
    assert found.points[1].accuracy.values.tolist() == pytest.approx(slow)
    assert found.points[1].gain.values.tolist() == pytest.approx(
        [a - b for a, b in zip(slow, plain, strict=True)]
    )


def test_gains_are_over_the_same_chips_without_recalibration() -> None:
    found = recalibration(trained(), DEVICE.at(1.0), images(), images(64, 5), images=[8, 32], draws=6)
    plain = found.points[0].accuracy.values
    for point in found.points:
        assert point.gain.values.tolist() == pytest.approx((point.accuracy.values - plain).tolist())


def test_nothing_but_batchnorm_is_in_training_mode() -> None:
    linear = nn.Linear(4, 3)
    net = nn.Sequential(nn.Dropout(0.5), linear, nn.BatchNorm1d(3)).train()
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    found = recalibrated_statistics(net, {}, [x])
    torch.testing.assert_close(found["2.running_mean"], linear(x).mean(0).detach())


def test_a_shift_of_the_inputs_is_undone() -> None:
    # A chip whose first layer errs by a constant factor has other statistics, and with them the same outputs.
    net, (x, _) = trained(), images(50)
    net.eval()
    chip = {"conv1.weight": net.conv1.weight.detach() * 3, "conv2.weight": net.conv2.weight.detach()}
    first = recalibrated_statistics(net, {}, [x])
    scaled = recalibrated_statistics(net, chip, [x])
    torch.testing.assert_close(scaled["bn1.running_mean"], 3 * first["bn1.running_mean"])
    torch.testing.assert_close(scaled["bn2.running_mean"], first["bn2.running_mean"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("count", "message"),
    [(1, "calibration on 1 images: give 0, or 2 to 30"), (31, "calibration on 31 images"), (-1, "≥ 0")],
)
def test_numbers_of_images_that_cannot_be_are_refused(count: int, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        recalibration(trained(), DEVICE, images(), images(30), images=[count], draws=2)


def test_statistics_of_a_single_image_are_refused() -> None:
    # Its pixels would have a variance, of no other image.
    with pytest.raises(SteadyNetError, match="recalibration needs two images or more"):
        recalibrated_statistics(trained(), {}, [images(1)[0]])


def test_a_network_without_batchnorm_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with pytest.raises(SteadyNetError, match="Sequential has no BatchNorm with running statistics"):
        recalibration(net, DEVICE, images(), images(), draws=2)


def test_a_single_number_of_images_is_refused_as_no_list_of_them() -> None:
    with pytest.raises(
        SteadyNetError, match=r"images must be numbers of images, one or more, got 5: give \(0, 5\)"
    ):
        recalibration(trained(), DEVICE, images(), images(30), images=5, draws=2)  # type: ignore[arg-type]
