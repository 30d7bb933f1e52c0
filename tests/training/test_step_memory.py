"""Chips of training are programmed into memory that is used again, which changes no gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from steadynet.recipes import IRS, OVF, CrossEntropy, Recipe
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings
from training.small import DEVICE, images, small_net

OBJECTIVES = [
    CrossEntropy(),
    OVF(beta=0.1),
    OVF(beta=0.1, rescale_draws=True),
    IRS(beta=0.1, taps=("bn", "conv2")),
]


class Forgetful(dict[str, dict[str, Tensor]]):
    """Memory that is fresh each time."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        return {}


def module_of(objective: Any) -> TrainingModule:
    data = images()
    recipe = Recipe(objective=objective)
    return TrainingModule(
        small_net().eval(),
        recipe,
        DEVICE,
        data,
        data,
        data.batch(torch.arange(2), augment_key=None)[0],
        Settings(),
    )


def gradients(module: TrainingModule, step: int) -> list[Tensor]:
    inputs, targets = images().batch(torch.arange(8 * step, 8 * step + 8), augment_key=None)
    module.zero_grad()
    module.recipe.objective.loss(StepForwards(module.setting, inputs, targets, step)).backward()
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_memory_that_is_used_again_changes_no_gradient(objective: Any) -> None:
    module, other = module_of(objective), module_of(objective)
    other.setting.memory.clear()
    object.__setattr__(other.setting, "memory", Forgetful())
    places: list[dict[str, int]] = []
    for step in range(3):
        for found, expected in zip(gradients(module, step), gradients(other, step), strict=True):
            assert torch.equal(found, expected)
        held = module.setting.memory
        places.append({f"{slot}/{name}": t.data_ptr() for slot in held for name, t in held[slot].items()})
    assert places[0] == places[1] == places[2], "no memory but that of the first step"
    assert len(set(places[0].values())) == len(places[0]), "no two forwards of a step share memory"
    forwards = {OVF: 4, IRS: 1, CrossEntropy: 1}[type(objective)]
    assert sum(key.endswith("/conv1.weight") for key in places[0]) == forwards


def test_a_forward_without_a_backward_keeps_no_memory() -> None:
    module = module_of(OVF(beta=0.1, detach_feedback=True))
    gradients(module, 0)
    assert sum("conv1.weight" in held for held in module.setting.memory.values()) == 1


def test_a_backward_after_its_chip_was_overwritten_is_refused_by_torch() -> None:
    module = module_of(CrossEntropy())
    inputs, targets = images().batch(torch.arange(8), augment_key=None)
    late = module.recipe.objective.loss(StepForwards(module.setting, inputs, targets, 0))
    module.recipe.objective.loss(StepForwards(module.setting, inputs, targets, 1))
    with pytest.raises(RuntimeError, match="modified"):
        late.backward()
