"""Losses and gradients of W/, OVF and IRS equal those of a reference written by hand, in float64 to 1e-6."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recipes.reference import (
    ON_DEVICES,
    K,
    M,
    chip,
    forward,
    head,
    leaves,
    make_batch,
    make_net,
    mean_cross_entropy,
    programmed,
    total,
)
from steadynet.loader import as_dataset
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import IRS, OVF, CrossEntropy, NoVariation, Recipe
from steadynet.training.evaluation import StepEvaluation
from steadynet.training.module import TrainingModule
from steadynet.training.settings import Settings

SIGMA, SEED, DRAW = 0.15, 5, 11
DEVICE = Device(weight_bits=M, device_bits=K, variation=Gaussian(SIGMA))


def of_product(recipe: Recipe) -> tuple[TrainingModule, Tensor]:
    """Return the module after one backward of the recipe's loss on the batch, and the loss."""
    images, labels = make_batch()
    data = as_dataset((images, labels))
    module = TrainingModule(make_net(), recipe, DEVICE, data, data, images[:2], Settings(seed=SEED))
    loss = recipe.step.loss(StepEvaluation(recipe, module.setting, images, labels, DRAW))
    loss.backward()
    return module, loss.detach()


def check(module: TrainingModule, loss: Tensor, expected: Tensor, clean: dict[str, Tensor]) -> None:
    """Compare loss and every gradient; `clean` holds the reference's leaves by the product's names."""
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-9)
    named = {
        **dict(module.backbone.named_parameters()),
        **dict(module.parts.named_parameters(prefix="parts")),
    }
    assert named.keys() == clean.keys()
    for name, parameter in named.items():
        reference = clean[name].grad
        reference = torch.zeros_like(parameter) if reference is None else reference
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(
            gradient, reference, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )
    # The comparison would be empty if the gradients vanished.
    conv = clean["conv1.weight"].grad
    assert conv is not None
    assert float(conv.abs().max()) > 1e-4


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_noise_is_the_cross_entropy_of_one_chip_at_a_temperature(temperature: float) -> None:
    module, loss = of_product(Recipe(objective=CrossEntropy(temperature)))
    clean = leaves(make_net())
    images, labels = make_batch()
    _, logits, _, _ = forward(chip(clean, SIGMA, seed=SEED, draw=DRAW, pass_=0))(images)
    check(module, loss, mean_cross_entropy(logits / temperature, labels), clean)


def test_vanilla_sees_the_unquantised_weights() -> None:
    module, loss = of_product(Recipe(variation=NoVariation()))
    clean = leaves(make_net())
    images, labels = make_batch()
    check(module, loss, mean_cross_entropy(forward(clean)(images)[1], labels), clean)


# γ_1 … γ_N as Algorithm 1 has them: 10^{n−N}.
ALL_GAMMAS = (0.01, 0.1, 1.0)
OVF_CASES: dict[str, tuple[OVF, dict[str, Any]]] = {
    "default": (OVF(), {"gammas": (0.01, 0.1, 1.0), "beta": 1e-3}),
    "strong": (OVF(beta=0.5), {"gammas": (0.01, 0.1, 1.0), "beta": 0.5}),
    "n = 1": (OVF(beta=0.5, n=1), {"gammas": (1.0,), "beta": 0.5}),
    "detached": (
        OVF(beta=0.5, detach_feedback=True),
        {"gammas": (0.01, 0.1, 1.0), "beta": 0.5, "detach": True},
    ),
    "rescaled draws": (
        OVF(beta=0.5, rescale_draws=True),
        {"gammas": (0.01, 0.1, 1.0), "beta": 0.5, "passes": (0, 0, 0)},
    ),
    "reversed": (OVF(beta=0.5, gamma="reversed"), {"gammas": (1.0, 0.1, 0.01), "beta": 0.5}),
    "negative delta_sigma": (
        OVF(beta=0.5, delta_sigma=-0.05),
        {"gammas": (0.01, 0.1, 1.0), "beta": 0.5, "sigmas": (0.10, 0.05, 0.0)},
    ),
    "own amplification": (
        OVF(beta=0.5, n=2, a_b=0.7, a_f=0.2, temperature=2.0),
        {"gammas": (0.1, 1.0), "beta": 0.5, "a_b": 0.7, "a_f": 0.2, "temperature": 2.0},
    ),
    "one amplification given": (
        OVF(beta=0.5, n=1, a_b=1.0),
        {"gammas": (1.0,), "beta": 0.5, "a_b": 1.0},
    ),
    "backbone's statistics": (
        OVF(beta=0.5, batchnorm="backbone"),
        {"gammas": (0.01, 0.1, 1.0), "beta": 0.5},
    ),
    "positive feedback": (OVF(beta=-0.5), {"gammas": ALL_GAMMAS, "beta": -0.5}),
    "two layers raised": (
        OVF(beta=0.5, feedback_layers=("conv1.weight", "fc*")),
        {"gammas": ALL_GAMMAS, "beta": 0.5, "raised": ("conv1.weight", "fc.weight")},
    ),
    "one layer raised, lean, rescaled": (
        OVF(beta=0.5, feedback_layers=("conv2.weight",), rescale_draws=True, memory="lean"),
        {"gammas": ALL_GAMMAS, "beta": 0.5, "raised": ("conv2.weight",), "passes": (0, 0, 0)},
    ),
    "all layers raised by name": (OVF(beta=0.5, feedback_layers=("*",)), {"gammas": ALL_GAMMAS, "beta": 0.5}),
    "lean": (OVF(beta=0.5, memory="lean"), {"gammas": (0.01, 0.1, 1.0), "beta": 0.5}),
    "lean, detached, rescaled": (
        OVF(beta=0.5, detach_feedback=True, rescale_draws=True, memory="lean"),
        {"gammas": (0.01, 0.1, 1.0), "beta": 0.5, "detach": True, "passes": (0, 0, 0)},
    ),
}


@pytest.mark.parametrize("case", OVF_CASES)
def test_ovf_subtracts_forwards_at_growing_variation(case: str) -> None:
    objective, options = OVF_CASES[case]
    module, loss = of_product(Recipe(objective=objective))
    clean = leaves(make_net())
    images, labels = make_batch()
    gammas = options.pop("gammas")
    count = len(gammas)
    sigmas = options.get("sigmas", tuple(SIGMA + 0.05 * n for n in range(1, count + 1)))
    passes = options.get("passes", tuple(range(1, count + 1)))
    output = forward(chip(clean, SIGMA, seed=SEED, draw=DRAW, pass_=0))(images)[1]
    feedback: list[Tensor] = []
    for sigma, pass_ in zip(sigmas, passes, strict=True):
        weights = chip(clean, sigma, seed=SEED, draw=DRAW, pass_=pass_)
        if "raised" in options:
            low = chip(clean, SIGMA, seed=SEED, draw=DRAW, pass_=pass_)
            weights = {n: weight if n in options["raised"] else low[n] for n, weight in weights.items()}
        feedback.append(forward(weights)(images)[1])
    if options.get("detach"):
        feedback = [out.detach() for out in feedback]
    logits = total(output, feedback, gammas, **options) / options.get("temperature", 1.0)
    check(module, loss, mean_cross_entropy(logits, labels), clean)


# The taps of this net: pool1's map, pooled to 4 × 4, and (n = 2) pool2's, which is 2 × 2.
IRS_CASES: dict[str, tuple[IRS, dict[str, Any]]] = {
    "default": (IRS(), {"gammas": (1.0,), "beta": 1e-2}),
    "two heads": (IRS(beta=0.5, n=2), {"gammas": (1.0, 0.1), "beta": 0.5}),
    "heads noise-free": (IRS(beta=0.5, n=2, heads_noise=False), {"gammas": (1.0, 0.1), "beta": 0.5}),
    "detached": (IRS(beta=0.5, n=2, detach_feedback=True), {"gammas": (1.0, 0.1), "beta": 0.5}),
    "reversed": (IRS(beta=0.5, n=2, gamma="reversed"), {"gammas": (0.1, 1.0), "beta": 0.5}),
    "positive feedback": (IRS(beta=-0.5, n=2), {"gammas": (1.0, 0.1), "beta": -0.5}),
    "own amplification": (
        IRS(beta=0.5, a_b=0.9, a_f=0.3, temperature=3.0, heads_hidden=7),
        {"gammas": (1.0,), "beta": 0.5, "a_b": 0.9, "a_f": 0.3, "temperature": 3.0},
    ),
}


@pytest.mark.parametrize("case", IRS_CASES)
def test_irs_subtracts_classifiers_of_the_same_noisy_forward(case: str) -> None:
    objective, options = IRS_CASES[case]
    module, loss = of_product(Recipe(objective=objective))
    clean = leaves(make_net())
    heads = leaves(module.parts)
    images, labels = make_batch()
    gammas = options.pop("gammas")
    weights = chip(clean, SIGMA, seed=SEED, draw=DRAW, pass_=0)
    first, output, _, _ = forward(weights)(images)
    second = torch.nn.functional.max_pool2d(
        torch.tanh(
            torch.nn.functional.conv2d(first, weights["conv2.weight"], weights["conv2.bias"], padding=1)
        ),
        2,
    )
    feedback: list[Tensor] = []
    for index, (feature, pool) in enumerate(((first, 4), (second, 2))[: len(gammas)], start=1):
        own = {n.removeprefix(f"head{index}."): w for n, w in heads.items() if n.startswith(f"head{index}.")}
        if objective.heads_noise:
            own = {
                n: programmed(w, f"parts.head{index}.{n}", SIGMA, seed=SEED, draw=DRAW, pass_=0)
                if n.endswith("weight")
                else w
                for n, w in own.items()
            }
        feedback.append(head(own, feature.detach() if objective.detach_feedback else feature, pool))
    logits = total(output, feedback, gammas, **options) / options.get("temperature", 1.0)
    clean |= {f"parts.{name}": weight for name, weight in heads.items()}
    check(module, loss, mean_cross_entropy(logits, labels), clean)


def test_the_reference_is_noisy_where_it_should_be() -> None:
    # A guard of the reference itself: its chips differ from the clean weights, and by draw, pass and name.
    clean = {name: p.detach() for name, p in make_net().named_parameters()}
    chips = [
        chip(clean, SIGMA, seed=SEED, draw=draw, pass_=pass_) for draw, pass_ in ((0, 0), (1, 0), (0, 1))
    ]
    for name in ON_DEVICES:
        errors = [c[name] - clean[name] for c in chips]
        assert all(float(e.abs().max()) > 1e-3 for e in errors)
        assert not torch.equal(errors[0], errors[1])
        assert not torch.equal(errors[0], errors[2])
    assert torch.equal(chips[0]["bn1.weight"], clean["bn1.weight"])
