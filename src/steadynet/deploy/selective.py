"""Selective write-verify: which weights are worth being verified, and what accuracy a given cost buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from steadynet.compute import Compute
from steadynet.computed import named_weights
from steadynet.deploy.curvature import weight_curvature
from steadynet.deploy.held import holding
from steadynet.deploy.layers import over_draws
from steadynet.deploy.write_verify import TOLERANCE, write_verify
from steadynet.errors import SteadyNetError, check_choice, check_integer, check_number
from steadynet.montecarlo.estimates import Estimate
from steadynet.montecarlo.intervals import Values
from steadynet.nvm.device import Device
from steadynet.nvm.matrix import PLAIN, Matrix
from steadynet.nvm.quantize import max_abs
from steadynet.randomness import draw_generator

Ranking = Literal["sensitivity", "magnitude", "random"]
RANKINGS: tuple[Ranking, ...] = ("sensitivity", "magnitude", "random")


@dataclass(frozen=True, eq=False)
class Selected:
    """Accuracy at one cost, by one ranking.

    Attributes:
        ranking: By which weights are chosen.
        nwc: Normalised write cycles that were allowed: writes spent over writes to verify every weight.
        spent: Those that were spent, the mean over chips.
        share: Weights that were verified, the mean share over chips.
        accuracy: Over draws.
    """

    ranking: Ranking
    nwc: float
    spent: float
    share: float
    accuracy: Estimate


@dataclass(frozen=True, eq=False)
class SelectiveWriteVerify:
    """Accuracy over cost, for each ranking on the same chips.

    Attributes:
        points: By ranking, then by cost.
        writes: Writes of a device where all are verified, on average.
        residual: Root mean square of the errors that are left then, relative to the largest conductance of a device.
        tolerance: Relative to the largest conductance of a device.
        sigma_d: Of the device.
        draws: Chips.
        seed: Of the chips.
        images: Test images.
    """

    points: tuple[Selected, ...]
    writes: float
    residual: float
    tolerance: float
    sigma_d: float
    draws: int
    seed: int
    images: int


def selective_write_verify(
    model: nn.Module,
    device: Device,
    test: Any,
    ranking_data: Any,
    *,
    rankings: Sequence[Ranking] = RANKINGS,
    nwc: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0),
    tolerance: float = TOLERANCE,
    ranking_images: int = 512,
    draws: int = 20,
    seed: int = 0,
    batch_size: int = 500,
    compute: Compute | None = None,
) -> SelectiveWriteVerify:
    """Return what accuracy a network keeps where the first weights of a ranking are write-verified, and the rest written once.

    Weights are taken in the ranking's order as long as the writes of their devices, over those of all, stay within `nwc`; writes
    of weights that are not verified count in neither. NWC 0 is a chip of `monte_carlo`, NWC 1 one of `write_verify`; each weight
    holds either the error that it has there, so that all points are paired by chip.

        sensitivity   d²L/dw² · s², largest first, s = max|W| of the weight's tensor or channel, which its error is
                      proportional to; ties by magnitude (SWIM; see `weight_curvature`)
        magnitude     |w|, largest first
        random        drawn by the seed

    Args:
        model: A trained network; it is not changed.
        device: Where it is programmed, at a `sigma_d` above 0.
        test: Test images: a map-style dataset of (input, label), or a pair of tensors.
        ranking_data: Training images, in the same form, that the sensitivity is taken on.
        rankings: Which of them.
        nwc: Costs, in [0, 1] each.
        tolerance: Relative to the largest conductance of a device.
        ranking_images: How many images the sensitivity is taken on, at most.
        draws: Chips.
        seed: Of the chips and of the random ranking.
        batch_size: Images of one forward.
        compute: Where it is computed.

    Raises:
        SteadyNetError: If a cost lies outside [0, 1], `sigma_d` is 0, the tolerance cannot be reached, or the network computes
            what sensitivity has no rule for.

    Source:
        Yan et al., "SWIM: Selective Write-Verify for Computing-in-Memory Neural Accelerators", DAC 2022.
    """
    check_integer("draws", draws, at_least=2)
    check_integer("ranking_images", ranking_images, at_least=1)
    if not isinstance(nwc, Sequence):
        raise SteadyNetError(f"nwc must be costs, one or more, got {nwc!r}: give ({nwc!r},)")
    for cost in nwc:
        check_number("nwc", cost, at_least=0, at_most=1)
    for ranking in rankings:
        check_choice("ranking", ranking, RANKINGS)
    if not nwc or not rankings:
        raise SteadyNetError("selective write-verify needs at least one ranking and one nwc")
    if device.sigma_d == 0:
        raise SteadyNetError("there is nothing to verify at sigma_d 0: give the device a sigma_d above 0")
    with holding(model, device, test, seed=seed, batch_size=batch_size, compute=compute) as held:
        layout = held.layout
        parameters = {name: w.detach() for name, w in named_weights(held.model, layout.names).items()}
        sensitivity = (
            weight_curvature(held.model, device, ranking_data, images=ranking_images)
            if "sensitivity" in rankings
            else {}
        )
        matrices = {mapped.name: mapped.matrix for mapped in layout}
        orders: dict[Ranking, Tensor] = {
            ranking: order_of(ranking, parameters, device, sensitivity, seed, matrices)
            for ranking in rankings
        }
        costs = sorted(set(nwc))
        found: dict[Ranking, Values] = {ranking: np.empty((3, len(costs), draws)) for ranking in rankings}
        chips, writes, squares = held.chips(), 0.0, 0.0
        for draw in range(draws):
            once = chips.program(draw, "test")
            verified = write_verify(
                held.model, device, tolerance=tolerance, seed=seed, draw=draw, layout=layout
            )
            writes += verified.mean_writes / draws
            squares += verified.residual**2 / draws
            spent = torch.cat([verified.writes[name].flatten() for name in layout.names]).double()
            for ranking, order in orders.items():
                reached = spent[order].cumsum(0) / spent.sum()
                for row, cost in enumerate(costs):
                    # Sums of shares end a rounding below 1.
                    count = len(order) if cost == 1 else int((reached <= cost + 1e-12).sum())
                    chosen = torch.zeros(len(order), dtype=torch.bool)
                    chosen[order[:count]] = True
                    mixed = _mixed(chosen, once, verified.weights)
                    share = float(reached[count - 1]) if count else 0.0
                    found[ranking][:, row, draw] = share, count / len(order), held.accuracy(mixed)
        images = len(held.images)
    points = tuple(
        Selected(
            ranking,
            cost,
            float(values[0, row].mean()),
            float(values[1, row].mean()),
            over_draws(values[2, row]),
        )
        for ranking, values in found.items()
        for row, cost in enumerate(costs)
    )
    return SelectiveWriteVerify(points, writes, squares**0.5, tolerance, device.sigma_d, draws, seed, images)


def order_of(
    ranking: Ranking,
    weights: Mapping[str, Tensor],
    device: Device,
    curvature: Mapping[str, Tensor],
    seed: int,
    matrices: Mapping[str, Matrix] | None = None,
) -> Tensor:
    """Return the places of all weights, flattened one tensor after the other, the first to be verified first."""
    magnitude = torch.cat([weight.abs().flatten() for weight in weights.values()]).cpu().double().numpy()
    if ranking == "random":
        generator = draw_generator(seed, "pilot", 0, 0, "random ranking", "cpu")
        return torch.randperm(len(magnitude), generator=generator)
    if ranking == "magnitude":
        return torch.from_numpy(np.argsort(-magnitude, kind="stable"))
    scaled = [
        (curvature[name] * _largest(weight, device, (matrices or {}).get(name, PLAIN)).square())
        .expand(weight.shape)
        .flatten()
        for name, weight in weights.items()
    ]
    # The last key of lexsort comes first.
    return torch.from_numpy(np.lexsort((-magnitude, -torch.cat(scaled).cpu().double().numpy())))


def _largest(weight: Tensor, device: Device, matrix: Matrix) -> Tensor:
    return max_abs(weight, device.scale, matrix, device.tile_weights)


def _mixed(chosen: Tensor, once: Mapping[str, Tensor], verified: Mapping[str, Tensor]) -> dict[str, Tensor]:
    mixed: dict[str, Tensor] = {}
    start = 0
    for name, weight in once.items():
        own = chosen[start : start + weight.numel()].view(weight.shape).to(weight.device)
        mixed[name] = torch.where(own, verified[name].to(weight), weight)
        start += weight.numel()
    return mixed
