"""Models with a part that would stay clean unnoticed are refused, with the part and the mend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from steadynet.chip import program
from steadynet.errors import SteadyNetError
from steadynet.mapping import layout
from steadynet.nvm.device import Device


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))


def with_first(change: Callable[[nn.Module], Any]) -> nn.Module:
    model = net()
    change(model[0])
    return model


CASES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "scripted": (lambda: torch.jit.script(net()), "the model .* is TorchScript.* pass the module itself"),
    "traced part": (
        lambda: nn.Sequential(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), nn.Linear(2, 2)),
        r"0 \(TopLevelTracedModule\) is TorchScript",
    ),
    "data parallel": (
        lambda: nn.DataParallel(net()),
        r"DataParallel\) is a data-parallel wrapper: pass its .module",
    ),
    "old weight norm": (
        lambda: with_first(nn.utils.weight_norm),
        r"0 \(Linear\) computes its weight in a hook .*remove_weight_norm",
    ),
    "old spectral norm": (
        lambda: with_first(nn.utils.spectral_norm),
        r"0 \(Linear\) computes its weight in a hook .*remove_spectral_norm",
    ),
    "pruned": (
        lambda: with_first(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)),
        r"0 \(Linear\) is pruned by a hook.* torch.nn.utils.prune.remove",
    ),
    "pruned twice": (
        lambda: with_first(
            lambda layer: [
                prune.l1_unstructured(layer, "weight", 0.5),
                prune.random_unstructured(layer, "weight", 1),
            ]
        ),
        "is pruned by a hook",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(2)),
        r"weight of 1 \(LazyLinear\) has no shape yet: run the model once first",
    ),
    "nothing to map": (
        lambda: nn.Sequential(nn.BatchNorm1d(4), nn.PReLU()),
        r"Sequential has no weight that lies on devices \(3 parameters stay digital\): name some by Device\(include=",
    ),
    "no parameter": (nn.ReLU, r"ReLU has no weight that lies on devices \(0 parameters"),
}


@pytest.mark.filterwarnings(
    "ignore:.*is deprecated.*:FutureWarning", "ignore:.*is deprecated.*:DeprecationWarning"
)
@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_layout_and_program(name: str) -> None:
    make, message = CASES[name]
    model = make()
    with pytest.raises(SteadyNetError, match=message):
        layout(model)
    with pytest.raises(SteadyNetError, match=message):
        program(model, Device())


@pytest.mark.filterwarnings("ignore:.*is deprecated.*:FutureWarning")
@pytest.mark.parametrize("name", ["old weight norm", "old spectral norm", "pruned"])
def test_the_mend_that_is_told_mends_it(name: str) -> None:
    model = CASES[name][0]()
    layer = cast("nn.Sequential", model)[0]
    if name == "old weight norm":
        nn.utils.remove_weight_norm(layer)
    elif name == "old spectral norm":
        nn.utils.remove_spectral_norm(layer)
    elif name == "pruned":
        prune.remove(layer, "weight")
    else:
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert sorted(layout(model).names) == ["0.weight", "2.weight"]


def test_a_lazy_model_that_ran_once_is_mapped() -> None:
    model = CASES["lazy"][0]()
    model(torch.zeros(1, 4))
    assert layout(model).names == ("0.weight", "1.weight")


def test_excluding_everything_is_refused() -> None:
    with pytest.raises(SteadyNetError, match="no weight that lies on devices"):
        layout(net(), exclude=["*"])


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(SteadyNetError, match=r"model must be a torch.nn.Module, got dict"):
        layout(cast("nn.Module", {"weight": torch.ones(2)}))
