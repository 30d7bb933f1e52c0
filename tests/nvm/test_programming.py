"""One tensor programmed: the same as slow arithmetic on the same normals, whatever its shape, layout and dtype."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvm import slow_devices as slow
from steadynet.errors import SteadyNetError
from steadynet.nvm import programming
from steadynet.nvm.device import PATHS, Device
from steadynet.nvm.programming import Target, program_tensor
from steadynet.nvm.quantize import SCALES, Scale, fake_quantize
from steadynet.nvm.variation import Gaussian, StateDependent, Variation

VARIATIONS = [Gaussian(0.2), StateDependent(0.2, 4.0), StateDependent(0.2, 4.0, rule="weight")]


def fresh(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=fresh(seed))


def slow_program(weight: torch.Tensor, device: Device, normals: torch.Tensor) -> torch.Tensor:
    """Weight by weight in Python's floats: W_p = W_d + max|W|/(2^M − 1) · std(code) · normal."""
    m, k, law = device.weight_bits, device.device_bits, device.variation
    std = (
        slow.state_dependent(law.sigma_d, law.factor, law.rule, m, k)
        if isinstance(law, StateDependent)
        else slow.gaussian(law.sigma_d, k)
    )
    by_channel = device.scale == "channel" and weight.dim() > 1
    rows = list(weight) if by_channel else [weight]
    noise = list(normals) if by_channel else [normals]
    held: list[float] = []
    for row, normal in zip(rows, noise, strict=True):
        peak = max(abs(w) for w in row.flatten().tolist())
        unit = peak / (2**m - 1)
        for w, z in zip(row.flatten().tolist(), normal.flatten().tolist(), strict=True):
            code = round(w / unit) if peak else 0
            error = z * slow.error_std(abs(code), m, k, std, device.crossbars == "both")
            held.append((code * unit if device.quantize else w) + error * unit)
    return torch.tensor(held).view(weight.shape)


@pytest.mark.parametrize("shape", [(), (1,), (23,), (1, 67), (49, 1), (3, 4, 5), (5, 2, 3, 3)], ids=str)
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("block", [16, 48, 2**18])
def test_the_fast_path_is_slow_arithmetic_on_its_normals(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], variation: Variation, scale: Scale, block: int
) -> None:
    monkeypatch.setattr(programming, "_BLOCK", block)
    weight = weights(*shape)
    for quantize in (True, False):
        for crossbars in ("both", "one"):
            device = Device(6, 2, variation, quantize, scale, crossbars)
            found = program_tensor(weight, device, fresh())
            expected = slow_program(weight, device, torch.randn(shape, generator=fresh()))
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_tensor_of_many_blocks_is_programmed_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = weights(3, 2**17 + 1)
    for scale in SCALES:
        device = Device(variation=StateDependent(0.2, 4.0), scale=scale)
        in_blocks = program_tensor(weight, device, fresh())
        with monkeypatch.context() as patch:
            patch.setattr(programming, "_BLOCK", 2**30)
            assert torch.equal(in_blocks, program_tensor(weight, device, fresh()))


@pytest.mark.parametrize("shape", [(), (23,), (1, 67), (49, 1), (5, 2, 3, 3)], ids=str)
@pytest.mark.parametrize("variation", [*VARIATIONS, Gaussian(0.0)], ids=repr)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_target_gives_the_very_numbers_of_programming_once(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    variation: Variation,
    path: Any,
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(programming, "_BLOCK", 16)
    weight = weights(*shape).to(dtype)
    for quantize, scale in itertools.product((True, False), SCALES):
        device = Device(6, 2, variation, quantize, scale, path=path)
        target = Target.of(weight, device)
        out = torch.empty_like(weight)
        for seed in (0, 1):
            # Twice into the same memory: what was there does not matter.
            expected = program_tensor(weight, device, fresh(seed))
            assert torch.equal(target.program(fresh(seed), out), expected)
            given = torch.full_like(weight, torch.nan)
            assert program_tensor(weight, device, fresh(seed), given) is given
            assert torch.equal(given, expected)


def test_a_target_writes_half_precision_once_from_float32() -> None:
    weight, device = weights(300, 7), Device(variation=Gaussian(0.2))
    out = torch.empty(300, 7, dtype=torch.bfloat16)
    Target.of(weight, device).program(fresh(), out)
    assert torch.equal(out, program_tensor(weight, device, fresh()).bfloat16())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_errors_depend_on_neither_memory_format_nor_dtype(path: Any, variation: Variation) -> None:
    weight = weights(4, 3, 5, 5)
    device = Device(variation=variation, path=path)
    held = program_tensor(weight, device, fresh())
    last = program_tensor(weight.to(memory_format=torch.channels_last), device, fresh())
    assert torch.equal(last, held)
    assert last.is_contiguous()
    double = program_tensor(weight.double(), device, fresh())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), held, rtol=1e-5, atol=1e-6)
    for dtype in (torch.bfloat16, torch.float16):
        half = weight.to(dtype)
        assert torch.equal(
            program_tensor(half, device, fresh()), program_tensor(half.float(), device, fresh()).to(dtype)
        )


@pytest.mark.parametrize("path", PATHS)
def test_the_same_draw_errs_alike_quantised_or_not(path: Any) -> None:
    weight = weights(20, 30)
    for variation in VARIATIONS:
        device = Device(variation=variation, path=path)
        plain = Device(variation=variation, path=path, quantize=False)
        error = program_tensor(weight, device, fresh()) - fake_quantize(weight, 8)
        torch.testing.assert_close(program_tensor(weight, plain, fresh()) - weight, error, rtol=0, atol=2e-6)


@given(st.integers(-30, 30), st.sampled_from(PATHS), st.sampled_from(SCALES), st.sampled_from(VARIATIONS))
@settings(deadline=None)
def test_scaling_all_weights_scales_what_is_programmed(
    power: int, path: Any, scale: Scale, variation: Variation
) -> None:
    # A power of two changes no rounding, so the equality is exact.
    weight = weights(5, 7)
    device = Device(variation=variation, path=path, scale=scale)
    held = program_tensor(weight, device, fresh())
    assert torch.equal(program_tensor(weight * 2.0**power, device, fresh()), held * 2.0**power)


@given(st.integers(-6, 6), st.sampled_from(PATHS), st.sampled_from(VARIATIONS))
@settings(deadline=None)
def test_errors_of_one_draw_grow_with_sigma(power: int, path: Any, variation: Variation) -> None:
    weight = weights(5, 7).double()
    clean = fake_quantize(weight, 8)
    device = Device(variation=variation, path=path)
    error = program_tensor(weight, device, fresh()) - clean
    other = program_tensor(weight, device.at(0.2 * 2.0**power), fresh()) - clean
    torch.testing.assert_close(other, error * 2.0**power, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_devices_without_error_hold_the_quantised_weight(path: Any, scale: Scale) -> None:
    weight = weights(6, 5)
    for variation in (Gaussian(0), StateDependent(0, 4.0)):
        device = Device(4, 2, variation, scale=scale, path=path)
        assert torch.equal(program_tensor(weight, device, fresh()), fake_quantize(weight, 4, scale))
        plain = Device(4, 2, variation, quantize=False, scale=scale, path=path)
        held = program_tensor(weight, plain, fresh())
        assert torch.equal(held, weight)
        assert held.data_ptr() != weight.data_ptr()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("quantize", [True, False])
def test_the_weight_and_the_global_generator_are_left_alone(path: Any, quantize: bool) -> None:
    weight = weights(6, 5).requires_grad_()
    before, state = weight.detach().clone(), torch.random.get_rng_state()
    held = program_tensor(weight, Device(variation=Gaussian(0.1), path=path, quantize=quantize), fresh())
    assert torch.equal(weight, before)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not held.requires_grad


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
def test_all_zero_weights_are_programmed_without_error(path: Any, variation: Variation) -> None:
    # Errors are in units of max|W|, which is 0.
    assert not program_tensor(torch.zeros(4, 3), Device(variation=variation, path=path), fresh()).any()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variation", VARIATIONS, ids=repr)
@pytest.mark.parametrize("quantize", [True, False])
def test_a_nan_weight_is_never_hidden(path: Any, variation: Variation, quantize: bool) -> None:
    weight = torch.tensor([[1.0, float("nan")], [1.0, 2.0]])
    device = Device(variation=variation, path=path, quantize=quantize)
    assert bool(program_tensor(weight, device, fresh()).isnan().all())
    rows = Device(variation=variation, path=path, quantize=quantize, scale="channel")
    held = program_tensor(weight, rows, fresh())
    assert bool(held[0].isnan().all())
    assert bool(torch.isfinite(held[1]).all())


def test_an_empty_tensor_is_refused() -> None:
    with pytest.raises(SteadyNetError, match=r"\(0, 3\) is empty"):
        program_tensor(torch.zeros(0, 3), Device(variation=Gaussian(0.1)), fresh())
