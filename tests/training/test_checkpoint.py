"""Checkpoints are plain, whole, and refused when they are another's; the history only grows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadynet.errors import SteadyNetError
from steadynet.recipes import Recipe, recipe
from steadynet.training import FitResult, fit
from steadynet.training.callbacks import append_history
from steadynet.training.checkpoints import WholeFileIO, load_checkpoint
from training.small import CPU, DEVICE, images, small_net

COLUMNS = ("epoch", "step", "lr", "loss", "val_accuracy", "val_accuracy_noisy", "seconds")


def train(out: Path, net: nn.Module | None = None, **options: Any) -> FitResult:
    return fit(
        net or small_net(),
        options.pop("recipe", recipe("irs", heads_hidden=4)),
        DEVICE,
        images(16),
        images(8, seed=1),
        hardware=CPU,
        out=out,
        **{"epochs": 1, "batch_size": 8, **options},
    )


def foreign_types(value: Any, where: str = "") -> list[str]:
    """Return where `value` holds anything but plain types and tensors."""
    if isinstance(value, dict):
        keys = [f"{where}: key {key!r}" for key in value if type(key) not in (str, int)]
        return keys + [f for key, item in value.items() for f in foreign_types(item, f"{where}.{key}")]
    if type(value) in (list, tuple):
        return [f for item in value for f in foreign_types(item, where)]
    return (
        [] if value is None or type(value) in (str, int, float, bool, Tensor) else [f"{where}: {type(value)}"]
    )


class Opaque:
    """A user's own objective that holds what a checkpoint must not."""

    def __init__(self) -> None:
        self.where = Path("/somewhere")

    def setup(self, backbone: nn.Module, example: Tensor, seed: int, layout: Any = None) -> nn.Module:
        return nn.Module()

    def check(self, sigma_d: float) -> None: ...

    def loss(self, forwards: Any) -> Tensor:
        return forwards.task_loss(forwards.backbone().output)


@pytest.mark.parametrize(
    "made", [recipe("irs", heads_hidden=4), recipe("ovf", clip=2.0), Recipe(objective=Opaque())]
)
def test_a_checkpoint_holds_plain_types_and_loads_with_weights_only(made: Recipe, tmp_path: Path) -> None:
    result = train(tmp_path / "run", recipe=made, loggers=("csv", "tensorboard"))
    assert result.checkpoint == tmp_path / "run" / "last.ckpt"
    checkpoint = torch.load(result.checkpoint, weights_only=True)
    assert foreign_types(checkpoint) == []
    assert {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "steadynet"} <= checkpoint.keys()
    # IRS's heads are the checkpoint's, never the backbone's.
    assert any(n.startswith("parts.head1.") for n in checkpoint["state_dict"]) == (made.name == "irs")
    assert list(result.model.state_dict()) == list(small_net().state_dict())
    resumed = train(tmp_path / "run", recipe=made, loggers=("csv", "tensorboard"), resume=True)
    assert resumed.best_epoch == result.best_epoch


class Other(nn.Module):
    """Not the small net: one layer renamed, one of another shape, one missing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(4, 6, 5, padding=2)
        self.fc = nn.Linear(6 * 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.relu(self.conv2(torch.relu(self.first(x)))).flatten(1))
        return logits


def test_a_checkpoint_of_another_network_is_refused_by_names(tmp_path: Path) -> None:
    train(tmp_path / "run", recipe=recipe("noise"))
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    net = Other()
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(SteadyNetError) as caught:
        train(tmp_path / "run", net, recipe=recipe("noise"), resume=True)
    message = str(caught.value)
    assert "the checkpoint is of another network" in message
    assert "missing first.weight" in message
    assert "unexpected bn.bias, bn.num_batches_tracked" in message
    assert "conv2.weight is (6, 4, 3, 3), not (6, 4, 5, 5)" in message
    assert "\n" not in message
    assert all(torch.equal(tensor, weights[name]) for name, tensor in net.state_dict().items())
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


def test_a_checkpoint_of_a_version_whose_devices_had_fewer_fields_goes_on(tmp_path: Path) -> None:
    train(tmp_path / "run", recipe=recipe("noise"), epochs=1)
    path = tmp_path / "run" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for name in ("fold_bn", "crossbars"):
        del checkpoint["steadynet"]["device"][name]
    torch.save(checkpoint, path)
    assert train(tmp_path / "run", recipe=recipe("noise"), resume=True).best_epoch >= 0
    # What the field then is, is part of the training all the same.
    checkpoint["steadynet"]["device"]["crossbars"] = "both"
    torch.save(checkpoint, path)
    with pytest.raises(SteadyNetError, match=r"device\.crossbars: 'both' there, 'one' here"):
        train(tmp_path / "run", recipe=recipe("noise"), resume=True)


def test_a_training_goes_on_with_its_own_images_alone(tmp_path: Path) -> None:
    """As many others would pass for them: a folder whose classes were swapped, say."""
    train(tmp_path / "run", recipe=recipe("noise"), epochs=1)
    path = tmp_path / "run" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    own = checkpoint["steadynet"]["images"]
    assert len({*own["checksum"]}) == 2
    checkpoint["steadynet"]["images"] = {"checksum": [own["checksum"][1], own["checksum"][1]]}
    torch.save(checkpoint, path)
    with pytest.raises(SteadyNetError, match=r"of another training \(images\.checksum: "):
        train(tmp_path / "run", recipe=recipe("noise"), resume=True)
    # A version that noted none trained on what it was given.
    del checkpoint["steadynet"]["images"]
    torch.save(checkpoint, path)
    assert train(tmp_path / "run", recipe=recipe("noise"), resume=True).best_epoch >= 0


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run")
    path = tmp_path / "run" / "last.ckpt"
    whole = path.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        whole[:1],
        b"",
        b"no checkpoint at all",
        bytes(200) + whole[200:],
    ):
        path.write_bytes(content)
        with pytest.raises(
            SteadyNetError, match=r"last.ckpt is no readable checkpoint \(\w+\): it may be cut short"
        ):
            train(tmp_path / "run", resume=True)
        assert path.read_bytes() == content, "what is refused is not overwritten"
    for value in ({"state_dict": {}}, [1, 2], {"epoch": 3, "state_dict": small_net().state_dict()}):
        torch.save(value, path)
        with pytest.raises(SteadyNetError, match="is a checkpoint, but not of a SteadyNet training"):
            load_checkpoint(path)
    # A pickle that would run code is not even looked at.
    torch.save({"steadynet": Opaque()}, path)
    with pytest.raises(SteadyNetError, match="no readable checkpoint"):
        load_checkpoint(path)


def test_a_write_that_fails_midway_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeFileIO().save_checkpoint({"steadynet": {}, "n": 1}, path)

    def cut(value: Any, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        WholeFileIO().save_checkpoint({"steadynet": {}, "n": 2}, path)
    assert load_checkpoint(path)["n"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_trainings_write_no_other_files(tmp_path: Path) -> None:
    train(tmp_path / "run", epochs=2, checkpoint_every=1)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["history.csv", "last.ckpt"]
    train(tmp_path / "bare", loggers=())
    assert [p.name for p in (tmp_path / "bare").iterdir()] == ["last.ckpt"]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = fit(
        small_net(), recipe("noise"), DEVICE, images(16), images(8), hardware=CPU, epochs=1, batch_size=8
    )
    assert result.checkpoint is None
    assert list(tmp_path.iterdir()) == []


def test_a_filled_folder_is_refused_and_a_refused_run_costs_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "precious.txt").write_text("kept")
    (out / "last.ckpt").write_text("of an earlier run")
    with pytest.raises(SteadyNetError, match="is not empty"):
        train(out)
    for refused in (
        {"recipe": recipe("irs", taps=["nowhere"])},
        {"recipe": recipe("ovf", delta_sigma=-0.2)},
        {"precision": "16"},
        {"loggers": ("cvs",)},
        {"colour": "red"},
    ):
        with pytest.raises(SteadyNetError):
            train(out, overwrite=True, **refused)  # type: ignore[arg-type]
        assert sorted(p.name for p in out.iterdir()) == ["last.ckpt", "precious.txt"]
    train(out, overwrite=True)
    assert sorted(p.name for p in out.iterdir()) == ["history.csv", "last.ckpt"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def a_row(epoch: int, loss: float) -> dict[str, float]:
    return {**dict.fromkeys(COLUMNS, 0.5), "epoch": epoch, "loss": loss}


def test_history_is_appended_to_and_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    append_history(path, [a_row(0, 3.0)])
    append_history(path, [a_row(0, 3.0), a_row(1, 2.0)])
    assert [(r["epoch"], r["loss"]) for r in rows_of(path)] == [("0", "3.0"), ("1", "2.0")]
    # A run that was killed between its history and its checkpoint comes with fewer rows: none is deleted.
    append_history(path, [a_row(0, 3.0)])
    assert [r["epoch"] for r in rows_of(path)] == ["0", "1"]
    append_history(path, [a_row(0, 3.0), a_row(1, 2.0), a_row(2, 1.0)])
    assert [r["epoch"] for r in rows_of(path)] == ["0", "1", "2"]
    assert list(rows_of(path)[0]) == list(COLUMNS)


def test_the_history_file_is_the_results_history(tmp_path: Path) -> None:
    result = train(tmp_path / "run", epochs=3)
    rows = rows_of(tmp_path / "run" / "history.csv")
    assert [{k: float(v) for k, v in row.items()} for row in rows] == [dict(row) for row in result.history]
    assert [row["epoch"] for row in result.history] == [0, 1, 2]
    assert [row["step"] for row in result.history] == [2, 4, 6]
