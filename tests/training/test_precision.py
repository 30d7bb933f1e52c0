"""Precision and memory format: what runs on a CPU, what is refused there, and how far results agree."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from steadynet.errors import SteadyNetError
from steadynet.recipes import RECIPES, recipe
from steadynet.training import FitResult, Hardware, fit
from training.small import CPU, DEVICE, images, small_net


def train(name: str = "noise", **options: Any) -> FitResult:
    return fit(
        options.pop("net", None) or small_net(),
        # A stride is that of Adam.
        recipe(name, stride=None) if name == "steady" else recipe(name),
        DEVICE,
        images(24),
        images(12),
        hardware=options.pop("hardware", CPU),
        **{"epochs": 1, "batch_size": 8, "optimizer": "sgd", "lr": 1e-2, **options},
    )


def weights(result: FitResult) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in result.model.parameters()])


def test_half_precision_is_refused_without_a_gpu() -> None:
    with pytest.raises(SteadyNetError, match="precision '16' works on GPUs only: take bf16 or 32 bits here"):
        train(precision="16")
    if not torch.cuda.is_available():
        with pytest.raises(SteadyNetError, match="precision '16' works on GPUs only"):
            train(precision="16", hardware=Hardware())
    with pytest.raises(SteadyNetError, match="unknown precision '8': known: 16, 32, bf16"):
        train(precision="8")


@pytest.mark.parametrize("name", RECIPES)
def test_bf16_trains_fp32_weights_to_about_the_same(name: str) -> None:
    single, half = train(name), train(name, precision="bf16")
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}
    start = torch.cat([p.detach().flatten() for p in small_net().parameters()])
    moved = weights(single) - start
    assert float(moved.norm()) > 0.01
    # bf16 keeps 8 bits: the way that three steps go is the same to some per cent, and not bit by bit.
    assert 0 < float((weights(half) - weights(single)).norm()) < 0.1 * float(moved.norm())


@pytest.mark.parametrize("name", ["noise", "ovf", "irs"])
def test_channels_last_gives_the_same_to_rounding(name: str) -> None:
    # Without dropout, which draws in the order of memory.
    seen: list[bool] = []

    def watch(module: torch.nn.Module, args: tuple[torch.Tensor]) -> None:
        if module.training:
            # The images' one channel is contiguous in both formats: the second convolution's input tells.
            seen.append(args[0].is_contiguous(memory_format=torch.channels_last))

    net = small_net()
    net.dropout.p = 0.0
    plain = train(name, net=copy.deepcopy(net))
    net.conv2.register_forward_pre_hook(watch)
    last = train(name, net=net, channels_last=True)
    assert len(seen) == (12 if name == "ovf" else 3)
    assert all(seen)
    torch.testing.assert_close(weights(last), weights(plain), rtol=1e-4, atol=1e-5)
    assert last.history[0]["val_accuracy_noisy"] == pytest.approx(
        plain.history[0]["val_accuracy_noisy"], abs=0.1
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_hardware_that_is_not_here_is_refused() -> None:
    with pytest.raises(SteadyNetError, match=r"Hardware\(accelerator='gpu'.* cannot be used here: "):
        train(hardware=Hardware(accelerator="gpu"))
