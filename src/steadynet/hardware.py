"""What the hardware is, and what it is fast at."""

from __future__ import annotations

import os

import torch

from steadynet.errors import SteadyNetError


def compute_device(asked: str | None, home: torch.device) -> torch.device:
    """Return the device that is asked for: `home` if None, a GPU if there is one for "auto".

    Raises:
        SteadyNetError: If torch knows no such device, or this machine has none.
    """
    if asked is None:
        return home
    if asked == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if found is None else found
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SteadyNetError(
            f"device {asked!r} cannot be used here ({lines[0]}): take 'cpu', or 'auto' for a GPU if there is one"
        ) from error
    return device


def fast_bf16(device: torch.device) -> bool:
    """Return whether `device` multiplies bfloat16 faster than float32, by instructions of its own."""
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16"))
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return False


def free_memory(device: torch.device) -> int:
    """Return how many bytes can still be allocated on `device`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        # No such count on this system: what any machine that trains networks has.
        return 2 * 2**30
