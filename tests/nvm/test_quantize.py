"""Weights become integers and come back as Eq. 4 says, with gradients that pass straight through."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nvm.slow_devices import ALL_PAIRS
from steadynet.errors import SteadyNetError
from steadynet.nvm.quantize import Scale, fake_quantize, from_codes, lsb, max_abs, to_codes

BITS = sorted({m for m, _ in ALL_PAIRS})
EPS = 2.0**-23  # of float32
# Weights of float32 whose code step is a normal number; smaller ones have a test of their own.
values = st.floats(-1e6, 1e6, width=32).filter(lambda w: w == 0 or abs(w) > 1e-20)
tensors = st.lists(values, min_size=1, max_size=30).map(lambda numbers: torch.tensor(numbers))


@given(tensors, st.sampled_from(BITS))
@settings(deadline=None)
def test_codes_are_the_nearest_integers(weight: torch.Tensor, weight_bits: int) -> None:
    top = 2**weight_bits - 1
    maximum = max_abs(weight)
    codes = to_codes(weight, maximum, weight_bits)
    largest = max(abs(w) for w in weight.tolist())
    assert float(maximum) == largest
    assume(largest > 0)
    for w, n in zip(weight.tolist(), codes.tolist(), strict=True):
        # Exact arithmetic, but for three roundings in float32 (step, its inverse, the product), at most
        # 1.5 ulp of the code.
        exact = Fraction(w) / Fraction(largest) * top
        assert n == int(n)
        assert abs(n) <= top
        assert abs(Fraction(n) - exact) <= Fraction(1, 2) + Fraction(2 * EPS) * abs(exact)
        if abs(w) == largest:
            assert n == (top if w > 0 else -top)


@given(tensors, st.sampled_from(BITS))
@settings(deadline=None)
def test_rounding_errs_by_half_a_step_at_most(weight: torch.Tensor, weight_bits: int) -> None:
    held = fake_quantize(weight, weight_bits).double()
    largest = float(weight.abs().max())
    bound = largest / (2**weight_bits - 1) / 2 + 4 * EPS * largest
    assert float((held - weight.double()).abs().max()) <= bound


@given(tensors, st.sampled_from(BITS))
@settings(deadline=None)
def test_quantising_is_odd_and_keeps_the_order(weight: torch.Tensor, weight_bits: int) -> None:
    maximum = max_abs(weight)
    codes = to_codes(weight, maximum, weight_bits)
    assert torch.equal(to_codes(-weight, maximum, weight_bits), -codes)
    order = weight.argsort()
    assert bool((codes[order].diff() >= 0).all())


@pytest.mark.parametrize("weight_bits", BITS)
@pytest.mark.parametrize("maximum", [1.0, 0.1, 3.7e-9, 12345.678])
def test_every_code_comes_back_from_its_weight(weight_bits: int, maximum: float) -> None:
    top = 2**weight_bits - 1
    codes = torch.arange(-top, top + 1, dtype=torch.float32)
    peak = torch.tensor(maximum)
    weight = from_codes(codes, peak, weight_bits)
    assert torch.equal(to_codes(weight, peak, weight_bits), codes)
    assert torch.equal(to_codes(weight, max_abs(weight), weight_bits), codes)


@given(st.floats(2.0**-60, 2.0**60, width=32), st.sampled_from(BITS), st.data())
@settings(deadline=None)
def test_a_code_comes_back_at_any_maximum(maximum: float, weight_bits: int, data: st.DataObject) -> None:
    top = 2**weight_bits - 1
    code = torch.tensor(float(data.draw(st.integers(-top, top))))
    peak = torch.tensor(maximum)
    assert torch.equal(to_codes(from_codes(code, peak, weight_bits), peak, weight_bits), code)


def test_a_quantised_tensor_is_its_own_quantisation() -> None:
    weight = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    once = fake_quantize(weight, 8)
    assert torch.equal(to_codes(once, max_abs(once), 8), to_codes(weight, max_abs(weight), 8))
    assert len(once.unique()) <= 2 * 255 + 1


def test_ties_round_to_even() -> None:
    weight = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 15.0])
    assert to_codes(weight, max_abs(weight), 4).tolist() == [0, 2, 2, 0, -2, 15]


@pytest.mark.parametrize("shape", [(4, 3), (5, 2, 3, 3), (3, 2, 2)])
def test_a_channels_scale_is_that_of_its_rows(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    weight[1] *= 50
    weight[2] = 0
    maximum = max_abs(weight, "channel")
    assert maximum.shape == (shape[0], *[1] * (len(shape) - 1))
    codes = to_codes(weight, maximum, 6)
    for row, peak, found in zip(weight, maximum, codes, strict=True):
        assert float(peak) == float(row.abs().max())
        assert torch.equal(found, to_codes(row, max_abs(row), 6))
    assert not codes[2].any()


@pytest.mark.parametrize("shape", [(), (7,)])
def test_a_tensor_without_channels_has_one_maximum(shape: tuple[int, ...]) -> None:
    weight = torch.full(shape, -2.0)
    assert max_abs(weight, "channel").shape == ()
    assert float(max_abs(weight, "channel")) == 2.0


@pytest.mark.parametrize("scale", ["tensor", "channel"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_passes_exactly(scale: Scale, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(6, 5, generator=generator, dtype=dtype, requires_grad=True)
    upstream = torch.randn(6, 5, generator=generator, dtype=dtype)
    held = fake_quantize(weight, 3, scale)
    assert not torch.equal(held, weight), "it does quantise"
    held.backward(upstream)
    assert weight.grad is not None
    assert torch.equal(weight.grad, upstream)


@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_zeros_stay_zeros_and_still_learn(scale: Scale) -> None:
    weight = torch.zeros(3, 4, requires_grad=True)
    held = fake_quantize(weight, 8, scale)
    assert not held.any()
    held.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones(3, 4))


@pytest.mark.parametrize("size", [1e-38, 1e-40, 1e-45])
@pytest.mark.parametrize("weight_bits", [1, 8, 16])
def test_the_tiniest_weights_become_no_nan(size: float, weight_bits: int) -> None:
    weight = torch.tensor([0.0, size, -size])
    held = fake_quantize(weight, weight_bits)
    assert bool(torch.isfinite(held).all())
    assert float((held - weight).abs().max()) <= float(weight.max())


def test_a_nan_is_never_hidden() -> None:
    weight = torch.tensor([[1.0, float("nan")], [1.0, 2.0]])
    assert bool(torch.isnan(max_abs(weight)))
    assert bool(fake_quantize(weight, 8).isnan().all())
    held = fake_quantize(weight, 8, "channel")
    assert bool(held[0].isnan().all())
    assert held[1].tolist() == pytest.approx([1.0, 2.0], abs=2 / 255 / 2 * 1.001)


@given(st.sampled_from(BITS))
@settings(deadline=None)
def test_a_step_is_the_maximum_over_the_top_code(weight_bits: int) -> None:
    assert float(lsb(torch.tensor(1.0, dtype=torch.float64), weight_bits)) == 1 / (2**weight_bits - 1)


def test_bad_tensors_and_scales_are_refused() -> None:
    with pytest.raises(SteadyNetError, match=r"shape \(0, 3\) is empty"):
        max_abs(torch.zeros(0, 3))
    with pytest.raises(SteadyNetError, match="scale must be one of tensor, channel, tile, got 'row'"):
        max_abs(torch.ones(2), cast("Scale", "row"))
