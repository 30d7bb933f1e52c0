"""The studies of the repository: each preset makes the cells that the paper's figure or table has, and has views of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from steadynet.study.cells import cells_of
from steadynet.study.definition import Study
from steadynet.study.report.assemble import is_whole, views_of
from steadynet.study.specification import read_study
from steadynet.study.store import Images, place

FILES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
PRESETS = ("small", "paper")
IMAGES = Images("", "", 100, 10, 100, (3, 32, 32), 10)


def paper(name: str) -> Study:
    [file] = [file for file in FILES if file.stem == name]
    return read_study(file, "paper")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_study_makes_cells_and_views(file: Path, preset: str) -> None:
    study = read_study(file, preset)
    assert study.question
    assert study.setting
    assert cells_of(study)
    assert views_of(study)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_published_numbers_may_stand_beside_the_papers_nets_and_whole_sets_alone(file: Path) -> None:
    # A study of width has networks of the paper's width among others alone.
    whole = "" if file.stem == "width" else "paper"
    for preset in PRESETS:
        places = [place(cell, Path(), IMAGES) for cell in cells_of(read_study(file, preset))]
        assert is_whole(places) == (preset == whole)


def test_figure_3_has_six_panels_with_the_papers_sigma_d_and_the_controls() -> None:
    study = paper("figure3")
    assert len(study.axis("panel").labels) == 6
    assert study.axis("sigma_d").labels == tuple(pytest.approx(0.05 * i) for i in range(9))
    assert len(study.axis("seed").labels) == 5
    betas: dict[tuple[str, str], float] = {}
    recipes: Counter[str] = Counter()
    for cell in cells_of(study):
        for point in cell.points:
            panel, recipe = str(point.labels["panel"]), str(point.labels["recipe"])
            recipes[panel] += point.labels["sigma_d"] == 0.2 and point.labels["seed"] == 0
            if recipe in ("OVF", "IRS"):
                objective: Any = cell.training.recipe.objective
                betas[panel, recipe] = objective.beta
        assert (cell.training.epochs, cell.training.training.batch_size) == (200, 128)
        assert cell.training.training.lr == (1e-3 if cell.training.model.model == "vgg8" else 1e-2)
    assert betas == {
        ("VGG-8 MNIST", "IRS"): 1e-2, ("VGG-8 CIFAR-10", "IRS"): 1e-1, ("VGG-8 MNIST", "OVF"): 1e-3,
        ("VGG-8 CIFAR-10", "OVF"): 1e-3,
        ("ResNet-18 MNIST", "IRS"): 1e-1, ("ResNet-18 CIFAR-10", "IRS"): 1e-3, ("ResNet-18 CIFAR-100", "IRS"): 1e-3,
        ("ResNet-18 Tiny ImageNet", "IRS"): 1e-2, ("ResNet-18 MNIST", "OVF"): 1e-4, ("ResNet-18 CIFAR-10", "OVF"): 1e-1,
        ("ResNet-18 CIFAR-100", "OVF"): 1e-1, ("ResNet-18 Tiny ImageNet", "OVF"): 1e-2,
    }  # fmt: skip
    # W/O, W/, T = 4, CorrectNet, OVF, IRS; on ResNet-18 T = 5 too, and where beta is not small OVF's own temperature.
    assert sorted(recipes.values()) == [6, 6, 7, 8, 8, 8]


def test_ovfs_own_temperature_is_the_one_that_its_feedback_comes_to() -> None:
    for cell in cells_of(paper("figure3")):
        for point in cell.points:
            if point.labels["recipe"] == "W/, T of OVF":
                beta = 1e-2 if "Tiny" in str(point.labels["panel"]) else 1e-1
                expected = 4 / (1 - beta * (0.01 + 0.1 + 1))
                objective: Any = cell.training.recipe.objective
                assert objective.temperature == pytest.approx(expected, abs=1e-4)


def test_convergence_trains_ten_seeds_at_035() -> None:
    cells = cells_of(paper("convergence"))
    assert Counter(cell.training.recipe.name for cell in cells) == {
        "vanilla": 10,
        "noise": 20,
        "ovf": 10,
        "irs": 10,
    }
    assert {sigma_d for cell in cells for point in cell.points for sigma_d in point.sigma_d} == {0.35}


def test_table_2_starts_all_from_the_network_of_the_same_seed() -> None:
    cells = cells_of(paper("table2"))
    for cell in cells:
        if cell.parent is not None:
            assert cell.parent.training.seed == cell.training.seed
            assert (cell.parent.training.recipe.name, cell.parent.training.epochs) == ("vanilla", 200)
    assert Counter(cell.training.epochs for cell in cells if cell.points) == {0: 5, 50: 15, 100: 15, 200: 15}


def test_the_sign_of_beta_and_the_layers_of_the_feedback_are_among_the_controls() -> None:
    found = {
        str(point.labels["recipe"]): cell.training.recipe.identity()["objective"]
        for cell in cells_of(paper("controls"))
        for point in cell.points
    }
    assert found["IRS, beta −0.1"]["beta"] == -found["IRS, beta 0.1"]["beta"] == -0.1
    assert found["OVF, beta 0.1, first and last layer"]["feedback_layers"] == ("conv1.weight", "fc2.weight")
    assert found["OVF, beta 0.1, statistics of the backbone"]["batchnorm"] == "backbone"
    assert found["OVF, beta 0.1, detached"]["detach_feedback"]
    assert found["self-feedback"]["class"] == "SelfFeedback"
