"""The comparison of two simulators: its interval, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.peer.agreement import Agreement, main


def test_the_interval_is_welchs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.8, 0.02, 40), rng.normal(0.8, 0.09, 25)
    mean, half = Agreement(0.1, one, other).difference
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((expected.low, expected.high))


def test_five_in_a_hundred_differ_by_chance_and_three_sigma_do_not_pass() -> None:
    # Of 400 pairs of one law 5 % differ: 20 ± 4.4; the bounds are 4.5 std away. Laws 3 errors of the mean apart differ in 85 %.
    rng = np.random.default_rng(1)

    def differing(shift: float) -> int:
        pairs = ((rng.normal(0.5, 0.1, 50), rng.normal(0.5 + shift, 0.1, 50)) for _ in range(400))
        return sum(not Agreement(0.1, *pair).agrees for pair in pairs)

    assert 1 <= differing(0.0) <= 40
    assert differing(3 * 0.1 * np.sqrt(2 / 50)) > 300


def test_equal_accuracies_agree_and_constant_ones_may_not() -> None:
    same, other = np.full(5, 0.9), np.full(5, 0.8)
    assert Agreement(0.1, same, same).agrees
    assert not Agreement(0.1, same, other).agrees
    assert (
        "| 0.1 | 90.00 (std 0.00) | 80.00 (std 0.00) | +10.00 ± 0.00 | differ |"
        in Agreement(0.1, same, other).row()
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--draws", "1"], "--draws must be an integer ≥ 2, got 1"),
        (["--sigma-d", "0"], "--sigma-d"),
        (["--peer-venv", "."], "is no virtual environment"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["run", *words]) == 2
    assert told in capsys.readouterr().err
