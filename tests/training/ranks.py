"""What each process of a distributed training runs, and what it leaves for the test to compare.

python ranks.py OUT RECIPE…      (by torchrun, or once with DEVICES in the environment: Lightning starts the rest)
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from recipes.reference import Net, make_batch, make_net
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import Device
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import Clip, Recipe, recipe
from steadynet.training import FitResult, Hardware, Settings, fit
from steadynet.training.callbacks import Keeper

# 22 images in batches of 8: two whole batches and one of 6.
SETTINGS = Settings(epochs=3, batch_size=8, lr=0.05, optimizer="sgd", seed=2, val_draws=2, checkpoint_every=2)

LEAN = " lean"


class Recorder(Clip):
    """Clipping that keeps each step's gradients and chip; it describes itself as clipping does."""

    gradients: list[dict[str, Tensor]]

    def project(self, weights: Mapping[str, Tensor], progress: float, state: nn.Module) -> None:
        self.gradients.append(
            {n: weight.grad.clone() for n, weight in weights.items() if weight.grad is not None}
        )
        super().project(weights, progress, state)


def train(
    name: str, hardware: Hardware, out: Path | None, net: Net | None = None, resume: bool = False
) -> dict[str, Any]:
    """Train the reference's net in float64, and return all that ranks and processes should agree on."""
    recorder = Recorder(2.5)
    object.__setattr__(recorder, "gradients", [])
    base = recipe(name.removesuffix(LEAN), **({"beta": 0.1} if name.startswith(("ovf", "irs")) else {}))
    if name.endswith(LEAN):
        base = base.replace(memory="lean")
    if name == "irs":
        base = base.replace(heads_hidden=5)
    made = Recipe(base.variation, base.objective, recorder, base.step, name)
    net = net or make_net(batchnorm=False)
    chips: list[Tensor] = []

    def watch(*_: Any) -> None:
        if net.training and torch.is_grad_enabled():
            chips.append(net.conv2.weight.detach().clone())

    handle = net.conv2.register_forward_pre_hook(watch)
    device = Device(variation=Gaussian(0.1))
    result: FitResult = fit(
        net,
        made,
        device,
        make_batch(22),
        make_batch(10, seed=1),
        settings=SETTINGS,
        hardware=hardware,
        out=out,
        loggers=("csv",) if out is None else ("csv", "tensorboard"),
        resume=resume,
    )
    handle.remove()
    return {
        "gradients": recorder.gradients,
        "chips": chips,
        "state": {key: tensor.clone() for key, tensor in net.state_dict().items()},
        "accuracy": [[row["val_accuracy"], row["val_accuracy_noisy"]] for row in result.history],
        "loss": [row["loss"] for row in result.history],
        "best": [float(result.best_epoch), result.best_accuracy],
    }


class KilledError(Exception):
    """Stands for a kill right after a checkpoint."""


def killed_and_resumed(name: str, hardware: Hardware, out: Path) -> dict[str, Any]:
    """Train, die right after the checkpoint in the middle of the second epoch, and resume with other weights."""
    save = Keeper._save

    def save_and_die(self: Keeper, trainer: pl.Trainer) -> None:
        save(self, trainer)
        if trainer.global_step == 4:
            raise KilledError

    Keeper._save = save_and_die
    try:
        train(name, hardware, out)
        raise AssertionError("it was not killed")
    except KilledError:
        pass
    finally:
        Keeper._save = save
    return train(name, hardware, out, make_net(seed=5, batchnorm=False), resume=True)


def with_an_unused_layer() -> Net:
    """Return the net with a layer that its forward leaves out, as networks have that were trained for another task."""
    net = make_net(batchnorm=False)
    net.add_module("pooler", nn.Linear(2, 2).double())
    return net


def main() -> None:
    warnings.filterwarnings("error", message=".*sync_dist.*")
    out = Path(sys.argv[1])
    hardware = Hardware(accelerator="cpu", devices=os.environ.get("DEVICES", "auto"))

    def leave(name: str, value: Any) -> None:
        torch.save(value, out / f"{name}.{torch.distributed.get_rank()}.pt")

    for name in sys.argv[2:]:
        leave(name, train(name, hardware, out / name))
    if len(sys.argv) > 3:
        leave("resumed", killed_and_resumed("irs", hardware, out / "resumed"))
        # With BatchNorm each rank has its own batch statistics, and the state at the end must be one all the same.
        leave("batchnorm", train("ovf", hardware, out / "batchnorm", make_net())["state"])
        leave("unused", train("noise", hardware, out / "unused", with_an_unused_layer())["state"])
        try:
            train("noise", replace(hardware, strategy="ddp"), out / "refused", with_an_unused_layer())
        except SteadyNetError as error:
            leave("refused", str(error))


if __name__ == "__main__":
    main()
