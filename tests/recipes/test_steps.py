"""SAM, ASAM and AWP against steps written by hand, in float64: both gradients on the same chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recipes.reference import ON_DEVICES, chip, forward, leaves, make_batch, make_net, mean_cross_entropy
from recipes.test_gradients import DEVICE, DRAW, SEED, SIGMA, of_product
from steadynet.errors import SteadyNetError
from steadynet.loader import as_dataset
from steadynet.recipes import AWP, IRS, OVF, SAM, CrossEntropy, Orthogonal, Recipe
from steadynet.training import Hardware, fit
from steadynet.training.evaluation import StepEvaluation
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

Move = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], dict[str, Tensor]]


def sam(weights: Mapping[str, Tensor], gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
    norm = sum(float((g**2).sum()) for g in gradient.values()) ** 0.5
    return {name: weights[name] + 0.1 * g / norm for name, g in gradient.items()}


def asam(weights: Mapping[str, Tensor], gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
    scales = {name: weights[name].abs() + 0.01 for name in gradient}
    norm = sum(float(((scales[name] * g) ** 2).sum()) for name, g in gradient.items()) ** 0.5
    return {name: weights[name] + 0.5 * scales[name] ** 2 * g / norm for name, g in gradient.items()}


def awp(weights: Mapping[str, Tensor], gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
    moved = dict(weights)
    for name in ON_DEVICES:
        g = gradient[name]
        moved[name] = weights[name] + 0.05 * weights[name].norm() / g.norm() * g
    return moved


def loss_at(weights: Mapping[str, Tensor]) -> Tensor:
    """The loss on the draw's chip: BatchNorm by the batch, cross entropy at temperature 4."""
    images, labels = make_batch()
    logits = forward(chip(weights, SIGMA, seed=SEED, draw=DRAW, pass_=0))(images)[1]
    return mean_cross_entropy(logits / 4, labels)


@pytest.mark.parametrize(
    ("step", "move"),
    [(SAM(0.1), sam), (SAM(0.5, adaptive=True), asam), (AWP(0.05), awp)],
    ids=["sam", "asam", "awp"],
)
def test_the_gradient_is_that_at_the_moved_weights(step: Any, move: Move) -> None:
    clean = leaves(make_net())
    gradient = dict(zip(clean, torch.autograd.grad(loss_at(clean), list(clean.values())), strict=True))
    there = {
        n: w.detach().requires_grad_()
        for n, w in move({n: w.detach() for n, w in clean.items()}, gradient).items()
    }
    expected = loss_at(there)
    expected.backward()
    module, loss = of_product(Recipe(objective=CrossEntropy(4.0), step=step))
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-9)
    plain, _ = of_product(Recipe(objective=CrossEntropy(4.0)))
    for (name, parameter), other in zip(
        module.backbone.named_parameters(), plain.backbone.parameters(), strict=True
    ):
        assert parameter.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(parameter.grad, there[name].grad, rtol=1e-6, atol=1e-9)
        if name == "conv1.weight":
            assert not torch.allclose(parameter.grad, other.grad, rtol=1e-3), "the move is felt"


def evaluation_of(recipe: Recipe, net: nn.Module | None = None) -> StepEvaluation:
    images, labels = make_batch()
    data = as_dataset((images, labels))
    module = TrainingModule(net or make_net(), recipe, DEVICE, data, data, images[:2], Settings(seed=SEED))
    return StepEvaluation(recipe, module.setting, images, labels, DRAW)


@pytest.mark.parametrize("objective", [CrossEntropy(), OVF(), OVF(memory="lean"), IRS()])
def test_batchnorm_learns_from_the_first_evaluation_alone(objective: Any) -> None:
    net, once = make_net(), make_net()
    recipe = Recipe(objective=objective)
    evaluation = evaluation_of(recipe, net)
    first = evaluation()
    evaluation().backward()
    evaluation({"fc.bias": torch.ones(3, dtype=torch.float64)})
    evaluation_of(recipe, once)().backward()
    for (name, found), expected in zip(net.named_buffers(), once.buffers(), strict=True):
        assert torch.equal(found, expected), name
    assert float(first.detach()) == pytest.approx(float(evaluation().detach())), "the same chip again"


def test_an_offset_is_a_constant_and_moves_what_it_names() -> None:
    evaluation = evaluation_of(Recipe(constraint=Orthogonal(0.1)))
    offset = torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    plain = float(evaluation().detach())
    # The chip's memory is used again by the next evaluation: one backward follows the evaluation that it is of.
    moved = evaluation({"fc.bias": offset})
    assert float(moved.detach()) != pytest.approx(plain)
    moved.backward()
    assert offset.grad is None
    bias = evaluation.parameters["fc.bias"]
    assert bias.grad is not None
    with pytest.raises(SteadyNetError, match="offsets name 'nothing', which is no parameter"):
        evaluation({"nothing": offset})
    with pytest.raises(SteadyNetError, match="'nothing' is no trainable parameter"):
        evaluation.gradient(["nothing"])


def test_dropout_is_the_same_in_both_evaluations() -> None:
    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()
            self.drop = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(self.drop(x))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        evaluation = evaluation_of(Recipe(), Dropped())
        first = evaluation()
        after = torch.get_rng_state()
        assert torch.equal(first.detach(), evaluation().detach())
        assert torch.equal(after, torch.get_rng_state()), (
            "what follows draws on as if there had been one evaluation"
        )


@pytest.mark.parametrize("step", [SAM(), SAM(adaptive=True), AWP()])
def test_where_there_is_no_way_up_nothing_moves(step: Any) -> None:
    class Flat:
        on_devices = ("w",)

        @property
        def parameters(self) -> dict[str, Tensor]:
            return {"w": torch.zeros(2), "b": torch.zeros(1)}

        def __call__(self, offsets: Mapping[str, Tensor] | None = None) -> Tensor:
            assert offsets is not None
            assert all(torch.equal(offset, torch.zeros_like(offset)) for offset in offsets.values())
            return torch.zeros(())

        def gradient(self, names: Any) -> dict[str, Tensor]:
            return {name: torch.zeros_like(self.parameters[name]) for name in names}

    assert float(step.loss(Flat())) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SAM(0.0), "rho must be a finite number > 0"),
        (lambda: SAM(eta=-1.0), "eta must be a finite number ≥ 0"),
        (lambda: SAM(adaptive=1), "adaptive must be True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: AWP(-0.1), "awp_gamma must be a finite number > 0"),
    ],
)
def test_values_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()


@pytest.mark.parametrize("objective", [CrossEntropy(), OVF(beta=0.1), IRS(beta=0.1, taps=("pool1",))])
def test_a_step_may_add_up_losses_at_several_places(objective: Any) -> None:
    # Each graph keeps its own chip until the backward: the gradient is the sum of those taken one by one.
    apart: dict[str, Tensor] = {}
    offset = {"conv1.weight": torch.full_like(make_net().conv1.weight, 0.05)}
    for offsets in (None, offset):
        module, evaluation = evaluated(Recipe(objective=objective))
        evaluation(None)
        evaluation(offsets).backward()
        for name, parameter in module.backbone.named_parameters():
            assert parameter.grad is not None
            apart[name] = apart.get(name, torch.zeros_like(parameter)) + parameter.grad
    module, evaluation = evaluated(Recipe(objective=objective))
    (evaluation() + evaluation(offset)).backward()
    for name, parameter in module.backbone.named_parameters():
        torch.testing.assert_close(parameter.grad, apart[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("objective", [CrossEntropy(), OVF(beta=0.1), IRS(beta=0.1, taps=("pool1",))])
def test_a_step_may_ask_for_a_gradient_while_a_loss_of_its_own_waits(objective: Any) -> None:
    # As a step does that adds the loss at an adversarial place to the one where it stands.
    module, evaluation = evaluated(Recipe(objective=objective))
    here = evaluation()
    gradient = evaluation.gradient(["conv1.weight"])["conv1.weight"]
    (here + evaluation({"conv1.weight": 0.1 * gradient})).backward()
    other, again = evaluated(Recipe(objective=objective))
    again.gradient(["conv1.weight"])
    (again() + again({"conv1.weight": 0.1 * gradient})).backward()
    for one, two in zip(module.backbone.parameters(), other.backbone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-9, atol=1e-12)


def evaluated(recipe: Recipe) -> tuple[TrainingModule, StepEvaluation]:
    images, labels = make_batch()
    data = as_dataset((images, labels))
    module = TrainingModule(make_net(), recipe, DEVICE, data, data, images[:2], Settings(seed=SEED))
    return module, StepEvaluation(recipe, module.setting, images, labels, DRAW)


def test_awp_says_that_it_has_nothing_to_move() -> None:
    net = make_net()
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in ON_DEVICES)
    with pytest.raises(SteadyNetError, match="AWP moves the trainable weights that lie on devices"):
        AWP().loss(evaluation_of(Recipe(step=AWP()), net))


@pytest.mark.parametrize("step", [SAM(), AWP()])
def test_a_gradient_of_its_own_is_not_taken_in_float16(step: Any) -> None:
    data = make_batch()
    with pytest.raises(SteadyNetError, match="takes a gradient of its own, which precision '16' does not"):
        fit(
            make_net(), Recipe(step=step), DEVICE, data, data, hardware=Hardware(accelerator="gpu"), precision="16", epochs=1
        )  # fmt: skip
