"""What the hardware is: the device that is asked for or one line, fast bfloat16, and memory that is free."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from steadynet.errors import SteadyNetError
from steadynet.hardware import compute_device, fast_bf16, free_memory

CPU = torch.device("cpu")


def test_no_device_asked_for_is_where_the_model_lies() -> None:
    for home in (CPU, torch.device("meta")):
        assert compute_device(None, home) == home


def test_a_device_by_its_name() -> None:
    assert compute_device("cpu", torch.device("meta")) == CPU


@pytest.mark.parametrize("found", [None, torch.device("meta")])
def test_auto_is_a_gpu_if_there_is_one(found: torch.device | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def current(check_available: bool = False) -> torch.device | None:
        asked.append(check_available)
        return found

    monkeypatch.setattr(torch.accelerator, "current_accelerator", current)
    assert compute_device("auto", torch.device("meta")) == (found or CPU)
    assert asked == [True], "one that torch was built for need not be here"


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "cpu:x", "cuda0"])
def test_what_is_not_here_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(
        SteadyNetError, match=rf"^device '{name}' cannot be used here \(.+\): take 'cpu'"
    ) as e:
        compute_device(name, CPU)
    assert "\n" not in str(e.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it needs a machine without CUDA")
def test_cuda_on_a_machine_without_is_refused_in_one_line() -> None:
    with pytest.raises(SteadyNetError, match=r"^device 'cuda' cannot be used here .*'auto' for a GPU") as e:
        compute_device("cuda", CPU)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("message", ["", "no driver\nand many lines\nof advice"])
def test_whatever_torch_says_is_told_by_its_first_line(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError(message)

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(
        SteadyNetError, match=r"^device 'cpu' cannot be used here \((no driver|RuntimeError)\)"
    ):
        compute_device("cpu", CPU)


@pytest.mark.parametrize(
    ("known", "fast"),
    [
        ({}, False),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True}, True),
    ],
)
def test_bf16_is_fast_on_cpus_with_instructions_for_it(
    known: dict[str, Any], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert fast_bf16(CPU) is fast


@pytest.mark.parametrize("native", [True, False])
def test_bf16_that_a_gpu_only_emulates_is_not_fast(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert fast_bf16(torch.device("cuda")) is native


def test_bf16_elsewhere_is_not_taken_to_be_fast() -> None:
    assert not fast_bf16(torch.device("meta"))


def test_free_memory_is_some_of_the_machines() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory(CPU) < total


def test_a_system_that_does_not_tell_is_taken_to_have_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert free_memory(CPU) == 2 * 2**30


def test_free_memory_of_gpus_is_what_their_drivers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(_: torch.device) -> tuple[int, int]:
        return 5, 8

    monkeypatch.setattr(torch.cuda, "mem_get_info", info)
    assert free_memory(torch.device("cuda")) == 5
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 10)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 3)
    assert free_memory(torch.device("mps")) == 7
