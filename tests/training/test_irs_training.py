"""IRS trains networks that know nothing of it, and leaves their state_dict as if it had never been there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from steadynet.models import build
from steadynet.recipes import recipe
from steadynet.training import fit
from training.small import CPU, DEVICE


def make(name: str) -> nn.Module:
    if name in ("vgg8", "resnet18"):
        return build(name, classes=3, shape=(3, 32, 32), options={"width": 0.0625})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = getattr(torchvision.models, name)(num_classes=3)
    return network


@pytest.mark.parametrize("name", ["vgg8", "resnet18", "mobilenet_v3_small", "squeezenet1_1"])
@pytest.mark.parametrize("options", [{}, {"n": 1, "heads_noise": False}])
def test_the_backbone_alone_is_left(name: str, options: dict[str, Any]) -> None:
    network = make(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8) % 3
    made = recipe("irs", heads_hidden=4, beta=0.1, **options)
    fit(network, made, DEVICE, data, data, hardware=CPU, epochs=1, batch_size=4, val_draws=1)
    after = network.state_dict()
    assert list(after) == list(before)
    assert [tensor.shape for tensor in after.values()] == [tensor.shape for tensor in before.values()]
    assert any(not torch.equal(before[key], after[key]) for key in before), "it was trained"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    make(name).load_state_dict(after)
