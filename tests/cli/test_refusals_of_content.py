"""What only a network, its weights or the images can show is refused in one line, before it costs an earlier result."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from steadynet.cli.main import main
from steadynet.models import build

NETS = """
import torch
from torch import nn

class Flat(nn.Sequential):
    def __init__(self, classes=10, inputs=64):
        super().__init__(nn.Flatten(), nn.Linear(inputs, classes))

class NoWeights(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.BatchNorm1d(64))

class Maps(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 10, 3))

class Nan(Flat):
    def __init__(self):
        super().__init__()
        self[1].weight.data[3, 4] = float("nan")

class Late(Flat):
    "Its logits are NaN from the 30th training forward on."
    seen = 0
    def forward(self, x):
        y = super().forward(x)
        if self.training:
            Late.seen += 1
            y = y * float("nan") if Late.seen >= 30 else y
        return y

class Boom(Flat):
    def __init__(self, how="value"):
        raise {"value": ValueError, "overflow": RuntimeError}[how](how + " went wrong\\nfrom here\\nand there")

recipe = 3
"""
TRAIN = (
    "train --model cnn --model.width 0.25 --train-images 200 --no-progress --epochs 2 --out old --overwrite"
)
LOOK = "--model cnn --model.width 0.25"


def cnn_state(width: float = 0.25) -> dict[str, torch.Tensor]:
    net = build("cnn", classes=10, shape=(1, 8, 8), options={"width": width})
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), 100).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's folder: networks, an earlier result, weights of all kinds, image folders. It is the current one."""
    folder = tmp_path_factory.mktemp("content")
    (folder / "content_nets.py").write_text(NETS)
    (folder / "content_broken.py").write_text("class Net(\n")
    (folder / "content_name.py").write_text("nothing_of_that_name\n")
    (folder / "old").mkdir()
    (folder / "old" / "result.json").write_text("an earlier result")
    (folder / "text.pt").write_text("no weights")
    good = cnn_state()
    save_file(good, folder / "good.safetensors")
    whole = (folder / "good.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    nan = cnn_state()
    nan["fc1.weight"][0, 0] = float("nan")
    save_file(nan, folder / "nan.safetensors")
    renamed = {("fc3.bias" if name == "fc2.bias" else name): tensor for name, tensor in good.items()}
    save_file(renamed, folder / "renamed.safetensors")
    for name in ("a", "b"):
        for split in ("train", "test"):
            for number in range(4):
                image(folder / "images" / split / name / f"{number}.png")
                image(folder / "unequal" / split / (name if split == "train" else name * 2) / f"{number}.png")
                image(folder / "corrupt" / split / name / f"{number}.png")
    (folder / "corrupt" / "train" / "a" / "1.png").write_bytes(b"no image")
    image(folder / "empty" / "train" / "a" / "0.png")
    image(folder / "empty" / "test" / "a" / "0.png")
    (folder / "empty" / "train" / "b").mkdir()
    (folder / "empty" / "test" / "b").mkdir()
    image(folder / "alone" / "train" / "a" / "0.png")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def tree(folder: Path) -> dict[str, bytes | None]:
    found = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


CASES = [
    # Networks.
    (TRAIN.replace(LOOK, "--model content_nets.NoWeights"), "NoWeights has no weight that lies on devices"),
    (TRAIN.replace(LOOK, "--model content_nets.Maps"), "Maps must return logits [images, classes], got (2, 10, 6, 6)"),
    (TRAIN.replace(LOOK, "--model content_nets.Nan"), "1.weight of Nan holds 1 NaN or infinite values"),
    (TRAIN.replace(LOOK, "--model content_nets.Non"), "unknown name in module content_nets 'Non': did you mean 'Nan'"),
    (TRAIN.replace(LOOK, "--model content_none.Net"), "model 'content_none.Net' cannot be imported"),
    (TRAIN.replace(LOOK, "--model content_broken.Net"), "model 'content_broken.Net' cannot be imported: SyntaxError: "),
    (TRAIN.replace(LOOK, "--model content_nets.recipe"), "which cannot be called"),
    (f"{TRAIN} --recipe content_nets.recipe", "recipe content_nets.recipe must be a steadynet.Recipe, got 3"),
    (f"{TRAIN} --recipe content_nets.other", "content_nets has no 'other'"),
    (TRAIN.replace(LOOK, "--model content_name.Net"), "cannot be imported: NameError: name 'nothing_of_that_name'"),
    (f"{TRAIN} --recipe content_name.mine", "cannot import content_name (NameError: name 'nothing_of_that_name'"),
    (TRAIN.replace(LOOK, "--model content_nets.Boom"), "cannot be made with {}: ValueError: value went wrong"),
    (TRAIN.replace(LOOK, "--model content_nets.Boom --model.how overflow"), "does not fit into memory: lower its width"),
    (f"{TRAIN} --model.width -1", "width must be a finite number > 0, got -1"),
    (f"{TRAIN} --model.width x", "width must be a finite number > 0, got 'x'"),
    # Labels outside the classes, and images that the network does not take.
    (TRAIN.replace(LOOK, "--model content_nets.Flat --model.classes 7"), "Flat gives 7 logits, but digits has 10"),
    (TRAIN.replace(LOOK, "--model content_nets.Flat --size 16"), "Flat does not take images of 1×16×16"),
    (f"evaluate good.safetensors {LOOK} --channels 3 --out old --overwrite", "of another network than CNN"),
    # Taps.
    (f"{TRAIN} --recipe irs --taps nowhere", "unknown IRS tap 'nowhere'"),
    (f"{TRAIN} --recipe irs --taps features.0 fc1", "IRS tap 'fc1' gives (2, 32), no feature map"),
    (f"{TRAIN} --recipe irs --n 9", "IRS asks for n = 9 taps, CNN has"),
    (TRAIN.replace(LOOK, "--model content_nets.Flat") + " --recipe irs", "IRS finds no convolution that runs in Flat"),
    (
        f"compare {LOOK} --recipes noise irs --recipe.irs.taps nowhere --no-progress --out old --overwrite",
        "unknown IRS tap 'nowhere'",
    ),
    # Images.
    (f"{TRAIN} --data folder:unequal", "other class folders"),
    (f"{TRAIN} --data folder:corrupt", "1.png is no readable image"),
    (f"{TRAIN} --data folder:empty", "holds no image"),
    (f"{TRAIN} --data folder:alone", "neither test nor val beside it"),
    (f"{TRAIN} --data folder:old", "/old, which is read: give another folder"),
    (
        f"train --data folder:images {LOOK} --no-progress --out images/run",
        "/images, whose folders are classes of images: give a folder outside of it",
    ),
    (
        f"compare --data folder:images {LOOK} --no-progress --out images/deep/run",
        "output folder images/deep/run lies in ",
    ),
    (f"evaluate good.safetensors {LOOK} --data folder:images --out images/run", "output folder images/run lies in "),
    ("train --data folder:old --model cnn --no-progress --out elsewhere", "holds no class folders"),
    (f"{TRAIN} --train-images 99999", "cannot take 99999"),
    (f"{TRAIN} --train-images 1", "validation split: cannot take 1 of 1"),
    (f"{TRAIN} --test-images 99999", "cannot take 99999"),
    # Weights.
    (f"{TRAIN} --init text.pt", "text.pt is no readable file of weights"),
    (f"{TRAIN} --init cut.safetensors", "cut.safetensors is no readable file of weights"),
    (f"{TRAIN} --init nan.safetensors", "fc1.weight of CNN holds 1 NaN or infinite values"),
    (f"{TRAIN} --init renamed.safetensors", "missing fc2.bias; unexpected fc3.bias"),
    (f"{TRAIN} --init good.safetensors --model.width 0.5", "fc1.bias is (32,), not (64,)"),
    (f"evaluate text.pt {LOOK} --out old --overwrite", "text.pt is no readable file of weights"),
    (f"evaluate nan.safetensors {LOOK} --draws 2 --no-progress --out old --overwrite", "fc1.weight of CNN holds 1 NaN"),
    (f"evaluate renamed.safetensors {LOOK}", "missing fc2.bias; unexpected fc3.bias"),
    (f"export nan.safetensors {LOOK} --out old --overwrite", "fc1.weight of CNN holds 1 NaN"),
    (f"export cut.safetensors {LOOK} --out old --overwrite", "cut.safetensors is no readable file of weights"),
    (f"export good.safetensors {LOOK} --model.width 1 --out old --overwrite", "of another network than CNN"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), CASES, ids=[told[:50] for _, told in CASES])
def test_refused_in_one_line_and_nothing_is_lost(
    line: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(folder)
    assert main(shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert error.startswith("steadynet: error: ")
    assert told in error
    assert error.count("\n") == 1
    assert tree(folder) == before


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        (
            "steadynet.data",
            "load",
            "data set digits does not fit into memory: lower --size or --train-images",
        ),
        ("steadynet.models", "build", "model cnn does not fit into memory: lower its width"),
    ],
)
def test_a_want_of_memory_is_told(
    module: str, name: str, told: str, folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The allocator's answer is stood in for: some systems promise any memory, and kill who uses it."""

    def too_much(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(f"{module}.{name}", too_much)
    assert told in refused(TRAIN, capsys)


def test_a_loss_that_becomes_nan_stops_at_its_step_and_keeps_the_last_good_checkpoint(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """180 images in batches of 18: ten steps an epoch, so that the 30th forward is the 10th step of epoch 3."""
    out = tmp_path / "run"
    words = f"train --model content_nets.Late --train-images 200 --batch-size 18 --epochs 5 --no-progress --out {out}"
    error = refused(f"{words} --recipe vanilla", capsys)
    assert "the loss is nan at step 29 (epoch 2, batch 9)" in error
    checkpoint: dict[str, Any] = torch.load(out / "training" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 20, "that of the last epoch's end"
    assert all(
        bool(torch.isfinite(t).all()) for t in checkpoint["state_dict"].values() if t.is_floating_point()
    )
    assert not (out / "backbone.safetensors").exists()


def test_a_checkpoint_that_is_cut_or_foreign_is_not_carried_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*shlex.split(TRAIN.replace("--out old --overwrite", f"--out {out}")), "--epochs", "1"]) == 0
    (out / "backbone.safetensors").unlink()  # As if it had been cut off before its end.
    checkpoint = out / "training" / "last.ckpt"
    whole = checkpoint.read_bytes()
    changes: list[tuple[Callable[[], object], str]] = [
        (lambda: checkpoint.write_bytes(whole[: len(whole) // 2]), "is no readable checkpoint"),
        (lambda: checkpoint.write_bytes(b""), "is no readable checkpoint"),
        (lambda: torch.save({"state_dict": {}}, checkpoint), "not of a SteadyNet training"),
    ]
    for change, told in changes:
        change()
        content = checkpoint.read_bytes()
        assert told in refused(f"train --out {out} --resume", capsys)
        assert checkpoint.read_bytes() == content
    checkpoint.write_bytes(whole)
    assert main(["train", "--out", str(out), "--resume"]) == 0
    assert load_file(out / "backbone.safetensors").keys() == cnn_state().keys()
