"""Eq. 1 to 3, and the controls that tell feedback from a softmax temperature."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from recipes.reference import make_batch, make_net
from steadynet.loader import as_dataset
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import IRS, OVF, CrossEntropy, Recipe, SelfFeedback, recipe
from steadynet.recipes.base import Pass
from steadynet.recipes.objective.feedback import combine
from steadynet.training.forwards import StepForwards
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

numbers = st.floats(-3, 3)


class Given:
    """Forwards whose outputs are given: the n-th pass gives the n-th output."""

    sigma_d = 0.1

    def __init__(self, outputs: list[Tensor], labels: Tensor) -> None:
        self.outputs, self.labels = outputs, labels
        self.parts = torch.nn.Module()

    def backbone(self, **options: Any) -> Pass:
        return Pass(self.outputs[options.get("pass_", 0)], ())

    def part(self, name: str, *inputs: Tensor, **options: Any) -> Tensor:
        raise AssertionError("no parts here")

    def task_loss(self, output: Tensor) -> Tensor:
        return F.cross_entropy(output, self.labels)


def outputs(count: int, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (6,), generator=generator)
    return [torch.randn(6, 5, generator=generator, dtype=torch.float64) for _ in range(count)], labels


@given(st.floats(-2, 2), numbers, numbers, st.integers(1, 4))
def test_the_total_is_equation_1_and_2(beta: float, a_b: float, a_f: float, n: int) -> None:
    (output, *feedback), _ = outputs(n + 1)
    gammas = [10.0 ** (i - n) for i in range(1, n + 1)]
    expected = output.clone()
    for row in range(6):
        for column in range(5):
            fed = sum(g * float(f[row, column]) for g, f in zip(gammas, feedback, strict=True))
            expected[row, column] = a_b * output[row, column] - a_f * beta * fed
    found = combine(output, feedback, gammas, beta=beta, a_b=a_b, a_f=a_f)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    defaults = combine(output, feedback, gammas, beta=beta, a_b=None, a_f=None)
    mean = 1 / (n + 1)
    torch.testing.assert_close(defaults, combine(output, feedback, gammas, beta=beta, a_b=mean, a_f=mean))


def test_as_many_weights_as_outputs_are_needed() -> None:
    (output, *feedback), _ = outputs(3)
    with pytest.raises(ValueError, match="zip"):
        combine(output, feedback, [1.0], beta=0.1, a_b=None, a_f=None)


@given(st.floats(-0.8, 0.8), st.sampled_from([1, 2, 3]))
def test_ovf_whose_forwards_are_all_alike_only_rescales_the_logits(beta: float, n: int) -> None:
    # With every Out_n a copy of the output, O_total = O · (1 − β Σγ)/(N+1): a temperature, and nothing else.
    (output,), labels = outputs(1)
    objective = OVF(beta=beta, n=n)
    found = objective.loss(Given([output] * (n + 1), labels))
    temperature = (n + 1) / (1 - beta * sum(10.0 ** (i - n) for i in range(1, n + 1)))
    expected = CrossEntropy(temperature).loss(Given([output], labels))
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


@given(
    st.floats(-3, 3),
    st.integers(1, 5),
    st.floats(0.1, 3) | st.none(),
    numbers | st.none(),
    st.floats(0.2, 20),
)
def test_self_feedback_only_rescales_the_logits(
    beta: float, n: int, a_b: float | None, a_f: float | None, temperature: float
) -> None:
    (output,), labels = outputs(1)
    sum_of_gammas = sum(10.0 ** (i - n) for i in range(1, n + 1))
    mean = 1 / (n + 1)
    scale = (mean if a_b is None else a_b) - (mean if a_f is None else a_f) * beta * sum_of_gammas
    assume(scale > 1e-3)
    objective = SelfFeedback(beta=beta, n=n, a_b=a_b, a_f=a_f, temperature=temperature)
    assert objective.scale == pytest.approx(scale, rel=1e-12, abs=1e-12)
    found = objective.loss(Given([output], labels))
    expected = CrossEntropy(temperature / scale).loss(Given([output], labels))
    assert float(found) == pytest.approx(float(expected), rel=1e-12, abs=1e-12)


def test_by_default_self_feedback_is_the_temperature_that_ovf_is_held_against() -> None:
    # T = (N + 1)/(1 − β Σγ), with its gradients; OVF's own differ from it.
    strong = 0.5
    loss, gradients = loss_and_gradients(Recipe(objective=SelfFeedback(beta=strong)))
    other, others = loss_and_gradients(Recipe(objective=CrossEntropy(4 / (1 - strong * 1.11))))
    assert float(loss) == pytest.approx(float(other), rel=1e-12)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], rtol=1e-12, atol=1e-15)
    assert float(loss_and_gradients(Recipe(objective=OVF(beta=strong)))[0]) != pytest.approx(
        float(loss), rel=1e-4
    )


def test_the_sign_of_irs_can_be_absorbed_by_its_heads() -> None:
    # −β·h(f) is +β·h'(f) where h' has the last layer negated: loss and the backbone's gradients are the same.
    found: list[tuple[Tensor, dict[str, Tensor]]] = []
    for sign in (1.0, -1.0):
        images, labels = make_batch()
        data = as_dataset((images, labels))
        made = Recipe(objective=IRS(beta=sign * 0.5, n=2, heads_noise=False))
        module = TrainingModule(
            make_net(), made, Device(variation=Gaussian(0.2)), data, data, images[:2], Settings(seed=3)
        )
        with torch.no_grad():
            for name in ("head1.fc2.weight", "head2.fc2.weight"):
                module.parts.get_parameter(name).mul_(sign)
        loss = made.objective.loss(StepForwards(module.setting, images, labels, 4))
        loss.backward()
        found.append((loss.detach(), gradients_of(module.backbone)))
    (loss, gradients), (other, others) = found
    assert float(loss) == pytest.approx(float(other), rel=1e-12)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], rtol=1e-12, atol=1e-15)
    positive = loss_and_gradients(Recipe(objective=IRS(beta=-0.5, n=2, heads_noise=False)))[0]
    assert float(positive) != pytest.approx(float(loss), rel=1e-4), "the sign alone changes the loss"


@given(st.floats(0.1, 50))
def test_a_temperature_divides_the_logits(temperature: float) -> None:
    (output, *rest), labels = outputs(4)
    found = CrossEntropy(temperature).loss(Given([output], labels))
    probabilities = torch.softmax(output / temperature, 1)[torch.arange(6), labels]
    assert float(found) == pytest.approx(-float(probabilities.log().mean()), rel=1e-9)
    # The same for feedback: T = 2 halves what the loss sees.
    warm = OVF(temperature=temperature).loss(Given([output, *rest], labels))
    total = combine(output, rest, OVF().gammas, beta=1e-3, a_b=None, a_f=None)
    assert float(warm) == pytest.approx(float(F.cross_entropy(total / temperature, labels)), rel=1e-9)


def loss_and_gradients(made: Recipe) -> tuple[Tensor, dict[str, Tensor]]:
    images, labels = make_batch()
    data = as_dataset((images, labels))
    device = Device(variation=Gaussian(0.2))
    module = TrainingModule(make_net(), made, device, data, data, images[:2], Settings(seed=3))
    step = StepForwards(module.setting, images, labels, 4)
    loss = made.objective.loss(step)
    loss.backward()
    return loss.detach(), gradients_of(module.backbone)


def gradients_of(net: torch.nn.Module) -> dict[str, Tensor]:
    return {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("objective", [OVF(beta=0, n=3), IRS(beta=0, n=1, a_b=0.25)])
def test_the_control_is_feedback_of_strength_zero(objective: Any) -> None:
    loss, gradients = loss_and_gradients(recipe("noise-t4"))
    other, others = loss_and_gradients(Recipe(objective=objective))
    assert float(loss) == pytest.approx(float(other), rel=1e-12)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], rtol=1e-9, atol=1e-14)


def test_feedback_of_strength_one_tenth_is_not_the_control() -> None:
    loss, _ = loss_and_gradients(recipe("noise-t4"))
    for objective in (OVF(beta=0.1), IRS(beta=0.1, n=1, a_b=0.25)):
        assert float(loss_and_gradients(Recipe(objective=objective))[0]) != pytest.approx(
            float(loss), rel=1e-4
        )


def fc_weights(made: Recipe, device: Device) -> tuple[Tensor, list[Tensor]]:
    """Return the clean weight of the last layer, and those that it has in each forward of one step."""
    images, labels = make_batch()
    data = as_dataset((images, labels))
    net = make_net()
    module = TrainingModule(net, made, device, data, data, images[:2], Settings(seed=3))
    seen: list[Tensor] = []
    net.fc.register_forward_pre_hook(lambda *_: seen.append(net.fc.weight.detach().clone()))
    made.objective.loss(StepForwards(module.setting, images, labels, 4))
    return net.fc.weight.detach(), seen


def test_compared_recipes_share_the_backbones_draw() -> None:
    # OVF's and IRS's first forward sees the very chip that W/ sees at the same step.
    device = Device(variation=Gaussian(0.2))
    clean, (noise,) = fc_weights(recipe("noise"), device)
    _, ovf = fc_weights(recipe("ovf"), device)
    _, irs = fc_weights(recipe("irs"), device)
    assert (len(ovf), len(irs)) == (4, 1)
    assert torch.equal(noise, ovf[0])
    assert torch.equal(noise, irs[0])
    assert not any(torch.equal(noise, other) for other in (clean, *ovf[1:]))


def test_rescaled_draws_keep_the_normals() -> None:
    # With one draw rescaled, the error of pass n is (σ + nΔσ)/σ times the error of pass 0.
    device = Device(variation=Gaussian(0.2), quantize=False)
    clean, seen = fc_weights(Recipe(objective=OVF(rescale_draws=True)), device)
    errors = [weight - clean for weight in seen]
    for n in (1, 2, 3):
        torch.testing.assert_close(errors[n], errors[0] * (0.2 + 0.05 * n) / 0.2, rtol=1e-6, atol=1e-12)
    _, independent = fc_weights(Recipe(objective=OVF()), device)
    correlation = torch.corrcoef(torch.stack([(w - clean).flatten() for w in independent]))
    # 72 weights: a coefficient's std is 0.118. Five std are a false alarm of 6 · 6e-7; a shared draw gives 1.
    assert float((correlation - torch.eye(4)).abs().max()) < 5 * 0.118


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_small_feedback_is_not_rounded_away_in_half_precision(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = [5 * torch.randn(64, 10, generator=generator).to(dtype) for _ in range(4)]
    gammas = (0.01, 0.1, 1.0)
    found = combine(outputs[0], outputs[1:], gammas, beta=1e-3, a_b=None, a_f=None)
    exact = [output.double() for output in outputs]
    expected = -1e-3 / 4 * (0.01 * exact[1] + 0.1 * exact[2] + exact[3])
    # In half precision itself two thirds of it would be lost.
    error = (found.double() - exact[0] / 4 - expected).norm() / expected.norm()
    assert found.dtype == torch.float32
    assert float(error) < 1e-3
