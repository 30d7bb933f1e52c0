"""`steadynet evaluate --half-width`: mean figures with intervals as narrow as asked for, by blocks of images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadynet.cli.evaluate_options import EvaluateOptions
from steadynet.cli.found import Found
from steadynet.cli.parser import CONFIG_NAME
from steadynet.cli.table import Row, print_table

if TYPE_CHECKING:
    from steadynet.montecarlo import BlockResult, Estimate
    from steadynet.montecarlo.session import Session


def run(sessions: Sequence[Session], asked: EvaluateOptions, found: list[Found]) -> None:
    """Append what is found at each σ_d as it is finished, and tell so on stderr."""
    from steadynet.montecarlo.block_design import BlockDesign
    from steadynet.montecarlo.blocks import mean_difference, means

    design = BlockDesign(
        None if asked.half_width is None else asked.half_width / 100,
        asked.blocks,
        asked.cycles,
        asked.most_draws,
    )
    design.check(sessions[0].images, alike=sessions[0].device.at(min(asked.sigma_d)).exact)
    references = tuple(_reference(session) for session in sessions)
    for sigma_d in sorted(asked.sigma_d):
        if len(sessions) == 1:
            result = means(sessions[0], sigma_d, design)
            one = Found(references, result, reached=result.reached)
        else:
            pair = mean_difference(sessions[0], sessions[1], sigma_d, design)
            one = Found(references, pair.first, pair.second, pair.accuracy, pair.reached)
        found.append(one)
        if asked.progress:
            print(
                f"sigma_d {sigma_d:g}: {one.first.draws} chips in {one.first.seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )


def _reference(session: Session) -> tuple[float, float]:
    clean, quantised = session.reference()
    return clean.correct / clean.images, quantised.correct / quantised.images


def show(found: Sequence[Found], asked: EvaluateOptions) -> None:
    """Print a line per sigma_d, and what the figures are of."""
    results: list[BlockResult] = [one.first for one in found]
    columns = [
        "sigma_d",
        "accuracy, %",
        "EKL",
        "neg. log-likelihood",
        "Brier score",
        "chips",
        "blocks × cycles",
    ]
    print_table([*columns, "seconds"], [_line(one, asked) for one in found])
    first, (clean, quantised) = results[0], found[0].references[0]
    print(
        f"clean {100 * clean:.2f} %, quantised without error {100 * quantised:.2f} %; "
        f"{first.images} test images, seed {first.seed}; each chip sees one block of images"
    )
    print("±: 95 % interval over chips of this one network; it does not speak of other trainings or images")
    if short := [one for one in found if not one.reached]:
        told = ", ".join(f"{one.first.sigma_d:g}" for one in short)
        ended = "--cycles" if asked.cycles is not None else "--max-draws"
        what = "interval" if asked.against is None else "difference's interval"
        print(f"at sigma_d {told} {ended} ended the work before the {what} was as narrow as asked for")
    print("percentiles, the worst chip and yields need chips that each see all images: --design full")


def again(asked: EvaluateOptions, out: Path, results: Sequence[BlockResult]) -> str:
    """Return the command lines that give the very numbers again: a pilot's choice depends on the clock, so they name it."""
    lines: list[str] = []
    for result in results:
        into = f"{out}-again" + (f"-{result.sigma_d!r}" if len(results) > 1 else "")
        words = [
            "steadynet",
            "evaluate",
            "--config",
            str(out / CONFIG_NAME),
            "--sigma-d",
            repr(result.sigma_d),
        ]
        words += ["--design", "blocks", "--blocks", str(result.blocks), "--cycles", repr(result.cycles)]
        lines.append(shlex.join([*words, "--out", into]))
    return " && ".join(lines)


def figures(result: BlockResult, asked: EvaluateOptions) -> dict[str, Any]:
    """Return what a row of results holds of it, as plain types."""
    return {
        "sigma_d": result.sigma_d,
        "draws": result.draws,
        "evaluation_seed": result.seed,
        "images": result.images,
        **{name: plain(getattr(result, name)) for name in ("accuracy", "ekl", "nll", "brier")},
        "blocks": result.blocks,
        "cycles": result.cycles,
        "reached": result.reached,
        "seconds": round(result.seconds, 3),
        "cycle_values": result.accuracy.values.tolist(),
    }


def plain(estimate: Estimate) -> dict[str, float | None]:
    """Return a mean and its interval's ends. The std over chips is not known: no chip saw all images."""
    low, high = estimate.interval or (None, None)
    return {"mean": estimate.mean, "lo": low, "hi": high}


def _line(one: Found, asked: EvaluateOptions) -> Row:
    result: BlockResult = one.first
    # Of two networks, the difference is what a width was asked of.
    reached = one.reached or asked.against is not None
    accuracy = f"{100 * result.accuracy.mean:.2f} ± {100 * result.accuracy.half_width:.2f}"
    return (
        f"{result.sigma_d:g}",
        accuracy + ("" if reached else " (not reached)"),
        *map(str, (result.ekl, result.nll, result.brier)),
        f"{result.draws}",
        f"{result.blocks} × {result.cycles:g}",
        f"{result.seconds:.1f}",
    )
