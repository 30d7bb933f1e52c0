"""The benchmarks run at a tiny scale, write their files and go on where they stopped; speeds are not looked at."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import steadynet as sn
from benchmarks.__main__ import chosen, main
from benchmarks.benches import BENCHES, find
from benchmarks.designs import best_seconds, std_over_chips
from benchmarks.scale import TINY
from benchmarks.steps import BF16, FP32, Form, plain_step, recipe_step
from steadynet.errors import SteadyNetError
from steadynet.montecarlo.pilot import Pilot

ROOT = Path(__file__).parent.parent
# All but the peer, which is installed from the network.
HERE = ["noise", "irs", "ovf", "memory", "best", "programming", "draw", "design-small"]


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "STEADYNET_DATA"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_tiny_run_measures_every_row_writes_files_and_is_not_repeated(tmp_path: Path) -> None:
    out, cache = tmp_path / "results", tmp_path / "cache"
    command = ["benchmarks", "--scale", "tiny", "--threads", "1", "--out", str(out), "--cache", str(cache)]
    done = run(tmp_path, *command, "--only", *HERE)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*-tiny.json")
    found = json.loads(path.read_text())
    names = [row["name"] for bench in found["benches"].values() for row in bench["rows"]]
    assert set(found["benches"]) == set(chosen(HERE))
    assert {"memory-lean", "memory-fast", "programming-step", "design-small", "design-small-share"} < set(
        names
    )
    assert len(names) == len(set(names))
    for bench in found["benches"].values():
        for row in bench["rows"]:
            assert all(math.isfinite(ratio) and ratio > 0 for ratio in row["ratios"])
            assert len(row["ratios"]) >= 2
    assert found["head"]["machine"]["threads"] == 1
    details = next(r for r in found["benches"]["design-small"]["rows"] if r["name"] == "design-small")[
        "details"
    ]
    assert all(details["reached"])

    before = path.read_bytes()
    again = run(tmp_path, *command, "--only", "noise", "design-small")
    assert again.returncode == 0
    assert again.stdout.count("measured already") == 3
    assert path.read_bytes() == before

    drawn = run(tmp_path, "benchmarks.table", str(path))
    assert drawn.returncode == 0, drawn.stderr
    assert (out / "latest-tiny.md").read_text().count("\n|") == 2 + len(names)


def test_every_bench_is_there() -> None:
    assert all(callable(find(name)) for name in BENCHES)


def test_names_choose_benches_and_a_wrong_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen(["noise", "peer"]) == ["noise-fp32", "noise-bf16", "peer"]
    assert chosen(None) == list(BENCHES)
    with pytest.raises(SteadyNetError, match="unknown bench 'memori': did you mean 'memory'"):
        chosen(["memori"])
    assert main(["--only", "memori", "--out", str(tmp_path)]) == 2
    assert main(["--threads", "0", "--out", str(tmp_path)]) == 2
    assert "error: threads must be at least 1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [FP32, BF16])
def test_our_step_without_noise_is_the_plain_step(form: Form) -> None:
    # What is compared does the same work: the same losses, step for step.
    ours, plain = recipe_step(TINY, form, sn.recipe("vanilla")), plain_step(TINY, form)
    for _ in range(3):
        assert float(ours()) == float(plain())


def test_our_step_with_noise_is_another_at_each_call() -> None:
    ours, plain = recipe_step(TINY, FP32, sn.recipe("noise")), plain_step(TINY, FP32)
    assert float(ours()) != float(plain())


def test_the_predicted_time_is_the_least_that_the_components_allow() -> None:
    pilot = Pilot(draw_variance=0.0, residual_variance=0.08, program_seconds=0.004, image_seconds=0.0001)
    std = 0.03
    found, size = best_seconds([pilot], std, 10_000, 0.002)
    between = std**2 - 0.08 / 10_000
    # (σ² + ρ/n)(p + n c) is least at n = sqrt(ρ p / (σ² c)), where it is (sqrt(σ² p) + sqrt(ρ c))².
    assert size == round(math.sqrt(0.08 * 0.004 / (between * 0.0001)))
    least = (math.sqrt(between * 0.004) + math.sqrt(0.08 * 0.0001)) ** 2
    assert found == pytest.approx((1.96 / 0.002) ** 2 * least, rel=1e-4)


def test_the_std_over_chips_leaves_out_what_images_add() -> None:
    # 4000 chips of std 0.02 on two halves with noise of 0.05 each: the covariance 4e-4 has a std of about
    # (0.05² + 0.02²)/sqrt(4000) = 4.6e-5, so the std has one of 1.1e-3. The bound of 5 of them gives a false alarm of
    # 6e-7, and tells it from the 0.054 of a half with a power of 1.
    rng = np.random.default_rng(0)
    chips = 0.9 + 0.02 * rng.standard_normal((4000, 1))
    assert abs(std_over_chips(chips + 0.05 * rng.standard_normal((4000, 2))) - 0.02) < 5 * 1.1e-3
