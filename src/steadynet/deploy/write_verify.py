"""Write-verify: a device is programmed and read again until it holds its target within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor, nn

from steadynet.batchnorm import check_unfolded
from steadynet.computed import named_weights
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.mapping import Layout
from steadynet.mapping import layout as layout_of
from steadynet.nvm.device import Device
from steadynet.nvm.device_law import DeviceLaw
from steadynet.nvm.normals import standard_normal
from steadynet.nvm.quantize import from_codes, lsb, max_abs, to_codes
from steadynet.nvm.slicing import slice_levels
from steadynet.nvm.variation import Shifted
from steadynet.nvm.weight_law import WeightLaw
from steadynet.randomness import Stream, draw_generator

TOLERANCE = 0.06
# Writes of one device after which a tolerance is called out of reach.
LIMIT = 10_000
# Draws of verified chips share no numbers with those of chips that are programmed once.
PASS = 1


@dataclass(frozen=True, eq=False)
class Verified:
    """One chip, every device of which was write-verified.

    Attributes:
        weights: What they hold, by parameter name.
        writes: How often each weight's devices were written, all slices together, by parameter name (int64).
        residual: Root mean square of the devices' errors, relative to the largest conductance of one.
        devices: How many devices there are.
    """

    weights: Mapping[str, Tensor]
    writes: Mapping[str, Tensor]
    residual: float
    devices: int

    @property
    def mean_writes(self) -> float:
        """Writes of a device, on average."""
        return sum(int(writes.sum()) for writes in self.writes.values()) / self.devices


def expected_writes(tolerance: float, sigma_d: float) -> float:
    """Return the mean number of writes until |Δg| < tolerance of a Gaussian device: 1 / (2 Φ(tolerance/σ_d) − 1)."""
    check_number("tolerance", tolerance, above=0)
    check_number("sigma_d", sigma_d, at_least=0)
    return 1.0 if sigma_d == 0 else 1 / math.erf(tolerance / sigma_d / math.sqrt(2))


def residual_std(tolerance: float, sigma_d: float) -> float:
    """Return the std of what is left: σ_d sqrt(1 − 2 a φ(a) / (2 Φ(a) − 1)), a = tolerance/σ_d, a truncated Gaussian's."""
    check_number("tolerance", tolerance, above=0)
    check_number("sigma_d", sigma_d, at_least=0)
    if sigma_d == 0:
        return 0.0
    a = tolerance / sigma_d
    return sigma_d * math.sqrt(1 - 2 * a * float(stats.norm.pdf(a)) / math.erf(a / math.sqrt(2)))


def write_verify(
    model: nn.Module,
    device: Device,
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    draw: int = 0,
    stream: Stream = "test",
    layout: Layout | None = None,
    limit: int = LIMIT,
) -> Verified:
    """Program each device of `model` until its error is smaller than `tolerance`, and return what the chip then holds.

    Each slice of each weight is written, read, and written again where |Δg| ≥ tolerance · G_max, all anew: the error that is kept
    is one of the device's own law, given that it is smaller than the tolerance. G_max is as wide as (2^K − 1) / (1 − 1/R)
    levels, R the on/off ratio.

    Args:
        model: Its parameters are read, never changed.
        device: Where it is programmed.
        tolerance: Relative to the largest conductance of a device, as `sigma_d` is.
        seed: The user's seed.
        draw: Number of the chip.
        stream: What it is for.
        layout: What lies on devices; the rule's answer if None.
        limit: Writes of one device after which the tolerance is called out of reach.

    Raises:
        SteadyNetError: If the tolerance is not positive or out of reach, or the device's law is one of whole weights.

    Source:
        as in Yan et al., "SWIM", DAC 2022.
    """
    check_number("tolerance", tolerance, above=0)
    check_integer("limit", limit, at_least=1)
    if isinstance(device.law, WeightLaw):
        raise SteadyNetError(
            f"{type(device.law).__name__} is a law of whole weights: there is no device to be read and written again"
        )
    if device.crossbars != "one":
        raise SteadyNetError(
            f"write-verify programs the crossbar of a weight's sign alone, not crossbars {device.crossbars!r}: take 'one'"
        )
    if device.effects or isinstance(device.law, DeviceLaw | Shifted):
        raise SteadyNetError(
            f"write-verify knows Gaussian errors about the target alone, not {device.variation}: leave out effects and shifts"
        )
    check_unfolded(device)
    placed = layout or layout_of(model, device)
    parameters = named_weights(model, placed.names)
    weights: dict[str, Tensor] = {}
    writes: dict[str, Tensor] = {}
    squares, devices = 0.0, 0
    with torch.no_grad():
        for mapped in placed:
            name = mapped.name
            weight = parameters[name].detach()
            values = weight.contiguous().to(torch.promote_types(weight.dtype, torch.float32))
            maximum = max_abs(values, device.scale, mapped.matrix, device.tile_weights)
            codes = to_codes(values, maximum, device.weight_bits)
            generator = draw_generator(seed, stream, draw, PASS, name, "cpu")
            errors, counts = verified_errors(codes, device, tolerance, generator, limit)
            powers = 2.0 ** (device.device_bits * torch.arange(device.slices))
            total = (errors * powers.view(-1, *[1] * codes.dim())).sum(0)
            sign = torch.where(codes < 0, -1.0, 1.0)
            clean = from_codes(codes, maximum, device.weight_bits) if device.quantize else values
            unit = lsb(maximum, device.weight_bits)
            weights[name] = (clean + (total.to(sign) * sign).to(clean.dtype) * unit).to(weight.dtype)
            writes[name] = counts.sum(0)
            squares += float((errors.double() / device.levels_per_conductance).square().sum())
            devices += errors.numel()
    return Verified(weights, writes, math.sqrt(squares / devices), devices)


def verified_errors(
    codes: Tensor, device: Device, tolerance: float, generator: torch.Generator, limit: int = LIMIT
) -> tuple[Tensor, Tensor]:
    """Return each device's error in levels and how often it was written, both [J, *shape], on the CPU.

    Raises:
        SteadyNetError: If a device is still outside the tolerance after `limit` writes.
    """
    magnitude = codes.abs().cpu()
    levels = slice_levels(magnitude, device.weight_bits, device.device_bits)
    std = (
        device.variation.level_std(levels, magnitude, device)
        .to(torch.float32)
        .expand(levels.shape)
        .reshape(-1)
    )
    bound = tolerance * device.levels_per_conductance
    errors = torch.zeros(std.shape)
    counts = torch.zeros(std.shape, dtype=torch.int64)
    left = torch.arange(std.numel())
    for _ in range(limit):
        drawn = standard_normal((len(left),), generator, std) * std[left]
        errors[left] = drawn
        counts[left] += 1
        left = left[drawn.abs() >= bound]
        if not len(left):
            return errors.view(levels.shape), counts.view(levels.shape)
    raise SteadyNetError(
        f"{len(left)} devices are still not within {tolerance:g} of their target after {limit} writes: raise the tolerance"
    )
