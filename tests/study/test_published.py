"""The paper's numbers are those of its text and figures, and found only for trainings that stand for the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.study import published as paper
from steadynet.study.cells import cells_of
from steadynet.study.specification import read_study

STUDIES = Path(__file__).parents[2] / "studies"
VGG: dict[str, Any] = {"model": "vgg8", "data": "mnist"}
RESNET: dict[str, Any] = {"model": "resnet18", "data": "cifar10"}


def value(name: str, options: dict[str, Any], sigma_d: float, metric: str = "accuracy") -> float | None:
    found = paper.find(name, metric, options, sigma_d)
    return None if found is None else found.value


def test_curves_are_whole_and_in_range() -> None:
    assert len(paper.FIGURE3) == 6
    for methods in paper.FIGURE3.values():
        assert list(methods) == ["W/O", "W/", "CorrectNet", "OVF", "IRS"]
        for curve in methods.values():
            assert len(curve) == len(paper.SIGMAS) == 9
            assert all(number is None or 0 < number.value < 100 for number in curve)


def test_the_papers_text_and_its_figure_agree_where_both_tell() -> None:
    # Table 1's N = 3 and 4 at σ_d = 0.3 stand in the figure too, read to 0.05.
    curves = paper.FIGURE3[("resnet18", "cifar10")]
    for method, n in (("OVF", 3), ("IRS", 4)):
        number = curves[method][paper.SIGMAS.index(0.3)]
        assert number is not None
        assert abs(number.value - paper.TABLE1[method][n]) <= paper.READ_WITHIN + 1e-9


def test_largest_gains_agree_with_the_figure() -> None:
    # The figure is of a later version than the text: to 0.6 points, but for two panels that changed.
    gains: dict[str, list[float]] = {"OVF": [], "IRS": []}
    for methods in paper.FIGURE3.values():
        for method, found in gains.items():
            pairs = zip(methods[method], methods["W/"], strict=True)
            found.append(max(a.value - b.value for a, b in pairs if a is not None and b is not None))
    for method, found in gains.items():
        near = [abs(a - b) <= 0.6 for a, b in zip(found, paper.LARGEST_GAINS[method], strict=True)]
        assert sum(near) >= 5, (method, found)


def test_a_training_finds_its_number_by_its_options() -> None:
    assert value("figure3", {**VGG, "recipe": "vanilla"}, 0.2) == 74.0
    assert value("figure3", {**VGG, "recipe": "noise"}, 0.35) == 52.3
    assert paper.find("figure3", "accuracy", VGG, 0.35) is None, (
        "the recipe that is not named is none of the paper's"
    )
    assert value("figure3", {**VGG, "recipe": "ovf", "beta": 1e-3}, 0.4) == 98.8
    assert value("figure4", {**VGG, "recipe": "irs"}, 0.4, "ekl") == pytest.approx(0.00733)
    assert value("table1", {**RESNET, "recipe": "irs", "n": 5}, 0.3) == 66.44
    assert value("table1", {**RESNET, "recipe": "ovf"}, 0.3) == 63.50
    assert (
        value("table2", {**RESNET, "recipe": "ovf", "init_from": {"recipe": "vanilla"}, "epochs": 100}, 0.3)
        == 57.15
    )
    assert value("table2", {**RESNET, "recipe": "vanilla", "init_from": {}, "epochs": 0}, 0.3) == 10.75
    assert value("ablations", {**RESNET, "recipe": "ovf", "delta_sigma": -0.05}, 0.3) == pytest.approx(49.36)
    assert value("ablations", {**RESNET, "recipe": "irs", "heads_noise": False}, 0.3) == 48.44
    assert paper.find_failures({**VGG, "recipe": "noise"}, 0.35) == 6


@pytest.mark.parametrize(
    ("name", "options", "sigma_d"),
    [
        ("figure3", {**VGG, "recipe": "noise", "temperature": 4.0}, 0.2),
        ("figure3", {**VGG, "recipe": "noise-t4"}, 0.2),
        ("figure3", {**VGG, "recipe": "noise", "clip": 1.5}, 0.2),
        ("figure3", {**VGG, "recipe": "ovf", "beta": -0.1}, 0.2),
        ("figure3", {**VGG, "recipe": "ovf", "batchnorm": "backbone"}, 0.2),
        ("figure3", {**VGG, "recipe": "ovf", "n": 5}, 0.2),
        ("figure3", {**VGG, "recipe": "self-feedback"}, 0.2),
        ("figure3", {"model": "vgg8", "data": "folder:mnist"}, 0.2),
        ("figure3", {**VGG, "recipe": "noise"}, 0.12),
        ("figure3", {**VGG, "recipe": "vanilla", "data": "cifar10"}, 0.3),
        ("table1", {**RESNET, "recipe": "ovf", "n": 3}, 0.2),
        ("table1", {**RESNET, "recipe": "noise", "temperature": 4.0}, 0.3),
        ("table2", {**RESNET, "recipe": "ovf", "epochs": 100}, 0.3),
        ("ablations", {**RESNET, "recipe": "ovf", "gamma": "reversed", "n": 2}, 0.3),
        ("ablations", {**RESNET, "recipe": "ovf", "delta_sigma": -0.1}, 0.3),
        ("ablations", {**RESNET, "recipe": "irs", "init_from": {"recipe": "vanilla"}}, 0.3),
    ],
)
def test_what_is_not_the_papers_training_finds_nothing(
    name: str, options: dict[str, Any], sigma_d: float
) -> None:
    assert paper.find(name, "accuracy", options, sigma_d) is None


def test_rough_values_and_bounds_are_shown_as_such() -> None:
    assert str(paper.find("figure3", "accuracy", {**VGG, "recipe": "vanilla"}, 0.4)) == "~28"
    assert (
        str(paper.find("figure3", "accuracy", {"model": "vgg8", "data": "cifar10", "recipe": "vanilla"}, 0.2))
        == "<32"
    )
    assert str(paper.find("figure3", "accuracy", {**VGG, "recipe": "noise"}, 0.3)) == "86.6"


def test_another_metric_finds_nothing_and_an_unknown_name_is_refused() -> None:
    noise = {**VGG, "recipe": "noise"}
    assert paper.find("figure3", "nll", noise, 0.2) is None
    assert paper.find("figure4", "accuracy", noise, 0.2) is None
    with pytest.raises(SteadyNetError, match="unknown published 'figure5'"):
        paper.find("figure5", "accuracy", VGG, 0.2)


@pytest.mark.parametrize(
    ("study", "metric", "numbers"),
    [
        ("figure3", "accuracy", 6 * 5 * 9 - 6),
        ("figure4", "ekl", 12),
        ("table1", "accuracy", 9),
        ("table2", "accuracy", 7),
        ("ablations", "accuracy", 6),
    ],
)
def test_the_papers_studies_find_every_number(study: str, metric: str, numbers: int) -> None:
    made = read_study(STUDIES / f"{study}.yaml", "paper")
    found = {
        (str(point.labels), sigma_d)
        for cell in cells_of(made)
        for point in cell.points
        for sigma_d in point.sigma_d
        if point.labels["seed"] == 0
        and paper.find(study, metric, {**made.base, **cell.options, "sigma_d": sigma_d}, sigma_d) is not None
    }
    assert len(found) == numbers
