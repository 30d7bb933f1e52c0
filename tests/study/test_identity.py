"""What must not pass for the same training, and what must: a user's code and parts, images, weights, names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import steadynet as sn
from steadynet.errors import SteadyNetError
from steadynet.study import code_version
from steadynet.study.cells import Cell, cells_of
from steadynet.study.code_version import training_code
from steadynet.study.execute import Job, run_cell
from steadynet.study.plan import Plan, plan
from steadynet.study.rows import rows_of
from steadynet.study.runner import run
from steadynet.study.selection import select
from steadynet.study.specification import study
from study.small import WRITTEN, written

ONE = {"recipe": {"W/": {"recipe": "noise"}}, "sigma_d": [0.1], "seed": [0]}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's package in the current folder: a network that its __init__ passes on, and a helper of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "ownnets"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .net import Net\n")
    (folder / "net.py").write_text(
        "from torch import nn\nfrom ownnets import act\n\nclass Net(nn.Module):\n    size = 3\n"
    )
    (folder / "act.py").write_text("slope = 1\n")
    code_version.forget()
    yield folder
    code_version.forget()


@pytest.mark.parametrize("file", ["net.py", "act.py", "__init__.py"])
def test_any_module_of_a_users_package_that_takes_part_counts(package: Path, file: str) -> None:
    before = training_code("ownnets.Net", sn.recipe("noise"))
    assert {"ownnets", "ownnets.net", "ownnets.act"} <= before.keys()
    with (package / file).open("a") as text:
        text.write("further = 2\n")
    code_version.forget()
    assert training_code("ownnets.Net", sn.recipe("noise")) != before


def test_a_module_that_is_no_python_is_refused_in_one_line(package: Path) -> None:
    (package / "net.py").write_text("class Net(:\n")
    code_version.forget()
    with pytest.raises(
        SteadyNetError, match=r"module ownnets.* is no Python that can be read .*: mend .*net\.py"
    ):
        training_code("ownnets.Net", sn.recipe("noise"))


def test_a_module_may_name_its_encoding(package: Path) -> None:
    text = "# -*- coding: latin-1 -*-\nname = 'caf\u00e9'\n"
    (package / "act.py").write_bytes(text.encode("latin-1"))
    code_version.forget()
    assert "ownnets.act" in training_code("ownnets.Net", sn.recipe("noise"))


def test_a_module_without_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="module nowhere_at_all has no Python source that can be found"):
        training_code("nowhere_at_all.Net", sn.recipe("noise"))


def test_code_that_changes_while_it_runs_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan([study(written(axes=ONE))], tmp_path)
    monkeypatch.setattr(Cell, "code", lambda self: {"training.module": "edited meanwhile"})
    [(place, outcome)] = run(whole, whole.places)
    assert outcome.end == "failed"
    assert "the code changed while it was trained" in outcome.message
    assert not place.trained()


def test_a_part_that_hides_its_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden(sn.CrossEntropy):
        def __init__(self, k: int) -> None:
            super().__init__()
            object.__setattr__(self, "k", k)

    import steadynet.study.flat as flat

    hiding = sn.Recipe(objective=Hidden(3), name="hiding")
    monkeypatch.setattr(flat.RecipeOptions, "build", lambda self: hiding)
    with pytest.raises(SteadyNetError, match="its objective Hidden keeps k, no field of a dataclass"):
        cells_of(study(written(axes=ONE)))


def pictures(folder: Path, value: int) -> None:
    """Two classes of images in a folder."""
    for split, count in (("train", 12), ("test", 4)):
        for label in ("a", "b"):
            for index in range(count):
                path = folder / split / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), (value + index) % 256 if label == "a" else 200 - index).save(path)


def test_images_of_a_folder_that_change_are_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "images", 0)
    base = {**WRITTEN["base"], "train_images": None, "test_images": None, "batch_size": 8}
    base = {key: value for key, value in base.items() if value is not None}

    def planned(data: str) -> Plan:
        return plan([study(written(axes=ONE, base={**base, "data": data}))], tmp_path / "out")

    before = planned(f"folder:{tmp_path / 'images'}")
    monkeypatch.chdir(tmp_path)
    relative = planned("folder:images")
    assert relative.places[0].folder == before.places[0].folder, "the path is no part of what they are"
    # As editors leave for a file that is open.
    (tmp_path / "images" / "train" / "a" / ".#lock.png").symlink_to("nowhere")
    assert planned("folder:images").places[0].folder == before.places[0].folder
    pictures(tmp_path / "images", 40)
    assert planned("folder:images").places[0].folder != before.places[0].folder


def test_another_data_set_stands_for_one_wherever_it_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "images", 0)
    base = {k: v for k, v in WRITTEN["base"].items() if k not in ("data", "train_images", "test_images")}
    start = {"recipe": "vanilla", "data": "cifar100"}
    axes = {"recipe": {"W/": {"recipe": "noise", "init_from": start}}, "seed": [0]}
    folder = f"folder:{tmp_path / 'images'}"
    made = study(written(axes=axes, base=base))
    found = plan([made], tmp_path / "out", data_as={"digits": folder, "cifar100": folder})
    assert {place.cell.training.data.data for place in found.places} == {folder}
    with pytest.raises(
        SteadyNetError,
        match="unknown data set of these studies in data_as 'cifar10': did you mean 'cifar100'",
    ):
        plan([made], tmp_path / "out", data_as={"digits": folder, "cifar10": folder})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished cell."""
    out = tmp_path_factory.mktemp("identity") / "out"
    whole = plan([study(written(axes=ONE))], out)
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished"]
    return out


def test_a_test_of_other_weights_is_done_again(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path / "out")
    whole = plan([study(written(axes=ONE))], tmp_path / "out")
    [place] = whole.places
    [path] = place.tests.values()
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "weights": "0" * 16}))
    assert not place.finished()
    rows, missing = rows_of(whole, whole.studies[0], None)
    assert (rows, len(missing)) == ([], 1), "it is no row"
    run(whole, whole.places)
    assert json.loads(path.read_text())["weights"] == held["weights"]
    # Trained anew, it is tested anew.
    (place.folder / "result.json").unlink()
    since = path.stat().st_mtime_ns
    run(whole, whole.places)
    assert path.stat().st_mtime_ns > since


def test_a_training_is_known_by_what_it_is_and_not_by_its_recipes_name(done: Path) -> None:
    axes = {**ONE, "recipe": {"other": {"recipe": "noise-t4", "temperature": 1}}}
    whole = plan([study(written(axes=axes))], done)
    assert whole.places[0].finished()


def test_widths_written_as_1_and_as_1_point_0_are_one_network() -> None:
    folders = {
        cells_of(study(written(axes=ONE, base={**WRITTEN["base"], "model.width": width})))[0].folder("x")
        for width in (1, 1.0)
    }
    assert len(folders) == 1


def test_nothing_new_starts_from_weights_of_another_code_version(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done, tmp_path / "out")
    axes = {"recipe": {"B": {"recipe": "noise", "temperature": 2}}, "sigma_d": [0.1], "seed": [0]}
    later = study(
        written(axes=axes, base={**WRITTEN["base"], "init_from": {"recipe": "noise", "temperature": 1}})
    )
    own = Cell.code
    monkeypatch.setattr(Cell, "code", lambda self: {**own(self), "training.module": "newer"})
    whole = plan([later], tmp_path / "out", other_code="keep")
    ended = {place.cell.points != (): outcome for place, outcome in run(whole, whole.places)}
    assert ended[True].end == "failed"
    assert "starts from a training of another code version" in ended[True].message


def test_a_cell_waits_for_a_start_that_is_not_there(tmp_path: Path) -> None:
    base = {**WRITTEN["base"], "init_from": {"recipe": "vanilla"}}
    whole = plan([study(written(axes=ONE, base=base))], tmp_path)
    child = whole.places[1]
    assert run_cell(Job(child, whole.start(child), whole.out)).end == "waiting"
    assert [outcome.end for _, outcome in run(whole, [child])] == ["waiting"]
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished", "finished"]


def test_a_checkpoint_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    whole = plan([study(written(axes=ONE))], tmp_path)
    [place] = whole.places
    checkpoint = place.folder / "training" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({"a": 1}, checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert [outcome.end for _, outcome in run(whole, whole.places)] == ["finished"]
    assert "set aside as damaged-last.ckpt, and trained anew" in (place.folder / "log.txt").read_text()


def test_labels_with_bars_and_axes_with_equals_signs_can_be_selected(tmp_path: Path) -> None:
    axes = {
        "recipe": {"a|b = c": {"recipe": "noise"}, "a": {"recipe": "vanilla"}, "d": {"recipe": "noise-t4"}},
        "my=axis": {"one": {}, "two": {"lr": 0.002}},
        "seed": [0],
    }
    whole = plan([study(written(axes=axes, base={**WRITTEN["base"], "sigma_d": 0.1}))], tmp_path)

    def chosen(*terms: str) -> list[str]:
        return [
            str(point.labels["recipe"]) for place in select(whole, only=terms) for point in place.cell.points
        ]

    assert chosen("recipe=a|b = c", "my=axis=one") == ["a|b = c"]
    assert chosen("recipe=a|d", "my=axis=two") == ["a", "d"]
    for row in ("recipe=e", "recipe=a|e", "my=axis=three"):
        with pytest.raises(SteadyNetError, match="has no label"):
            chosen(row)


def test_a_label_of_one_of_several_studies_is_enough(tmp_path: Path) -> None:
    other = {**ONE, "recipe": {"other": {"recipe": "noise-t4"}}}
    whole = plan([study(written(axes=ONE, name="x")), study(written(axes=other, name="y"))], tmp_path)
    assert len(select(whole, only=["recipe=other"])) == 1
    assert len(select(whole, only=["recipe=other|W/"])) == 2


def test_options_that_change_numbers_are_refused_beside_a_study(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"options": {"epochs": 2}}, "unknown option that changes no numbers 'epochs'"),
        ({"other_code": "foo"}, "unknown other_code 'foo'"),
        ({"only": "seed=0"}, "only must be a list of terms"),
    ]
    for keys, told in wrong:
        with pytest.raises(SteadyNetError, match=told):
            sn.run_study(written(axes=ONE), out=tmp_path, **keys)
    with pytest.raises(SteadyNetError, match="a study is a YAML file, a mapping or a Study, got 5"):
        sn.run_study(5, out=tmp_path)


def test_only_the_points_that_are_meant_come_back(tmp_path: Path) -> None:
    axes = {"recipe": {"W/O": {"recipe": "vanilla"}}, "sigma_d": [0.1, 0.2], "seed": [0]}
    rows = sn.run_study(written(axes=axes), out=tmp_path, only=["sigma_d=0.2"])
    assert [row["sigma_d"] for row in rows] == [0.2]


@pytest.mark.parametrize("name", ["sigma_d", "model", "data", "epochs"])
def test_null_is_no_value_of_an_option_that_has_none(name: str) -> None:
    with pytest.raises(SteadyNetError, match=f"base: {name} takes .*, got null"):
        study(written(base={name: None}))


def test_images_that_cannot_be_had_fail_their_own_cells_alone(tmp_path: Path) -> None:
    # An archive that is none, where the data set is looked for: nothing is downloaded then.
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiny-imagenet-200.zip").write_text("no archive")
    axes = {"data": ["digits", "tiny-imagenet"], "recipe": {"W/": {"recipe": "noise"}}, "sigma_d": [0.1]}
    base = {key: value for key, value in WRITTEN["base"].items() if key != "data"}
    made = study(written(axes=axes, base={**base, "data_root": str(tmp_path / "data")}))
    whole = plan([made], tmp_path / "out")
    digits, tiny = whole.places
    assert (digits.state(), tiny.state()) == ("waiting", "failed")
    assert "tiny-imagenet-200.zip is no readable archive" in tiny.failure()
    ended = run(whole, whole.places)
    assert [outcome.end for _, outcome in ended] == ["finished", "failed"]
    assert not tiny.folder.exists(), "there is nothing to keep of it"
    rows, missing = rows_of(whole, made, None)
    assert (len(rows), len(missing)) == (1, 1)
    with pytest.raises(SteadyNetError, match="is no readable archive"):
        plan([study(written(axes={**axes, "data": ["tiny-imagenet"]}, base=made.base))], tmp_path / "out")
