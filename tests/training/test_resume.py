"""A training that was killed at any step ends with the very state of one that was not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from steadynet.data.imageset import ImageSet
from steadynet.errors import SteadyNetError
from steadynet.recipes import recipe
from steadynet.training import FitResult, Settings, fit
from steadynet.training.callbacks import Keeper
from training.small import CPU, DEVICE, differences, images, kept, read, small_net

# 36 images in batches of 8 are 5 batches an epoch; with accumulate=2 the last one steps alone.
CASES: dict[str, tuple[str, dict[str, Any], Settings]] = {
    "adam, accumulated, OVF": (
        "ovf",
        {"beta": 0.1, "n": 2},
        Settings(epochs=3, batch_size=8, lr=1e-2, accumulate=2, checkpoint_every=1, val_draws=2, seed=3),
    ),
    "momentum, IRS with heads, clipped": (
        "irs",
        {"beta": 0.1, "clip": 2.0, "heads_hidden": 8},
        Settings(
            epochs=2,
            batch_size=8,
            lr=3e-2,
            optimizer="sgd",
            weight_decay=1e-3,
            gradient_clip=1.0,
            checkpoint_every=1,
            val_draws=2,
        ),
    ),
}


def train(case: str, out: Path, resume: bool = False, net_seed: int = 0) -> FitResult:
    name, options, settings = CASES[case]
    return fit(
        small_net(net_seed),
        recipe(name, **options),
        DEVICE,
        images(36, augmented=True),
        images(12, seed=1),
        settings=settings,
        hardware=CPU,
        out=out,
        resume=resume,
    )


@pytest.mark.parametrize("case", CASES)
def test_resuming_at_every_step_ends_in_the_uninterrupted_state(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    copies: list[Path] = []
    save = Keeper._save

    def save_and_copy(self: Keeper, trainer: pl.Trainer) -> None:
        # What a kill -9 right after this save would leave.
        save(self, trainer)
        copies.append(tmp_path / f"killed{len(copies)}")
        shutil.copytree(whole, copies[-1])

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "_save", save_and_copy)
        expected = train(case, whole)
    settings = CASES[case][2]
    steps = -(-5 // settings.accumulate)
    assert len(copies) == steps * settings.epochs, "one checkpoint a step, the last of an epoch at its end"
    final = read(whole / "last.ckpt")
    for killed in copies:
        # A fresh process has other initial weights: all must come from the checkpoint.
        result = train(case, killed, resume=True, net_seed=99)
        assert differences(read(killed / "last.ckpt"), final) == [], killed.name
        assert kept(result) == kept(expected), killed.name
        assert (result.best_epoch, result.best_accuracy) == (expected.best_epoch, expected.best_accuracy)
        assert differences(dict(result.model.state_dict()), dict(expected.model.state_dict())) == []
        rows = [line.rpartition(",")[0] for line in (killed / "history.csv").read_text().splitlines()]
        assert rows == [line.rpartition(",")[0] for line in (whole / "history.csv").read_text().splitlines()]


class KilledError(Exception):
    """Stands for a kill right after a checkpoint."""


def test_a_training_may_be_killed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = "adam, accumulated, OVF"
    expected = train(case, tmp_path / "whole")
    save = Keeper._save

    def save_and_die(self: Keeper, trainer: pl.Trainer) -> None:
        save(self, trainer)
        raise KilledError

    kills = 0
    monkeypatch.setattr(Keeper, "_save", save_and_die)
    while kills < 9:
        with pytest.raises(KilledError):
            train(case, tmp_path / "killed", resume=kills > 0, net_seed=kills)
        kills += 1
    monkeypatch.setattr(Keeper, "_save", save)
    result = train(case, tmp_path / "killed", resume=True)
    assert kept(result) == kept(expected)
    assert differences(read(tmp_path / "killed" / "last.ckpt"), read(tmp_path / "whole" / "last.ckpt")) == []


class Jittered(Dataset[Any]):
    """A data set with transforms of its own, which draw from the global generator."""

    def __init__(self, base: ImageSet) -> None:
        self.base = base

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, label = self.base[index]
        return image + 0.3 * torch.randn(image.shape), label


def test_a_users_own_random_transforms_resume_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_jittered(out: Path, resume: bool = False) -> FitResult:
        return fit(
            small_net(),
            recipe("noise"),
            DEVICE,
            Jittered(images(24)),
            images(12, seed=1),
            hardware=CPU,
            out=out,
            resume=resume,
            epochs=2,
            batch_size=8,
            checkpoint_every=1,
        )

    expected = train_jittered(tmp_path / "whole")
    save = Keeper._save
    saves: list[int] = []

    def save_and_die(self: Keeper, trainer: pl.Trainer) -> None:
        save(self, trainer)
        saves.append(trainer.global_step)
        if len(saves) == 2:
            raise KilledError

    monkeypatch.setattr(Keeper, "_save", save_and_die)
    with pytest.raises(KilledError):
        train_jittered(tmp_path / "killed")
    assert kept(train_jittered(tmp_path / "killed", resume=True)) == kept(expected)


def test_resuming_a_finished_training_gives_its_result_again(tmp_path: Path) -> None:
    case = "adam, accumulated, OVF"
    expected = train(case, tmp_path / "run")
    again = train(case, tmp_path / "run", resume=True, net_seed=5)
    assert kept(again) == kept(expected)
    assert again.best_epoch == expected.best_epoch
    assert differences(dict(again.model.state_dict()), dict(expected.model.state_dict())) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.5}, r"the checkpoint is of another training \(settings.lr: 0.001 there, 0.5 here\)"),
        ({"epochs": 3, "seed": 4}, r"settings.epochs: 1 there, 3 here; settings.seed: 0 there, 4 here"),
    ],
)
def test_other_settings_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    def short(resume: bool, **settings: Any) -> FitResult:
        return fit(
            small_net(),
            recipe("noise"),
            DEVICE,
            images(16),
            images(8, seed=1),
            hardware=CPU,
            out=tmp_path / "run",
            resume=resume,
            **{"epochs": 1, "batch_size": 8, **settings},
        )

    short(resume=False)
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    with pytest.raises(SteadyNetError, match=message):
        short(resume=True, **changes)
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


def test_another_recipe_device_or_data_is_refused_and_the_model_untouched(tmp_path: Path) -> None:
    out = tmp_path / "run"

    def short(
        name: str = "noise", device: Any = DEVICE, count: int = 16, resume: bool = True, **o: Any
    ) -> Any:
        net = small_net(seed=8)
        before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
        try:
            return fit(
                net,
                recipe(name, **o),
                device,
                images(count),
                images(8, seed=1),
                hardware=CPU,
                out=out,
                resume=resume,
                epochs=1,
                batch_size=8,
            )
        except SteadyNetError:
            assert differences(before, dict(net.state_dict())) == []
            raise

    short(resume=False)
    with pytest.raises(SteadyNetError, match=r"recipe.name: 'noise' there, 'ovf' here; recipe.objective"):
        short("ovf")
    with pytest.raises(SteadyNetError, match=r"recipe.objective: .*'temperature': 1.0.*'temperature': 2.0"):
        short(temperature=2.0)
    with pytest.raises(
        SteadyNetError, match=r"device.variation: \{'sigma_d': 0.1\} there, \{'sigma_d': 0.2\} here"
    ):
        short(device=DEVICE.at(0.2))
    with pytest.raises(SteadyNetError, match=r"train_images.value: 16 there, 24 here"):
        short(count=24)


def test_resuming_needs_a_checkpoint_and_a_folder(tmp_path: Path) -> None:
    arguments: Any = (small_net(), recipe("noise"), DEVICE, images(16), images(8))
    with pytest.raises(SteadyNetError, match=r"there is no checkpoint .*last.ckpt: nothing to resume"):
        fit(*arguments, hardware=CPU, out=tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(SteadyNetError, match="resume needs the folder"):
        fit(*arguments, hardware=CPU, resume=True)
