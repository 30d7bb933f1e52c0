"""The TensorBoard logger leaves event files with the metrics in them, of a resumed run too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import pytest

from steadynet.errors import SteadyNetError
from steadynet.recipes import recipe
from steadynet.training import FitResult, fit
from training.small import CPU, DEVICE, images, small_net


def train(out: Path | None, resume: bool = False) -> FitResult:
    return fit(
        small_net(),
        recipe("noise"),
        DEVICE,
        images(24),
        images(12),
        hardware=CPU,
        out=out,
        loggers=("csv", "tensorboard"),
        epochs=3,
        batch_size=8,
        resume=resume,
    )


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    tags = cast("list[str]", events.Tags()["scalars"])
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def test_event_files_hold_loss_and_both_accuracies(tmp_path: Path) -> None:
    result = train(tmp_path / "run")
    found = scalars(tmp_path / "run" / "tensorboard")
    assert {"loss", "val_accuracy", "val_accuracy_noisy"} <= found.keys()
    for name in ("val_accuracy", "val_accuracy_noisy"):
        assert [value for _, value in found[name]] == pytest.approx([row[name] for row in result.history])
    losses = [value for _, value in found["loss"]]
    assert len(losses) == 9, "a short training is logged at every step"
    for epoch, row in enumerate(result.history):
        assert sum(losses[3 * epoch : 3 * epoch + 3]) / 3 == pytest.approx(row["loss"], rel=1e-5)
    assert (tmp_path / "run" / "history.csv").exists()


def test_resuming_appends_and_deletes_nothing(tmp_path: Path) -> None:
    train(tmp_path / "run")
    folder = tmp_path / "run" / "tensorboard"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    train(tmp_path / "run", resume=True)
    for name, content in before.items():
        assert (folder / name).read_bytes()[: len(content)] == content
    assert len(scalars(folder)["val_accuracy"]) == 3


def test_it_needs_a_folder_and_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SteadyNetError, match="the tensorboard logger needs a folder"):
        train(None)
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorboard", "tensorboardX")]:
        monkeypatch.delitem(sys.modules, name)
    # Lightning asks which packages are installed, once.
    from pytorch_lightning.loggers import tensorboard as logger

    def absent(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'tensorboard'")

    monkeypatch.setattr(logger.TensorBoardLogger, "__init__", absent)
    with pytest.raises(SteadyNetError, match=r"pip install 'steadynet\[tensorboard\]'"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()
