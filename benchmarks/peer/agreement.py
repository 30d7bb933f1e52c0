"""Evaluates a trained backbone here and in aihwkit-lightning, under the same noise: do both simulators agree?

    python -m benchmarks.peer.agreement runs/noise --sigma-d 0.1 0.2 0.3 --draws 200

The peer works in an environment of its own, since it pins another torch. It adds N(0, (s max|W|)²) to each weight, and knows no
codes; s = 0.77763 σ_d at M = 8, K = 2 is what programming amounts to here, so weights are left unquantised on both sides.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

import steadynet as sn
from benchmarks.peer.conversation import Worker
from benchmarks.peer.environment import DEFAULT, peer_python
from benchmarks.peer.rows import WORKER
from steadynet.errors import SteadyNetError, check_integer, check_number
from steadynet.montecarlo.intervals import Values
from steadynet.options.build import load_data
from steadynet.options.groups import DataOptions, ModelOptions
from steadynet.options.trained import network_of_run
from steadynet.options.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]
LEVEL = 0.95


@dataclass(frozen=True)
class Agreement:
    """Accuracies over draws of both simulators at one σ_d."""

    sigma_d: float
    ours: Values
    theirs: Values

    @property
    def difference(self) -> tuple[float, float]:
        """Mean of ours minus theirs, and half of its interval (Welch's t; the draws are independent)."""
        errors = [values.var(ddof=1) / len(values) for values in (self.ours, self.theirs)]
        mean, variance = float(self.ours.mean() - self.theirs.mean()), float(sum(errors))
        if variance == 0:
            return mean, 0.0
        parts = sum(e**2 / (len(v) - 1) for e, v in zip(errors, (self.ours, self.theirs), strict=True))
        return mean, float(stats.t.ppf((1 + LEVEL) / 2, variance**2 / parts)) * math.sqrt(variance)

    @property
    def agrees(self) -> bool:
        """Whether the interval holds 0: true in 95 of 100 cases where both have one law."""
        mean, half = self.difference
        return abs(mean) <= half + 1e-12

    def row(self) -> str:
        """Return a row of the table, in points."""
        told = [
            f"{100 * values.mean():.2f} (std {100 * values.std(ddof=1):.2f})"
            for values in (self.ours, self.theirs)
        ]
        mean, half = self.difference
        verdict = "agree" if self.agrees else "differ"
        return (
            f"| {self.sigma_d:g} | {told[0]} | {told[1]} | {100 * mean:+.2f} ± {100 * half:.2f} | {verdict} |"
        )


def compare(run: Path, sigma_d: list[float], draws: int, seed: int, python: Path) -> list[Agreement]:
    """Return the accuracies of a run's network at each σ_d.

    Raises:
        SteadyNetError: If the run cannot be used, or the peer fails or gives another accuracy without noise.
    """
    saved = read_yaml(run / "config.yaml", "run ", holds="the options of a run")
    data = load_data(
        DataOptions(**{name: saved[name] for name in DataOptions.__dataclass_fields__ if name in saved})
    )
    model = network_of_run(run, data.shape, data.classes).eval()
    options = ModelOptions(saved.get("model", "vgg8"), saved.get("model_options") or {})
    images = torch.stack([data.test[index][0] for index in range(len(data.test))])
    labels = torch.tensor([data.test[index][1] for index in range(len(data.test))])
    held: dict[str, Any] = {
        "model": options.model,
        "options": dict(options.model_options),
        "classes": data.classes,
    }
    held |= {"shape": list(data.shape), "state": model.state_dict(), "images": images, "labels": labels}
    found: list[Agreement] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.pt"
        torch.save(held, file)
        spec = {"file": str(file), "threads": torch.get_num_threads(), "seed": seed}
        with Worker([python, WORKER.with_name("evaluation.py")], {"PYTHONPATH": str(ROOT / "src")}) as worker:
            clean = worker.ask(json.dumps(spec))["clean"]
            for one in sigma_d:
                device = sn.Device(quantize=False, variation=sn.Gaussian(one))
                ours = sn.monte_carlo(model, device, (images, labels), draws=draws, seed=seed)
                if abs(ours.clean["accuracy"] - clean) > 1.5 / len(labels):
                    raise SteadyNetError(
                        f"without noise the peer has {100 * clean:.2f} %, this network {100 * ours.clean['accuracy']:.2f} %: "
                        "they are not the same"
                    )
                std = device.relative_std * one
                theirs = [worker.ask(repr(std))["accuracy"] for _ in range(draws)]
                found.append(Agreement(one, np.asarray(ours.accuracy.values), np.array(theirs)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Compare and print; return 1 if they differ at a σ_d, 2 if it cannot be done."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.peer.agreement", description=(__doc__ or "").split("\n")[0]
    )
    made.add_argument("run", type=Path, help="folder of a finished training")
    made.add_argument("--sigma-d", type=float, nargs="+", default=[0.1, 0.2, 0.3])
    made.add_argument("--draws", type=int, default=200, help="of each simulator at each sigma_d")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--peer-venv", type=Path, default=DEFAULT, help="folder of the peer's environment")
    made.add_argument("--peer-index", help="where the peer's torch comes from, as pip's --index-url")
    options = made.parse_args(arguments)
    try:
        check_integer("--draws", options.draws, at_least=2)
        for one in options.sigma_d:
            check_number("--sigma-d", one, above=0)
        python = peer_python(options.peer_venv, options.peer_index)
        found = compare(options.run, options.sigma_d, options.draws, options.seed, python)
    except SteadyNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("| sigma_d | SteadyNet, % | aihwkit-lightning, % | difference, points | |")
    print("| --- | --- | --- | --- | --- |")
    for one in found:
        print(one.row())
    print(
        f"{options.draws} draws of each; std over draws; ±: {LEVEL:.0%} interval of the difference of the means"
    )
    return 0 if all(one.agrees for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
