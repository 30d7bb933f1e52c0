"""IRS's classifiers: the authors' pool sizes, weights that are a function of the seed, the backbone's dtype."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from torch import nn

from steadynet.errors import SteadyNetError
from steadynet.models import build
from steadynet.recipes import IRS
from steadynet.recipes.objective.heads import Head, Heads

CIFAR = torch.zeros(2, 3, 32, 32)


def heads_of(name: str, size: int = 32, seed: int = 0, **options: int) -> Heads:
    network = build(name, classes=7, shape=(3, size, size), options={"width": 0.25})
    made = IRS(**options).setup(network, torch.zeros(2, 3, size, size), seed=seed)  # type: ignore[arg-type]
    assert isinstance(made, Heads)
    return made


def each(heads: Heads) -> list[Head]:
    return [cast(Head, heads.get_submodule(name)) for name in heads.names]


@pytest.mark.parametrize(("name", "pools"), [("vgg8", [6, 4, 3]), ("resnet18", [6, 6, 4, 3])])
def test_maps_are_pooled_to_the_authors_sizes(name: str, pools: list[int]) -> None:
    heads = heads_of(name)
    assert [head.pool.output_size for head in each(heads)] == pools
    for head, tap, pool in zip(each(heads), heads.taps, pools, strict=True):
        assert head.fc1.in_features == tap.channels * pool * pool
        assert (head.fc1.out_features, head.fc2.out_features) == (512, 7)


def test_heads_are_about_the_same_size_at_every_tap() -> None:
    sizes = [head.fc1.in_features for head in each(heads_of("resnet18"))]
    assert max(sizes) <= 1.2 * min(sizes)


def test_a_map_is_never_pooled_to_more_than_itself() -> None:
    heads = heads_of("vgg8", size=8)
    assert [(t.size[0], h.pool.output_size) for t, h in zip(heads.taps, each(heads), strict=True)] == [
        (8, 6),
        (4, 4),
        (2, 2),
    ]


def test_the_hidden_width_is_an_option() -> None:
    assert all(head.fc1.out_features == 9 for head in each(heads_of("vgg8", heads_hidden=9)))


def test_initial_weights_are_a_function_of_the_seed() -> None:
    first, again, other = heads_of("vgg8"), heads_of("vgg8"), heads_of("vgg8", seed=1)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        if name.endswith("weight"):
            assert not torch.equal(tensor, other.state_dict()[name])
        else:
            assert not tensor.any()


def test_initial_weights_have_the_stated_spread() -> None:
    # fc1 of the first head has 16·36·512 = 294,912 normals: its std is known to 1/sqrt(2n) = 0.0013, relatively.
    # A bound of 5 std gives a false alarm of 6e-7, and finds a gain of 1 in place of 2 (29 % less) surely. fc2 has
    # 3,584: std 0.0118, bound 0.059, power 1 against a gain of 2 (41 % more).
    head = each(heads_of("vgg8"))[0]
    for layer, gain in ((head.fc1, 2.0), (head.fc2, 1.0)):
        expected = math.sqrt(gain / layer.in_features)
        bound = 5 / math.sqrt(2 * layer.weight.numel())
        assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=bound)


def test_making_heads_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    heads_of("vgg8")
    assert torch.equal(before, torch.random.get_rng_state())


def test_heads_have_the_backbones_dtype() -> None:
    network = build("vgg8", classes=3, shape=(3, 16, 16), options={"width": 0.125}).double()
    double = IRS().setup(network, torch.zeros(2, 3, 16, 16, dtype=torch.float64), seed=0)
    assert {p.dtype for p in double.parameters()} == {torch.float64}
    single = IRS().setup(network.float(), torch.zeros(2, 3, 16, 16), seed=0)
    for one, other in zip(double.parameters(), single.parameters(), strict=True):
        assert torch.equal(one, other.double())


def test_a_network_without_rows_of_logits_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 6, 3))
    with pytest.raises(SteadyNetError, match=r"IRS needs logits \[B, classes\] from Sequential"):
        IRS().setup(network, CIFAR, seed=0)
