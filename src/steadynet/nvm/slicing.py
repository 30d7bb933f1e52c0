"""Codes to device levels and back: bit slices and the two sign crossbars.

A magnitude of M bits lies on J = M/K devices of K bits. Slice j holds

    level_j = Σ_{i<K} m_{jK+i} 2^i        in 0 … 2^K − 1,  j = 0 the least significant,

and Σ_j level_j 2^{jK} is the magnitude again. Positive weights lie in one crossbar and negative ones
in another; where a weight is not, its devices are at level 0. Both ways are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from steadynet.errors import SteadyNetError

if TYPE_CHECKING:
    from torch import Tensor

    from steadynet.nvm.device import Device


class Crossbars(NamedTuple):
    """The target levels of both crossbars, each int64 [J, *weight's shape]."""

    positive: Tensor
    negative: Tensor


def slice_levels(codes: Tensor, weight_bits: int, device_bits: int) -> Tensor:
    """Return the device levels of |codes|, int64 [J, *shape], the least significant slice first.

    Raises:
        SteadyNetError: If K does not divide M, a code is no integer, or its magnitude exceeds 2^M − 1.
    """
    import torch

    check_bits(weight_bits, device_bits)
    magnitude = codes.detach().abs()
    whole = magnitude.to(torch.int64)
    if not torch.equal(whole.to(magnitude.dtype), magnitude):
        raise SteadyNetError("codes must be integers: quantise the weights before slicing them")
    if whole.numel() and int(whole.max()) > 2**weight_bits - 1:
        raise SteadyNetError(
            f"code {int(whole.max())} does not fit {weight_bits} bits (at most {2**weight_bits - 1})"
        )
    mask = 2**device_bits - 1
    return torch.stack([(whole >> shift) & mask for shift in range(0, weight_bits, device_bits)])


def join_levels(levels: Tensor, device_bits: int) -> Tensor:
    """Return Σ_j level_j 2^{jK} over the first dimension, in the dtype of `levels`.

    Levels may be fractional (programmed conductances), so this is also the way back for those.
    """
    total = levels[0].clone()
    for index in range(1, levels.shape[0]):
        total += levels[index] * 2 ** (index * device_bits)
    return total


def to_crossbars(codes: Tensor, device: Device) -> Crossbars:
    """Return the target levels of the positive and of the negative crossbar, as the device's mapping has them."""
    import torch

    sides = [
        slice_levels(magnitude, device.weight_bits, device.device_bits)
        for magnitude in device.sides(codes.abs())
    ]
    return by_sign(codes, sides[0], sides[1] if len(sides) > 1 else torch.zeros_like(sides[0]))


def by_sign(codes: Tensor, own: Tensor, other: Tensor) -> Crossbars:
    """Return what the crossbar of each weight's sign and the other one hold as positive and negative; weight 0 is positive."""
    import torch

    return Crossbars(torch.where(codes < 0, other, own), torch.where(codes < 0, own, other))


def from_crossbars(crossbars: Crossbars, device_bits: int) -> Tensor:
    """Return the signed codes that two crossbars hold, positive minus negative."""
    return join_levels(crossbars.positive, device_bits) - join_levels(crossbars.negative, device_bits)


def check_bits(weight_bits: int, device_bits: int) -> None:
    """Raise unless 1 ≤ K ≤ M ≤ 16 are integers and K divides M."""
    for what, value, top in (("weight_bits (M)", weight_bits, 16), ("device_bits (K)", device_bits, 16)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= top:
            raise SteadyNetError(f"{what} must be an integer from 1 to {top}, got {value!r}")
    if weight_bits % device_bits:
        fits = [k for k in range(1, weight_bits + 1) if weight_bits % k == 0]
        raise SteadyNetError(
            f"device_bits (K) = {device_bits} does not divide weight_bits (M) = {weight_bits}: "
            f"take K from {', '.join(map(str, fits))}"
        )
