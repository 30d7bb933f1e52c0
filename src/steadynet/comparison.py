"""Several recipes on the same network, data, epochs and draws: the comparison that every claim rests on.

A cell is one training: (recipe, training σ_d, seed). Cells are trained and evaluated one by one, each in a
folder of its own that holds its checkpoint, history, backbone and result; a finished cell is not run again,
an interrupted one goes on where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from steadynet.compute import Compute
from steadynet.data import DataSplits, checksums
from steadynet.deploy import save_backbone
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.files import write_json_atomically
from steadynet.folders import prepare_folder
from steadynet.montecarlo import MonteCarloResult
from steadynet.montecarlo.curve import check_sigmas
from steadynet.montecarlo.engine import full
from steadynet.montecarlo.session import Session
from steadynet.nvm.device import Device
from steadynet.parallel import run_in_processes
from steadynet.recipes.recipe import Recipe
from steadynet.report.tested import tested
from steadynet.training import FitResult, Hardware, Settings, fit

TrainSigma = float | Literal["matched"]
RESULT = "result.json"
IDENTITY = "comparison.json"
BACKBONE = "backbone.safetensors"
_FOLDER = re.compile(r"[^\s./\\][^/\\\x00-\x1f]*")


@dataclass(frozen=True)
class Problem:
    """What is compared on.

    Attributes:
        make_model: Returns a fresh network for a seed.
        load_data: Returns the data set; called once in each process.
        device: The device; its σ_d is replaced.
        name: What figures and tables call it.
    """

    make_model: Callable[[int], nn.Module]
    load_data: Callable[[], DataSplits]
    device: Device
    name: str = ""


@dataclass(frozen=True)
class Cell:
    """One training, and the σ_d at which it is tested."""

    recipe: Recipe
    train_sigma_d: float
    sigma_d: tuple[float, ...]
    seed: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        # All digits: two σ_d that differ must not share a folder.
        sigma_d = repr(float(self.train_sigma_d)).removesuffix(".0")
        return f"{self.recipe.name}-sigma{sigma_d}-seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """The grid of a comparison.

    Args:
        recipes: Recipes of different names.
        sigma_d: Growing σ_d of the tests.
        train_sigma_d: "matched" for a training at each σ_d, tested at that σ_d; or the one σ_d of all trainings,
            each tested at every σ_d.
        seeds: Seeds of the trainings: initial weights, order, draws.
        draws: Chips of each test.
        evaluation_seed: Of the tests' chips; all recipes share them.
        batch_size: Images of one forward in the tests.

    Raises:
        SteadyNetError: If the grid is empty, has a cell twice, or a value is out of range.
    """

    recipes: tuple[Recipe, ...]
    sigma_d: tuple[float, ...]
    train_sigma_d: TrainSigma = "matched"
    seeds: tuple[int, ...] = (0,)
    draws: int = 100
    evaluation_seed: int = 0
    batch_size: int = 500

    def __post_init__(self) -> None:
        check_sigmas(self.sigma_d)
        check_integer("draws", self.draws, at_least=1)
        if self.train_sigma_d != "matched":
            check_number("train_sigma_d", self.train_sigma_d, at_least=0)
        for what, values in (("recipe", tuple(r.name for r in self.recipes)), ("seed", tuple(self.seeds))):
            if not values:
                raise SteadyNetError(f"the comparison has no {what}s: give at least one")
            twice = sorted({str(value) for value in values if values.count(value) > 1})
            if twice:
                raise SteadyNetError(
                    f"{what} {', '.join(twice)} stands twice in the comparison: name it once"
                )
        for recipe in self.recipes:
            if not _FOLDER.fullmatch(recipe.name):
                raise SteadyNetError(
                    f"recipe name {recipe.name!r} cannot name a folder: take one without slashes or a dot at its start"
                )
        for seed in self.seeds:
            check_integer("seed", seed, at_least=0)
        check_integer("evaluation_seed", self.evaluation_seed, at_least=0)
        check_integer("batch_size", self.batch_size, at_least=1)
        for cell in self.cells():
            trained = cell.recipe.variation.device(Device().at(cell.train_sigma_d))
            if trained and trained.sigma_d != cell.train_sigma_d:
                raise SteadyNetError(
                    f"recipe {cell.recipe.name!r} trains at a sigma_d of its own, {trained.sigma_d:g}, where the comparison "
                    f"trains at {cell.train_sigma_d:g}: leave it out of the recipe, or compare them in a study"
                )
            cell.recipe.objective.check(trained.sigma_d if trained else 0.0)

    def cells(self) -> Iterator[Cell]:
        """Return all trainings, seed by seed, so that a first picture of all recipes comes early."""
        for seed in self.seeds:
            for recipe in self.recipes:
                if self.train_sigma_d == "matched":
                    for sigma_d in self.sigma_d:
                        yield Cell(recipe, sigma_d, (sigma_d,), seed)
                else:
                    yield Cell(recipe, float(self.train_sigma_d), self.sigma_d, seed)


def compare(
    problem: Problem,
    plan: Plan,
    settings: Settings,
    out: Path,
    *,
    hardware: Hardware | None = None,
    processes: int = 1,
    overwrite: bool = False,
    resume: bool = False,
    on_cell: Callable[[int, int, Cell, list[dict[str, Any]]], None] | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Train and test all cells of `plan`; return a row for each training and σ_d, in the plan's order.

    Args:
        problem: Network, data and device. With several processes its functions must be picklable.
        plan: The grid.
        settings: Of every training; its seed is replaced by the cell's.
        out: Folder of the cells.
        hardware: Of every training.
        processes: Cells that run at once, each with its share of the cores.
        overwrite: Whether `out` may hold files already; they are removed.
        resume: Go on with the comparison in `out`.
        on_cell: Called after each cell with (cells done, cells, cell, its rows).
        progress: Whether each training and test shows a progress bar (in one process).

    Raises:
        SteadyNetError: If an input cannot be used, or `out` holds another comparison.
    """
    check_integer("processes", processes, at_least=1)
    cells = list(plan.cells())
    identity = {
        **_identity(problem, plan, settings),
        "images": checksums(_load(problem)),
        "network": _shapes(problem.make_model(plan.seeds[0])),
    }
    _claim(out, identity, resume=resume, overwrite=overwrite)
    jobs = [(problem, plan, cell, settings, hardware, out, progress and processes == 1) for cell in cells]
    found: dict[int, list[dict[str, Any]]] = {}
    if processes == 1:
        for index, job in enumerate(jobs):
            found[index] = _run_cell(*job)
            if on_cell:
                on_cell(len(found), len(cells), cells[index], found[index])
    else:
        with closing(run_in_processes(_run_cell, jobs, processes)) as finished:
            for index, rows in finished:
                found[index] = rows
                if on_cell:
                    on_cell(len(found), len(cells), cells[index], rows)
    return [row for index in range(len(cells)) for row in found[index]]


# What was loaded last in this process. The function is kept too: the default repr of one that is gone could come again.
_data: dict[str, tuple[Callable[[], DataSplits], DataSplits]] = {}


def _load(problem: Problem) -> DataSplits:
    key = repr(problem.load_data)
    if key not in _data:
        _data.clear()
        _data[key] = (problem.load_data, problem.load_data())
    return _data[key][1]


def _run_cell(
    problem: Problem,
    plan: Plan,
    cell: Cell,
    settings: Settings,
    hardware: Hardware | None,
    out: Path,
    progress: bool,
) -> list[dict[str, Any]]:
    folder = out / "cells" / cell.folder
    if (folder / RESULT).exists():
        return _finished(folder / RESULT)
    data = _load(problem)
    model = problem.make_model(cell.seed)
    device = problem.device.at(cell.train_sigma_d)
    started = (folder / "last.ckpt").exists()
    trained = fit(
        model,
        cell.recipe,
        device,
        data.train,
        data.validation,
        settings=dataclasses.replace(settings, seed=cell.seed),
        hardware=hardware,
        out=folder,
        resume=started,
        overwrite=True,
        progress=progress,
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    save_backbone(model, folder / BACKBONE)
    rows: list[dict[str, Any]] = []
    with Session(
        model,
        problem.device,
        data.test,
        seed=plan.evaluation_seed,
        stream="test",
        batch_size=plan.batch_size,
        # Where it was trained; Lightning has brought the network back to the CPU.
        compute=Compute(device=(hardware or Hardware()).compute_device),
    ) as session:
        for sigma_d in cell.sigma_d:
            result = full(session, sigma_d, draws=plan.draws, progress=progress)
            rows.append(_row(cell, sigma_d, result, trained))
    write_json_atomically(folder / RESULT, {"rows": rows, "images": checksums(data)})
    return rows


def _finished(path: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SteadyNetError(
            f"{path} cannot be read ({type(error).__name__}): delete it and resume"
        ) from error


def _row(cell: Cell, sigma_d: float, result: MonteCarloResult, trained: FitResult) -> dict[str, Any]:
    return {
        "recipe": cell.recipe.name,
        "seed": cell.seed,
        "sigma_d": sigma_d,
        "train_sigma_d": cell.train_sigma_d,
        "best_epoch": trained.best_epoch,
        "steps": int(trained.history[-1]["step"]),
        "train_seconds": round(trained.seconds, 1),
        **tested(result),
    }


def _identity(problem: Problem, plan: Plan, settings: Settings) -> dict[str, Any]:
    described = {
        "name": problem.name,
        "device": str(problem.device),
        "recipes": [recipe.identity() for recipe in plan.recipes],
        "plan": {key: value for key, value in asdict(plan).items() if key != "recipes"},
        "settings": {key: value for key, value in settings.identity().items() if key != "seed"},
    }
    # Through JSON, so that tuples and lists compare as they will be read back.
    return dict(json.loads(json.dumps(described)))


def _shapes(model: nn.Module) -> str:
    """Return a hash of what a network is made of: names and shapes of its tensors."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    return hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]


def _claim(out: Path, identity: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Make the folder this comparison's, or check that it is."""
    path = out / IDENTITY
    if resume:
        if not path.exists():
            raise SteadyNetError(f"{out} holds no comparison to resume: start it without --resume")
        try:
            theirs: Any = json.loads(path.read_text(encoding="utf-8"))
            for key in ("images", "network"):  # Earlier versions did not note them.
                theirs.setdefault(key, identity[key])
            changed = sorted(key for key in {*theirs, *identity} if theirs.get(key) != identity.get(key))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise SteadyNetError(f"{path} is no readable JSON: start anew in another folder") from error
        if changed:
            raise SteadyNetError(
                f"{out} holds another comparison (other {', '.join(changed)}): resume it with its own options"
            )
        return
    prepare_folder(out, overwrite=overwrite)
    write_json_atomically(path, identity)
