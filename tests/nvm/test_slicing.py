"""Bit slices and sign crossbars hold the very bits of a code, and give the code back exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvm.slow_devices import ALL_PAIRS, SMALL_PAIRS, bits, levels
from steadynet.errors import SteadyNetError
from steadynet.nvm.device import CROSSBARS, Device
from steadynet.nvm.slicing import (
    Crossbars,
    check_bits,
    from_crossbars,
    join_levels,
    slice_levels,
    to_crossbars,
)


def every_code(weight_bits: int) -> torch.Tensor:
    top = 2**weight_bits - 1
    return torch.arange(-top, top + 1, dtype=torch.float32)


@pytest.mark.parametrize(("weight_bits", "device_bits"), SMALL_PAIRS)
def test_levels_are_the_bits_of_every_code(weight_bits: int, device_bits: int) -> None:
    codes = every_code(weight_bits)
    found = slice_levels(codes, weight_bits, device_bits)
    assert found.dtype == torch.int64
    assert found.shape == (weight_bits // device_bits, len(codes))
    assert found.T.tolist() == [levels(abs(int(code)), weight_bits, device_bits) for code in codes]


@pytest.mark.parametrize("weight_bits", range(1, 17))
def test_one_bit_devices_hold_the_binary_digits(weight_bits: int) -> None:
    step = max(1, 2**weight_bits // 300)
    magnitudes = [*range(0, 2**weight_bits, step), 2**weight_bits - 1]
    found = slice_levels(torch.tensor(magnitudes), weight_bits, 1)
    assert found.T.tolist() == [bits(n, weight_bits) for n in magnitudes]
    assert found[:, -1].tolist() == [1] * weight_bits


@pytest.mark.parametrize(("weight_bits", "device_bits"), SMALL_PAIRS)
def test_every_code_comes_back_from_its_slices_and_crossbars(weight_bits: int, device_bits: int) -> None:
    codes = every_code(weight_bits)
    joined = join_levels(slice_levels(codes, weight_bits, device_bits), device_bits)
    assert torch.equal(joined, codes.abs().long())
    for mapping in CROSSBARS:
        crossbars = to_crossbars(codes, Device(weight_bits, device_bits, crossbars=mapping))
        assert torch.equal(from_crossbars(crossbars, device_bits), codes.long())


@given(st.sampled_from(ALL_PAIRS), st.data())
@settings(deadline=None)
def test_any_code_comes_back_at_any_bits(pair: tuple[int, int], data: st.DataObject) -> None:
    weight_bits, device_bits = pair
    top = 2**weight_bits - 1
    numbers = data.draw(st.lists(st.integers(-top, top), min_size=1, max_size=20))
    codes = torch.tensor(numbers, dtype=torch.float32)
    crossbars = to_crossbars(codes, Device(weight_bits, device_bits))
    assert from_crossbars(crossbars, device_bits).tolist() == numbers
    assert slice_levels(codes, weight_bits, device_bits).T.tolist() == [
        levels(abs(n), weight_bits, device_bits) for n in numbers
    ]


@pytest.mark.parametrize(("weight_bits", "device_bits"), SMALL_PAIRS)
def test_a_weight_lies_in_the_crossbar_of_its_sign_alone(weight_bits: int, device_bits: int) -> None:
    codes = every_code(weight_bits)
    positive, negative = to_crossbars(codes, Device(weight_bits, device_bits))
    own = slice_levels(codes, weight_bits, device_bits)
    assert torch.equal(positive[:, codes > 0], own[:, codes > 0])
    assert not positive[:, codes <= 0].any()
    assert torch.equal(negative[:, codes < 0], own[:, codes < 0])
    assert not negative[:, codes >= 0].any()


def test_shapes_and_the_codes_themselves_are_kept() -> None:
    codes = torch.tensor([[[3.0, -200.0]], [[0.0, 255.0]]])
    before = codes.clone()
    crossbars = to_crossbars(codes, Device(8, 2))
    assert crossbars.positive.shape == (4, 2, 1, 2)
    assert torch.equal(from_crossbars(crossbars, 2), codes.long())
    assert torch.equal(codes, before)


def test_joining_leaves_its_input_alone_and_takes_fractions() -> None:
    held = torch.tensor([[0.5], [1.25], [-2.0]])
    before = held.clone()
    assert join_levels(held, 2).tolist() == [0.5 + 4 * 1.25 - 16 * 2.0]
    assert torch.equal(held, before)
    pair = Crossbars(held, 2 * held)
    assert from_crossbars(pair, 2).tolist() == [-(0.5 + 5 - 32)]


@pytest.mark.parametrize("bad", [256.0, -256.0])
def test_a_code_that_does_not_fit_is_refused(bad: float) -> None:
    with pytest.raises(SteadyNetError, match=r"code 256 does not fit 8 bits \(at most 255\)"):
        slice_levels(torch.tensor([1.0, bad]), 8, 2)


@pytest.mark.parametrize("bad", [0.5, float("nan"), float("inf")])
def test_a_code_that_is_no_integer_is_refused(bad: float) -> None:
    with pytest.raises(SteadyNetError, match=r"codes must be integers|does not fit"):
        slice_levels(torch.tensor([1.0, bad]), 8, 2)


@pytest.mark.parametrize("weight_bits", range(1, 17))
def test_bits_are_accepted_exactly_where_one_divides_the_other(weight_bits: int) -> None:
    for device_bits in range(1, 17):
        if weight_bits % device_bits:
            fits = ", ".join(str(k) for k in range(1, weight_bits + 1) if weight_bits % k == 0)
            with pytest.raises(SteadyNetError, match=f"does not divide .*take K from {fits}$"):
                check_bits(weight_bits, device_bits)
        else:
            check_bits(weight_bits, device_bits)


@pytest.mark.parametrize("bad", [0, -1, 17, 2.0, "2", True, None])
def test_bits_out_of_range_are_refused_by_name(bad: Any) -> None:
    with pytest.raises(SteadyNetError, match=r"weight_bits \(M\) must be an integer from 1 to 16, got"):
        check_bits(bad, 1)
    with pytest.raises(SteadyNetError, match=r"device_bits \(K\) must be an integer from 1 to 16, got"):
        check_bits(8, bad)
