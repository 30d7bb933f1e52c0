"""What tells cells apart and what their numbers come from: images, devices, teachers, weights, and modules."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

import steadynet as sn
from steadynet.errors import SteadyNetError
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.variation import Gaussian
from steadynet.options.build import load_data
from steadynet.study import code_version
from steadynet.study.plan import plan
from steadynet.study.specification import study
from study.small import WRITTEN, written

ONE: dict[str, Any] = {"recipe": {"W/": {"recipe": "noise"}}, "sigma_d": [0.1], "seed": [0]}


def picture_folder(folder: Path, seed: int) -> Path:
    """Return a folder of six images of two classes for training, and as many for tests."""
    rng = np.random.default_rng(seed)
    for part in ("train", "test"):
        for label in ("a", "b"):
            (folder / part / label).mkdir(parents=True)
            for number in range(6):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return folder


def base(**changes: Any) -> dict[str, Any]:
    return {**WRITTEN["base"], **changes}


def test_studies_on_different_folders_of_images_share_no_cell(tmp_path: Path) -> None:
    options: dict[str, Any] = {"train_images": None, "test_images": None, "size": 8, "batch_size": 4}
    folders = [picture_folder(tmp_path / name, seed) for seed, name in enumerate("ab")]
    made = [study(written(name=f.name, base=base(data=f"folder:{f}", **options), axes=ONE)) for f in folders]
    together = plan(made, tmp_path / "out")
    assert [[point.study for point in place.cell.points] for place in together.places] == [["a"], ["b"]]
    assert len({place.images.training for place in together.places}) == 2
    for one in made:
        (alone,) = plan([one], tmp_path / "out").places
        assert alone.folder in {place.folder for place in together.places}
    # The same images under another name are the same training, and what starts from it finds it.
    copied = tmp_path / "c"
    shutil.copytree(folders[0], copied)
    start = {"W/": {"recipe": "noise"}, "more": {"recipe": "noise", "init_from": {"epochs": 1}}}
    both = plan(
        [
            study(
                written(name=f.name, base=base(data=f"folder:{f}", **options), axes={**ONE, "recipe": start})
            )
            for f in (folders[0], copied)
        ],
        tmp_path / "out",
    )
    assert len(both.places) == 3
    for place in both.places:
        if place.cell.parent is not None:
            start_file = both.start(place)
            assert start_file is not None
            assert start_file.parent in {other.folder for other in both.places}
    assert both.with_starts([both.places[-1]])[-1] == both.places[-1]


def test_studies_that_test_alike_trainings_on_different_images_are_refused_together(tmp_path: Path) -> None:
    few, all_ = (
        study(written(name=name, base=base(test_images=count), axes=ONE))
        for name, count in (("few", 20), ("all", 50))
    )
    with pytest.raises(SteadyNetError, match="trained alike but tested on different images"):
        plan([few, all_], tmp_path)


def test_training_without_noise_is_tested_on_the_devices_that_are_asked_for(tmp_path: Path) -> None:
    axes = {
        "recipe": {"W/O": {"recipe": "vanilla"}},
        "stuck_lrs": [0.0, 0.3],
        "sigma_d": [0.1],
        "seed": [0],
    }
    rows = sn.run_study(written(axes=axes), out=tmp_path)
    (cell,) = (tmp_path / "cells").iterdir()  # one training
    options = plan([study(written(axes=axes))], tmp_path).places[0].cell.training
    data, net = (
        load_data(options.data),
        sn.models.build("cnn", classes=10, shape=(1, 8, 8), options={"width": 0.25}),
    )
    net.load_state_dict(load_file(cell / "backbone.safetensors"))
    for row, variation in zip(rows, (Gaussian(0.1), Gaussian(0.1) + Stuck(lrs=0.3)), strict=True):
        found = sn.monte_carlo(
            net, sn.Device(variation=variation), data.test, draws=3, seed=row["evaluation_seed"]
        )
        assert row["accuracy_values"] == found.accuracy.values.tolist()
    assert rows[0]["accuracy"]["mean"] > rows[1]["accuracy"]["mean"], "stuck devices cost accuracy"


def test_weights_that_are_not_those_of_the_result_are_trained_anew(tmp_path: Path) -> None:
    sn.run_study(written(axes=ONE), out=tmp_path)
    (cell,) = (tmp_path / "cells").iterdir()
    weights = cell / "backbone.safetensors"
    whole = weights.read_bytes()
    # As after a kill between the weights and their result, where those of an earlier training are kept.
    save_file({name: 0 * tensor for name, tensor in load_file(weights).items()}, weights)
    (row,) = sn.run_study(written(axes=ONE, test={"draws": 5}), out=tmp_path)
    (fresh,) = sn.run_study(written(axes=ONE, test={"draws": 5}), out=tmp_path / "fresh")
    assert row["accuracy_values"] == fresh["accuracy_values"]
    assert weights.read_bytes() == whole


def test_a_teacher_is_known_by_what_it_holds(tmp_path: Path) -> None:
    def folders(teacher: Path) -> list[str]:
        axes = {**ONE, "recipe": {"taught": {"recipe": "distill", "teacher": str(teacher)}}}
        return [place.folder.name for place in plan([study(written(axes=axes))], tmp_path).places]

    one, moved = tmp_path / "one.safetensors", tmp_path / "elsewhere.safetensors"
    nets = [
        sn.models.build("cnn", classes=10, shape=(1, 8, 8), options={"width": 0.25}, seed=s) for s in (0, 1)
    ]
    save_file(dict(nets[0].state_dict()), one)
    before = folders(one)
    shutil.copy(one, moved)
    assert folders(moved) == before, "wherever it lies"
    save_file(dict(nets[1].state_dict()), one)
    assert folders(one) != before, "another teacher makes another training"
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(moved, run / "backbone.safetensors")
    (run / "config.yaml").write_text("model: cnn\nmodel_options: {width: 0.25}\n")
    of_run = folders(run)
    (run / "config.yaml").write_text("model: cnn\nmodel_options: {width: 0.5}\n")
    assert folders(run) != of_run


# Modules that take part in a training or a test and decide none of its numbers, each for a reason.
NO_NUMBERS = {
    "errors": "refusals",
    "files": "writes what was computed",
    "folders": "makes, empties and locks folders",
    "extras": "names what is not installed",
    "replaceable": "refuses networks",
    "parallel": "shares draws out; their numbers are those of one process",
    "recipes.__init__": "names",
    "recipes.recipe": "puts parts together, which count themselves",
    "recipes.flat": "options of parts, which count by what they make",
    "recipes.constraint.none": "nothing; it counts where it is used",
    "training.__init__": "names",
    "montecarlo.__init__": "names",
    "deploy.__init__": "names",
}


@pytest.mark.parametrize(
    ("roots", "code"),
    [
        (("training.fit",), code_version.training_code("vgg8", sn.recipe("steady"))),
        (("montecarlo.engine", "montecarlo.session"), code_version.testing_code("vgg8", calibrated=False)),
        (
            ("montecarlo.engine", "montecarlo.session", "deploy.temperature"),
            code_version.testing_code("vgg8", calibrated=True),
        ),
    ],
    ids=["training", "testing", "calibrating"],
)
def test_every_module_that_takes_part_counts_or_has_a_reason_not_to(
    roots: tuple[str, ...], code: dict[str, str]
) -> None:
    waiting, seen = [f"steadynet.{name}" for name in roots], set[str]()
    while waiting:
        name = waiting.pop()
        short = name.removeprefix("steadynet.")
        if name in seen or short in NO_NUMBERS:
            continue
        seen.add(name)
        waiting += [
            other
            for other in code_version._imports(name)
            if other.startswith("steadynet.") and code_version._file(other) is not None
        ]
    uncounted = {name.removeprefix("steadynet.") for name in seen} - set(code)
    assert not uncounted
