"""`steadynet evaluate --half-width`: mean figures with intervals as narrow as asked for, by blocks of images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steadynet.cli.command_options import EvaluateOptions
from steadynet.cli.table import Row, print_table

if TYPE_CHECKING:
    from torch import nn

    from steadynet.data import ImageSet
    from steadynet.montecarlo import BlockResult, Estimate, MonteCarloResult
    from steadynet.nvm.device import Device


def run_means(
    model: nn.Module, device: Device, test: ImageSet, asked: EvaluateOptions
) -> tuple[BlockResult, ...]:
    """Return the result at each sigma_d, told on stderr as it comes."""
    from steadynet.montecarlo import block_monte_carlo

    found: list[BlockResult] = []
    for sigma_d in sorted(asked.sigma_d):
        result = block_monte_carlo(
            model,
            device.at(sigma_d),
            test,
            half_width=(asked.half_width or 0.0) / 100,
            max_draws=asked.max_draws,
            seed=asked.seed,
        )
        if asked.progress:
            print(
                f"sigma_d {sigma_d:g}: {result.draws} chips in {result.seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )
        found.append(result)
    return tuple(found)


def print_means(found: Sequence[BlockResult], clean: MonteCarloResult) -> None:
    """Print a line per sigma_d, and what the figures are of."""
    print_table(
        [
            "sigma_d",
            "accuracy, %",
            "EKL",
            "neg. log-likelihood",
            "Brier score",
            "chips",
            "blocks × cycles",
            "seconds",
        ],
        [_line(result) for result in found],
    )
    first = found[0]
    print(
        f"clean {100 * clean.clean['accuracy']:.2f} %, quantised without error {100 * clean.quantised['accuracy']:.2f} %; "
        f"{first.images} test images, seed {first.seed}; each chip sees one block of images"
    )
    print("±: 95 % interval over chips of this one network; it does not speak of other trainings or images")
    if short := [result for result in found if not result.reached]:
        told = ", ".join(f"{result.sigma_d:g}" for result in short)
        print(f"at sigma_d {told} --max-draws ended the work before the interval was as narrow as asked for")
    print(
        "percentiles, the worst chip and yields need chips that each see all images: leave --half-width out"
    )


def figures(result: BlockResult) -> dict[str, Any]:
    """Return what a row of results holds of it, as plain types."""
    found: dict[str, Any] = {
        name: _plain(getattr(result, name)) for name in ("accuracy", "ekl", "nll", "brier")
    }
    return {**found, "blocks": result.blocks, "cycles": result.cycles, "reached": result.reached}


def _plain(estimate: Estimate) -> dict[str, float | None]:
    low, high = estimate.interval or (None, None)
    return {"mean": estimate.mean, "std": estimate.std, "lo": low, "hi": high}


def _line(result: BlockResult) -> Row:
    accuracy = f"{100 * result.accuracy.mean:.2f} ± {100 * result.accuracy.half_width:.2f}"
    return (
        f"{result.sigma_d:g}",
        accuracy + ("" if result.reached else " (not reached)"),
        *map(str, (result.ekl, result.nll, result.brier)),
        f"{result.draws}",
        f"{result.blocks} × {result.cycles}",
        f"{result.seconds:.1f}",
    )
