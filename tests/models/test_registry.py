"""Networks by name and by import path, what is passed to them, and the nearest name to a wrong one."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
import torch
from torch import nn

from steadynet import models
from steadynet.errors import SteadyNetError
from steadynet.models import MODELS, build
from steadynet.models.cnn import CNN
from steadynet.models.registry import find
from steadynet.models.resnet import ResNet18
from steadynet.models.vgg import VGG8

OWN = {"vgg8": VGG8, "resnet18": ResNet18, "cnn": CNN}


def make(name: str, shape: tuple[int, int, int] = (1, 8, 8), **options: Any) -> nn.Module:
    return build(name, classes=3, shape=shape, options=options)


def test_the_table_names_every_network_and_its_options() -> None:
    assert {name: find(name) for name in MODELS} == OWN
    for name, entry in MODELS.items():
        assert entry.name == name
        assert entry.summary
        # Other parameters are what the data and the run decide.
        given = {"classes", "in_channels", "input_size", "seed"}
        assert set(inspect.signature(OWN[name]).parameters) - given == set(entry.options)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["cnn"]  # type: ignore[index]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_a_named_network_fits_the_data(name: str, shape: tuple[int, int, int]) -> None:
    model = make(name, shape, width=0.1).eval()
    assert type(model) is OWN[name]
    assert model(torch.zeros(2, *shape)).shape == (2, 3)


def test_options_win_over_what_is_passed_by_itself() -> None:
    model = make("cnn", classes=7, input_size=16)
    assert model(torch.zeros(2, 1, 16, 16)).shape == (2, 7)


def test_a_network_by_import_path_gets_what_it_takes() -> None:
    model: Any = make("models.nets.Net", (4, 8, 8), depth=3)
    assert (model.linear.in_features, model.linear.out_features, model.depth) == (4, 3, 3)
    given: Any = build("models.nets.both", classes=3, shape=(1, 9, 9), seed=6)
    assert given.given == (3, 77, 9, 6), "classes is preferred to num_classes"
    free: Any = make("models.nets.everything", width=2)
    assert free.options == {"width": 2}, "what it does not name is not passed to it"


def test_own_path_and_name_are_the_same_network() -> None:
    one, other = make("cnn"), make("steadynet.models.cnn.CNN")
    assert type(one) is type(other)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_network_without_a_seed_is_a_function_of_the_seed_too() -> None:
    def weight(seed: int) -> torch.Tensor:
        return build("models.nets.Net", classes=3, shape=(4, 8, 8), seed=seed).get_parameter("linear.weight")

    state = torch.random.get_rng_state()
    first = weight(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(weight(1), first)
    assert not torch.equal(weight(2), first)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgg9", {}, "unknown model 'vgg9': did you mean 'vgg8'\\? known: cnn, resnet18, vgg8"),
        ("resnet", {}, "did you mean 'resnet18'"),
        ("", {}, "unknown model ''"),
        (".nets.Net", {}, "unknown model '.nets.Net'"),
        (
            "no_such_package.Net",
            {},
            "model 'no_such_package.Net' cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("models.nets.Nett", {}, "unknown name in module models.nets 'Nett': did you mean 'Net'"),
        ("models.nets.NOT_CALLABLE", {}, "is Tensor, which cannot be called"),
        ("models.nets.no_module", {}, "'models.nets.no_module' returns list, no torch.nn.Module"),
        ("models.nets.needs_more", {}, "cannot be made with {'classes': 3}: .*'secret'"),
        ("vgg8", {"witdh": 2}, "unknown option of model 'vgg8' 'witdh': did you mean 'width'"),
        (
            "models.nets.Net",
            {"dept": 2},
            "unknown option of model 'models.nets.Net' 'dept': did you mean 'depth'",
        ),
        ("vgg8", {"width": -1}, "width must be a finite number > 0, got -1"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_nearest(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make(name, **options)


def test_the_package_has_the_names_it_lists_and_no_others() -> None:
    assert models.build is importlib.import_module("steadynet.models.registry").build
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        _ = models.biuld  # type: ignore[attr-defined]
