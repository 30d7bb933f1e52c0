"""The table of named recipes, a recipe with options changed, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import (
    AWP,
    IRS,
    OVF,
    RECIPES,
    SAM,
    CensoredVariation,
    Chips,
    Clip,
    CrossEntropy,
    DeviceVariation,
    Distillation,
    LogNormalVariation,
    NoConstraint,
    NoVariation,
    Orthogonal,
    OtherVariation,
    Peak,
    Plain,
    Recipe,
    SelfFeedback,
    recipe,
)


def test_the_table_holds_the_named_recipes() -> None:
    noise, free, plain = DeviceVariation(), NoConstraint(), Plain()
    assert {name: row.recipe for name, row in RECIPES.items()} == {
        name: Recipe(*parts, name=name)
        for name, parts in {
            "steady": (
                DeviceVariation(chips=Chips(2, mirrored=True)),
                CrossEntropy(16.0),
                Peak(1.3, stride=0.1),
                plain,
            ),
            "vanilla": (NoVariation(), CrossEntropy(1.0), free, plain),
            "noise": (noise, CrossEntropy(1.0), free, plain),
            "noise-t4": (noise, CrossEntropy(4.0), free, plain),
            "noise-t16-clip1.5": (noise, CrossEntropy(16.0), Clip(1.5), plain),
            "ovf": (noise, OVF(), free, plain),
            "irs": (noise, IRS(), free, plain),
            "noise-clip2.5": (noise, CrossEntropy(), Clip(2.5), plain),
            "trice": (CensoredVariation(1.0), CrossEntropy(), free, plain),
            "trice-mc": (CensoredVariation(1.0, mean_corrected=True), CrossEntropy(), free, plain),
            "correctnet": (noise, CrossEntropy(), Orthogonal(5e-4), plain),
            "correctnet-lognormal": (LogNormalVariation(), CrossEntropy(), Orthogonal(lipschitz=1.0), plain),
            "distill": (noise, Distillation("self"), free, plain),
            "sam": (noise, CrossEntropy(), free, SAM(0.05)),
            "asam": (noise, CrossEntropy(), free, SAM(0.5, adaptive=True)),
            "awp": (noise, CrossEntropy(), free, AWP(0.01)),
            "self-feedback": (noise, SelfFeedback(), free, plain),
        }.items()
    }
    assert all(row.summary for row in RECIPES.values())


def test_the_papers_values_are_the_defaults() -> None:
    ovf, irs = OVF(), IRS()
    assert (ovf.n, ovf.delta_sigma, ovf.gammas) == (3, 0.05, (0.01, 0.1, 1.0))
    assert irs.gammas(4) == (1.0, 0.1, 0.01, 0.001)
    assert OVF(gamma="reversed").gammas == (1.0, 0.1, 0.01)
    assert IRS(gamma="reversed").gammas(3) == (0.01, 0.1, 1.0)
    assert (ovf.a_b, ovf.a_f, ovf.temperature, irs.a_b, irs.a_f, irs.temperature) == (
        None,
        None,
        1,
        None,
        None,
        1,
    )
    assert (ovf.detach_feedback, ovf.rescale_draws, irs.detach_feedback, irs.heads_noise) == (
        False,
        False,
        False,
        True,
    )


def test_one_part_is_changed_by_itself() -> None:
    base = recipe("ovf")
    changed = recipe("ovf", beta=0.1, n=2, clip=2.0, train_sigma_d=0.3)
    assert changed.objective == OVF(beta=0.1, n=2)
    assert changed.constraint == Clip(2.0)
    assert changed.variation == DeviceVariation(0.3)
    assert base == RECIPES["ovf"].recipe, "the table itself stays"
    assert recipe("noise-t16-clip1.5", clip=None).constraint == NoConstraint()
    assert recipe("noise", train_sigma_d=None).variation == DeviceVariation()
    assert recipe("noise", temperature=4.0).objective == RECIPES["noise-t4"].recipe.objective
    assert recipe("noise", temperature=5.0).objective == CrossEntropy(5.0)
    assert recipe("irs", taps=["conv1", "conv3"]).objective == IRS(taps=("conv1", "conv3"))
    assert recipe("irs", beta=-0.01).objective == IRS(beta=-0.01)
    layers = ["conv1.weight", "fc.weight"]
    assert recipe("ovf", feedback_layers=layers).objective == OVF(feedback_layers=tuple(layers))
    assert OVF().feedback_layers == ()


class Foreign:
    """A part that is no dataclass, as a user may write it."""

    def setup(self, backbone: Any, example: Any, seed: int, layout: Any = None) -> Any: ...

    def check(self, sigma_d: float) -> None: ...

    def loss(self, forwards: Any) -> Any: ...


def test_a_part_that_is_no_dataclass_can_be_used_beside_others() -> None:
    custom = Recipe(objective=Foreign())
    assert custom.replace(clip=1.5).constraint == Clip(1.5)
    with pytest.raises(
        SteadyNetError,
        match=r"beta is an option of ovf, irs, self-feedback, which recipe 'custom' \(objective Foreign\) is not",
    ):
        custom.replace(beta=1.0)
    # A description holds no memory address, or a resumed training would be taken for another.
    assert Recipe(objective=Foreign()).describe() == custom.describe()
    assert custom.describe()["objective"]["class"].endswith("Foreign")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ofv", {}, r"unknown recipe 'ofv': did you mean 'ovf'"),
        ("nose", {}, r"unknown recipe 'nose': did you mean 'noise'.*known: asam, awp"),
        (
            "ovf",
            {"betta": 1},
            r"unknown option of recipe 'ovf' \(objective OVF\) 'betta': did you mean 'beta'",
        ),
        (
            "noise",
            {"beta": 1},
            r"beta is an option of ovf, irs, self-feedback, which recipe 'noise' \(objective CrossEntropy\) is not",
        ),
        ("vanilla", {"train_sigma_d": 0.1}, r"recipe 'vanilla' trains without the device's variation"),
        ("noise", {"clip": 1}, r"clip \(alpha\) must be a finite number > 1, got 1"),
        ("noise", {"train_sigma_d": -0.1}, r"the variation's sigma_d must be a finite number ≥ 0, got -0.1"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        recipe(name, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OVF(beta=float("nan")), "beta must be a finite number, got nan"),
        (lambda: OVF(feedback_layers="fc"), "feedback_layers must be a list of name patterns, got 'fc'"),  # type: ignore[arg-type]
        (lambda: OVF(feedback_layers=(3,)), r"feedback_layers must be a list of name patterns, got \(3,\)"),  # type: ignore[arg-type]
        (lambda: OVF(feedback_layers=None), "feedback_layers must be a list of name patterns, got None"),  # type: ignore[arg-type]
        (lambda: OVF(n=0), "n must be an integer ≥ 1 and ≤ 1000, got 0"),
        (lambda: OVF(n=1001), "n must be an integer ≥ 1 and ≤ 1000, got 1001"),
        (lambda: OVF(memory="small"), "unknown memory 'small': known: fast, lean"),  # type: ignore[arg-type]
        (lambda: OVF(n=1.5), "n must be an integer ≥ 1 and ≤ 1000, got 1.5"),  # type: ignore[arg-type]
        (lambda: OVF(delta_sigma=float("inf")), "delta_sigma must be a finite number, got inf"),
        (lambda: OVF(gamma="papr"), "unknown gamma 'papr': did you mean 'paper'"),  # type: ignore[arg-type]
        (lambda: OVF(batchnorm="al"), "unknown batchnorm 'al': did you mean 'all'"),  # type: ignore[arg-type]
        (lambda: OVF(a_b=float("nan")), "a_b must be a finite number, got nan"),
        (lambda: OVF(temperature=0), "temperature must be a finite number > 0, got 0"),
        (lambda: IRS(beta=float("-inf")), "beta must be a finite number, got -inf"),
        (lambda: IRS(n=0), "n must be an integer ≥ 1, got 0"),
        (lambda: IRS(heads_hidden=0), "heads_hidden must be an integer ≥ 1, got 0"),
        (lambda: IRS(taps="conv1"), "taps must be a list of module names, got the string 'conv1'"),  # type: ignore[arg-type]
        (lambda: IRS(n=3, taps=("a", "b")), "n = 3 contradicts the 2 taps given: leave n out"),
        (lambda: SelfFeedback(beta=float("inf")), "beta must be a finite number, got inf"),
        (lambda: SelfFeedback(n=0), "n must be an integer ≥ 1 and ≤ 1000, got 0"),
        (lambda: SelfFeedback(a_f=float("nan")), "a_f must be a finite number, got nan"),
        (lambda: SelfFeedback(temperature=0), "temperature must be a finite number > 0, got 0"),
        (
            lambda: SelfFeedback(beta=2),
            "self-feedback leaves -0.305 of the output, which must be more than 0",
        ),
        (lambda: SelfFeedback(a_b=0.0), "self-feedback leaves -0.0002775 of the output"),
        (lambda: CrossEntropy(temperature=-4), "temperature must be a finite number > 0, got -4"),
        (lambda: DeviceVariation(float("nan")), "sigma_d must be a finite number ≥ 0, got nan"),
        (lambda: OtherVariation(0.1), r"variation must be a Variation such as Gaussian\(0.1\), got 0.1"),  # type: ignore[arg-type]
        (lambda: Recipe(objective=OVF), "a recipe's objective must be a Objective"),  # type: ignore[arg-type]
        (lambda: Recipe(variation=Gaussian(0.1)), "a recipe's variation must be a TrainingVariation"),  # type: ignore[arg-type]
        (lambda: Recipe(constraint=Plain()), "a recipe's constraint must be a Constraint"),  # type: ignore[arg-type]
        (lambda: Recipe(step=NoConstraint()), "a recipe's step must be a Step"),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_range_are_refused_at_construction(make: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()


def test_ovf_refuses_a_negative_sigma_only() -> None:
    OVF(delta_sigma=-0.05, n=3).check(0.15)
    with pytest.raises(SteadyNetError, match=r"sigma_d 0.1 \+ 3 · delta_sigma -0.05 = -0.05 is negative"):
        OVF(delta_sigma=-0.05, n=3).check(0.1)


@pytest.mark.parametrize("name", RECIPES)
def test_a_description_is_plain_and_tells_recipes_apart(name: str) -> None:
    described = RECIPES[name].recipe.describe()
    assert json.loads(json.dumps(described))["name"] == name
    others = [r.recipe.describe() for other, r in RECIPES.items() if other != name]
    assert all({**described, "name": ""} != {**other, "name": ""} for other in others)
    changed = dataclasses.replace(RECIPES[name].recipe, constraint=Clip(3.0)).describe()
    assert changed["constraint"] == {
        "class": "Clip",
        "alpha": 3.0,
        "per": "tensor",
        "start": None,
        "until": 0.5,
    }
