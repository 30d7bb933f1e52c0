"""Recipes put together by flat options, as the command line and studies do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadynet.cli.main import main
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.presets import preset
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
    LearnedRange,
    LogNormalVariation,
    NoConstraint,
    Orthogonal,
    OtherVariation,
    Pace,
    Peak,
    Plain,
    Recipe,
    Saturate,
    Several,
    Sparse,
    recipe,
)

EACH: dict[str, tuple[dict[str, Any], str, Any]] = {
    "clip": ({"clip": 2.0}, "constraint", Clip(2.0)),
    "by channel": ({"clip": 2.0, "clip_per": "channel"}, "constraint", Clip(2.0, per="channel")),
    "annealed": (
        {"clip": 1.5, "clip_start": 3.0, "clip_until": 0.3},
        "constraint",
        Clip(1.5, start=3.0, until=0.3),
    ),
    "peak": ({"peak": 1.2}, "constraint", Peak(1.2)),
    "stride": ({"peak": 1.2, "stride": 0.2}, "constraint", Peak(1.2, stride=0.2)),
    "saturate": ({"saturate": 0.7}, "constraint", Saturate(0.7)),
    "learned": ({"learned_range": 2.0, "range_strength": 0.1}, "constraint", LearnedRange(2.0, 0.1)),
    "orthogonal": ({"orthogonal": 1e-3}, "constraint", Orthogonal(1e-3)),
    "lipschitz": (
        {"orthogonal": 1e-3, "lipschitz": 0.5, "orthogonal_sigma": 0.2},
        "constraint",
        Orthogonal(1e-3, 0.5, 0.2),
    ),
    "sparse": ({"sparsity": 1e-4}, "constraint", Sparse(1e-4)),
    "pace": ({"pace": 2.0}, "constraint", Pace(2.0)),
    "two": ({"sparsity": 1e-4, "clip": 2.0}, "constraint", Several((Clip(2.0), Sparse(1e-4)))),
    "sigma": ({"train_sigma_d": 0.3}, "variation", DeviceVariation(0.3)),
    "censor": ({"censor": 0.5}, "variation", CensoredVariation(0.5)),
    "censor all": (
        {"censor": 0.5, "mean_corrected": True, "train_sigma_d": 0.1, "chips": 2},
        "variation",
        CensoredVariation(0.5, 0.1, mean_corrected=True, chips=Chips(2)),
    ),
    "log-normal": ({"log_normal": True}, "variation", LogNormalVariation()),
    "chips": ({"chips": 4, "mirrored": True}, "variation", DeviceVariation(chips=Chips(4, mirrored=True))),
    "sam": ({"step": "sam", "rho": 0.1}, "step", SAM(0.1)),
    "asam": ({"step": "asam"}, "step", SAM(0.5, adaptive=True)),
    "awp": ({"step": "awp", "awp_gamma": 0.02}, "step", AWP(0.02)),
    "teacher": (
        {
            "teacher": "self",
            "softness": 2.0,
            "distill_weight": 0.9,
            "teacher_noise": True,
            "temperature": 3.0,
        },
        "objective",
        Distillation("self", 0.9, 2.0, 3.0, teacher_noise=True),
    ),
}


@pytest.mark.parametrize("name", EACH)
def test_an_option_sets_its_part_and_no_other(name: str) -> None:
    changes, role, part = EACH[name]
    assert recipe("noise", **changes) == Recipe(**{role: part}, name="noise")


@given(st.permutations(["clip", "sparsity", "orthogonal", "pace", "chips", "censor", "step", "temperature"]))
def test_the_order_of_options_does_not_matter(order: list[str]) -> None:
    values: dict[str, Any] = {
        "clip": 2.0, "sparsity": 1e-4, "orthogonal": 1e-3, "pace": 2.0, "chips": 2, "censor": 1.0, "step": "awp",
        "temperature": 16.0,
    }  # fmt: skip
    one_by_one = recipe("noise")
    for option in order:
        one_by_one = one_by_one.replace(**{option: values[option]})
    assert one_by_one == recipe("noise", **{option: values[option] for option in order})
    assert one_by_one == recipe("noise", **values)


def test_parts_of_one_recipe_go_to_another() -> None:
    assert recipe("ovf", clip=2.5, temperature=16.0) == Recipe(
        objective=OVF(temperature=16.0), constraint=Clip(2.5), name="ovf"
    )
    assert recipe("irs", censor=1.0) == Recipe(CensoredVariation(1.0), IRS(), name="irs")
    steady = RECIPES["steady"].recipe
    assert steady.replace(peak=None).constraint == NoConstraint()
    assert steady.replace(peak=1.5).constraint == Peak(1.5, stride=0.1)
    assert steady.replace(peak=None, clip=1.5).constraint == Clip(1.5)
    with pytest.raises(SteadyNetError, match="so take peak none beside it"):
        steady.replace(clip=1.5)
    assert steady.replace(chips=1, mirrored=False).variation == DeviceVariation()
    assert recipe("trice", censor=None) == Recipe(name="trice")
    assert recipe("correctnet-lognormal", log_normal=False).variation == DeviceVariation()
    assert recipe("sam", step="plain").step == Plain()
    assert recipe("distill", teacher=None).objective == CrossEntropy()


class Mine(Clip):
    """A user's own constraint."""


def test_a_users_own_parts_stay() -> None:
    own = Recipe(OtherVariation(preset("rram4", 0.1)), name="own")
    changed = own.replace(train_sigma_d=0.3, chips=2)
    assert changed.variation == OtherVariation(preset("rram4", 0.3), Chips(2))
    kept = Recipe(constraint=Mine(2.0)).replace(sparsity=1e-4)
    assert kept.constraint == Several((Mine(2.0), Sparse(1e-4)))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "noise",
            {"clip": 2.0, "saturate": 1.0},
            "clip and saturate contradict each other: both bound the weights",
        ),
        (
            "steady",
            {"clip": 1.3},
            "clip and peak contradict each other: both bound the weights, so take peak none",
        ),
        ("noise", {"censor": 1.0, "log_normal": True}, "censor and log_normal contradict each other"),
        ("trice", {"log_normal": True}, "log_normal contradicts censor, the law of recipe 'trice'"),
        ("correctnet-lognormal", {"censor": 1.0}, "censor contradicts log_normal, the law of recipe"),
        (
            "distill",
            {"teacher": None, "softness": 2.0},
            "softness is an option of distillation, and there is no",
        ),
        (
            "noise",
            {"teacher": None, "softness": 2.0},
            "softness is an option of distillation, and there is no",
        ),
        (
            "ovf",
            {"teacher": "self"},
            r"recipe 'ovf' \(OVF\) and teacher contradict each other: both own the logits",
        ),
        ("irs", {"softness": 2.0}, r"recipe 'irs' \(IRS\) and softness contradict each other"),
        ("noise", {"softness": 2.0}, "softness is an option of distillation: give teacher too"),
        (
            "noise",
            {"clip_per": "channel"},
            "clip_per is an option of clip, which recipe 'noise' lacks: give clip too",
        ),
        ("noise", {"range_strength": 0.1}, "range_strength is an option of learned_range"),
        ("noise", {"rho": 0.1}, "rho is an option of step sam or asam: give that step too"),
        ("sam", {"awp_gamma": 0.1}, "awp_gamma is an option of step awp"),
        ("noise", {"step": "sma"}, "unknown step 'sma': did you mean 'sam'"),
        (
            "noise",
            {"mean_corrected": True},
            "mean_corrected is an option of censor, which recipe 'noise' lacks",
        ),
        ("vanilla", {"chips": 2}, "recipe 'vanilla' trains without the device's variation: it has no chips"),
        ("noise", {"mirrored": True}, "mirrored chips come in pairs, got 1 chips: take 2"),
        ("noise", {"clip": 1.0}, r"clip \(alpha\) must be a finite number > 1, got 1"),
        (
            "noise",
            {"clip": 2.0, "clip_start": 1.5},
            "clip_start 1.5 must be more than clip 2, to which it falls",
        ),
        (
            "noise",
            {"clip": 2.0, "clip_until": 0.2},
            "clip_until says when .* there is no clip_start: give it too",
        ),
        ("correctnet", {"orthogonal_sigma": 0.3}, "orthogonal_sigma is the sigma of .*: give lipschitz too"),
        ("trice", {"log_normal": None}, "log_normal must be True or False, got None"),
        ("noise", {"log_normal": 0.3}, "log_normal must be True or False, got 0.3"),
        ("irs", {"heads_noise": "no"}, "heads_noise must be True or False, got 'no'"),
        ("irs", {"detach_feedback": 0}, "detach_feedback must be True or False, got 0"),
        ("ovf", {"rescale_draws": "no"}, "rescale_draws must be True or False, got 'no'"),
        ("ovf", {"detach_feedback": None}, "detach_feedback must be True or False, got None"),
        ("noise", {"cilp": 2.0}, r"unknown option of recipe 'noise'.*'cilp': did you mean 'clip'"),
    ],
)
def test_what_contradicts_itself_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        recipe(name, **changes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--recipe noise --clip 2 --saturate 1", "clip and saturate contradict each other"),
        ("--recipe ovf --teacher self", "contradict each other: both own the logits"),
        ("--recipe noise --clip 1", "clip (alpha) must be a finite number > 1"),
        ("--recipe noise --clip wide", "--clip"),
        ("--recipe vanilla --censor 1", "it has no censor"),
    ],
)
def test_the_command_refuses_in_one_line(
    capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert main(["train", "--data", "digits", *words.split()]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]


def test_the_command_trains_a_recipe_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = (
        "train --data digits --model cnn --model.width 0.25 --train-images 100 --test-images 20 --epochs 1 --no-progress "
        "--recipe ovf --clip 2.5 --temperature 16 --censor 1 --chips 2 --step awp --out run"
    )
    assert main(words.split()) == 0
    told = json.loads((tmp_path / "run" / "result.json").read_text())["recipe"]
    assert (told["variation"]["class"], told["variation"]["chips"]["count"]) == ("CensoredVariation", 2)
    assert (told["objective"]["class"], told["objective"]["temperature"]) == ("OVF", 16.0)
    assert (told["constraint"]["class"], told["step"]["class"]) == ("Clip", "AWP")


def test_a_law_gives_way_where_it_is_said_to() -> None:
    assert recipe("trice", censor=None, log_normal=True).variation == LogNormalVariation()
    changed = recipe("correctnet-lognormal", log_normal=False, censor=1.0)
    assert changed.variation == CensoredVariation(1.0)
    own = Recipe(OtherVariation(preset("rram4", 0.1)), name="own")
    for changes in ({"censor": 1.0}, {"log_normal": True}):
        with pytest.raises(SteadyNetError, match=r"the recipe's own law .* contradict each other"):
            own.replace(**changes)


@dataclasses.dataclass(frozen=True)
class Half:
    """A user's own variation: half of the deployed device's."""

    chips: Chips = dataclasses.field(default_factory=Chips)

    def device(self, deployed: Device) -> Device:
        return deployed.at(deployed.sigma_d / 2)


def test_a_users_own_variation_takes_what_it_has_fields_for() -> None:
    own = Recipe(Half(), name="own")
    assert own.replace(chips=2).variation == Half(Chips(2))
    assert own.replace(censor=None, log_normal=False).variation == Half()
    with pytest.raises(SteadyNetError, match=r"train_sigma_d sets sigma_d, .* of recipe 'own' \(Half\)"):
        own.replace(train_sigma_d=0.1)
    for changes in ({"censor": 1.0}, {"log_normal": True}):
        with pytest.raises(SteadyNetError, match=r"the recipe's own law Half\(.* contradict each other"):
            own.replace(**changes)


def test_what_is_not_censored_stays_as_it_is() -> None:
    assert recipe("trice", censor=None).variation == DeviceVariation()
    assert recipe("correctnet-lognormal", censor=None) == recipe("correctnet-lognormal")
    own = Recipe(OtherVariation(preset("rram4", 0.1)), name="own")
    assert own.replace(censor=None).variation == own.variation


def test_no_teacher_is_what_a_recipe_without_one_has() -> None:
    assert recipe("noise", teacher=None) == recipe("noise")
    assert recipe("ovf", teacher=None) == recipe("ovf")
    assert recipe("distill", teacher=None).objective == CrossEntropy()
