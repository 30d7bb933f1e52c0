"""One layer noisy at a time, against a slow loop."""

from __future__ import annotations

import pytest
import torch

from deploy.small_chip import DEVICE, images, trained
from steadynet.chip import program, run
from steadynet.deploy import layer_sensitivity
from steadynet.errors import SteadyNetError
from steadynet.montecarlo import monte_carlo


def test_each_layer_alone_is_what_a_loop_over_chips_gives() -> None:
    net, (x, y) = trained(), images()
    found = layer_sensitivity(net, DEVICE, (x, y), draws=4, seed=3, batch_size=25)
    assert [layer.name for layer in found.layers] == ["conv1.weight", "conv2.weight", "fc.weight"]
    net.eval()
    clean = dict(program(net, DEVICE.at(0.0)))
    with torch.no_grad():
        for layer in found.layers:
            slow = []
            for draw in range(4):
                chip = program(net, DEVICE, seed=3, draw=draw)
                mixed = {name: chip[name] if name == layer.name else clean[name] for name in clean}
                slow.append(float((run(net, mixed, x).argmax(1) == y).float().mean()))
            assert layer.accuracy.values.tolist() == pytest.approx(slow)
            assert layer.loss.values.tolist() == pytest.approx([found.none - value for value in slow])
        none = float((run(net, clean, x).argmax(1) == y).float().mean())
    assert found.none == pytest.approx(none)
    assert found.all_loss.values.tolist() == pytest.approx((none - found.all.values).tolist())


def test_all_layers_are_the_chips_of_monte_carlo_and_the_model_is_given_back() -> None:
    net, data = trained(), images()
    assert net.training
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = layer_sensitivity(net, DEVICE, data, draws=5)
    assert found.all.values.tolist() == pytest.approx(monte_carlo(net, DEVICE, data, draws=5).accuracy.values)
    assert net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)


def test_a_device_without_error_tells_nothing_and_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="sigma_d is 0"):
        layer_sensitivity(trained(), DEVICE.at(0.0), images())
