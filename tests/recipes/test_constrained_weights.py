"""Which weights constraints act on, and along which dimension: transposed layers, learned ranges, frozen weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from recipes.reference import make_batch, make_net
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.nvm.device import Device
from steadynet.recipes import Clip, LearnedRange, Orthogonal, Peak, Recipe, Saturate, Several, Sparse
from steadynet.recipes.constraint.state import by_output
from steadynet.training import Settings, fit
from steadynet.training.optimizers import optimizers


class Transposed(nn.Module):
    """A transposed convolution, in groups, behind a plain one, and an embedding."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.plain = nn.Conv2d(1, 4, 2, groups=1)
        self.back = nn.ConvTranspose2d(4, 6, 2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.plain(x)).mean((2, 3))


def outputs_of(weight: torch.Tensor, groups: int) -> list[list[tuple[int, ...]]]:
    """Return the indices of each output channel's weights of a transposed convolution [I, O/g, k, k], one by one."""
    inputs, each, *rest = weight.shape
    found: list[list[tuple[int, ...]]] = []
    for group in range(groups):
        for output in range(each):
            rows = range(group * inputs // groups, (group + 1) * inputs // groups)
            found.append([(i, output, y, x) for i in rows for y in range(rest[0]) for x in range(rest[1])])
    return found


@pytest.mark.parametrize("groups", [1, 2])
def test_channels_of_a_transposed_convolution_are_its_outputs(groups: int) -> None:
    torch.manual_seed(0)
    net = Transposed(groups).double()
    weight = net.back.weight
    placed = layout(net, Device())
    groups_of = outputs_of(weight, groups)
    assert len(groups_of) == 6
    part = Clip(1.1, per="channel")
    state = part.setup({"back.weight": weight}, 0.1, placed)
    expected = weight.detach().clone()
    for places in groups_of:
        held = [float(weight[at].detach()) for at in places]
        mean = sum(held) / len(held)
        bound = 1.1 * math.sqrt(sum((v - mean) ** 2 for v in held) / len(held))
        for at in places:
            expected[at] = max(-bound, min(bound, float(expected[at])))
    rows = torch.stack([torch.stack([weight[at].detach() for at in places]) for places in groups_of])
    matrix = next(mapped.matrix for mapped in placed.mapped if mapped.name == "back.weight")
    assert torch.equal(by_output(weight.detach(), matrix), rows)
    own = Orthogonal(1.0)
    penalty = own.penalty({"back.weight": weight}, own.setup({"back.weight": weight}, 0.1, placed))
    gram = rows.T @ rows - torch.eye(rows.shape[1], dtype=torch.float64)
    assert penalty is not None
    assert float(penalty.detach()) == pytest.approx(float((gram**2).sum()))
    part.project({"back.weight": weight}, 1.0, state)
    torch.testing.assert_close(weight.detach(), expected)


@pytest.mark.parametrize("per", ["tile", "row"])
def test_a_clip_by_what_it_does_not_know_is_refused(per: Any) -> None:
    with pytest.raises(SteadyNetError, match="clip_per"):
        Clip(2.0, per=per)


def test_weight_decay_leaves_a_learned_range_alone() -> None:
    weight, log_range = (nn.Parameter(torch.full((3,), 2.0)) for _ in range(2))
    made = optimizers([weight, log_range], Settings(weight_decay=0.1), 10, 1.0, (), [log_range])
    weight.grad = log_range.grad = None
    (weight.sum() * 0 + log_range.sum() * 0).backward()
    made["optimizer"].step()
    assert torch.equal(log_range.detach(), torch.full((3,), 2.0))
    assert float(weight.detach().max()) < 2.0, "what decays does so"


@pytest.mark.parametrize(
    "constraint",
    [
        Peak(1.2, stride=0.25),
        Clip(1.2),
        Saturate(0.5),
        Several((LearnedRange(1.0), Sparse(0.1), Orthogonal(0.1))),
    ],
    ids=lambda part: type(part).__name__,
)
@pytest.mark.parametrize("all_of_them", [False, True])
def test_frozen_weights_stay_as_they_are(constraint: Any, all_of_them: bool) -> None:
    net, (images, labels) = make_net(), make_batch(16)
    frozen = [net.conv1, net.conv2, net.fc] if all_of_them else [net.conv2]
    for layer in frozen:
        layer.weight.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    fit(
        net, Recipe(constraint=constraint), Device(), (images, labels), (images, labels),
        epochs=2, batch_size=8, seed=0, val_draws=1, progress=False,
    )  # fmt: skip
    for name, p in net.named_parameters():
        assert torch.equal(p.detach(), before[name]) is not p.requires_grad, name
