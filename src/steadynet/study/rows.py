"""From finished cells to rows of results: one for each point of a study's grid and σ_d of its test."""

from __future__ import annotations

import shlex
from typing import Any

from steadynet.study.cells import Point, told, written
from steadynet.study.definition import Study
from steadynet.study.plan import Plan
from steadynet.study.store import Place
from steadynet.study.wanted import Wanted

Row = dict[str, Any]


def rows_of(whole: Plan, study: Study, file: str | None) -> tuple[list[Row], list[tuple[Place, Point]]]:
    """Return a study's rows, in the order of its grid, and the points that have none yet.

    Args:
        whole: The plan.
        study: One of its studies.
        file: The study's file, as a command names it; None if it has none.

    Raises:
        SteadyNetError: If a file of results cannot be read: a table without it would be silently wrong.
    """
    rows: list[Row] = []
    missing: list[tuple[Place, Point]] = []
    for place, point in whole.of(study):
        own = {wanted.sigma_d: wanted for wanted in place.cell.tests if _is_own(wanted, study, point)}
        wanted_here = [own[sigma_d] for sigma_d in point.sigma_d]
        if not place.trained() or set(wanted_here) & set(place.missing()):
            missing.append((place, point))
            continue
        training = place.result()
        rows += [
            _row(study, command_for(study, file, point, whole.words), place, point, wanted, training)
            for wanted in wanted_here
        ]
    return rows, missing


def command_for(study: Study, file: str | None, point: Point, words: str = "") -> str:
    """Return what trains and tests a point again: a command, or a call where the study was given in Python.

    Args:
        study: The study.
        file: Its file; None if it was given in Python.
        point: The point.
        words: Further words of the command: where data lie and results go.
    """
    if file is None:
        return f"sn.run_study(…, only={_terms(point)!r})"
    terms = " ".join(shlex.quote(term) for term in _terms(point))
    return f"{study_command(study, file, words)} --only {terms}"


def study_command(study: Study, file: str, words: str = "") -> str:
    """Return the command that runs a study; see `command_for`."""
    preset = f" --preset {study.preset}" if study.preset else ""
    return f"steadynet study run {shlex.quote(file)}{preset}{words}"


def _terms(point: Point) -> list[str]:
    return [f"{axis}={written(label)}" for axis, label in point.labels.items()]


def _is_own(wanted: Wanted, study: Study, point: Point) -> bool:
    test = study.test
    return (wanted.device, wanted.draws, wanted.seed, wanted.batch_size, wanted.split, wanted.calibrated) == (
        point.device,
        test.draws,
        test.seed,
        test.batch_size,
        "test",
        test.calibrated,
    )


def _row(
    study: Study, command: str, place: Place, point: Point, wanted: Wanted, training: dict[str, Any]
) -> Row:
    from steadynet.errors import SteadyNetError
    from steadynet.montecarlo.result import MonteCarloResult
    from steadynet.report.tested import tested

    held = place.test(wanted)
    try:
        result = MonteCarloResult.from_dict(held["result"])
    except (SteadyNetError, KeyError, TypeError, AttributeError) as error:
        raise SteadyNetError(
            f"{place.tests[wanted]} ({told(point.labels)}) is damaged ({error}): delete it, and run the study again"
        ) from error
    made = place.cell.training
    return {
        "study": study.name,
        "cell": place.folder.name,
        "axes": dict(point.labels),
        "recipe": str(point.labels.get("recipe", made.recipe.name)),
        "seed": made.seed,
        "sigma_d": wanted.sigma_d,
        "train_sigma_d": made.train_sigma_d,
        "best_epoch": training["best_epoch"],
        "steps": training["steps"],
        "train_seconds": training["seconds"],
        "test_seconds": held["seconds"],
        "peak_mib": training.get("peak_mib"),
        **tested(result),
        **({"logits_temperature": held.get("temperature")} if wanted.calibrated else {}),
        "options": dict(place.cell.options),
        "versions": training["versions"],
        "finished": training.get("finished", ""),
        "other_code": list(place.old),
        "command": command,
    }
