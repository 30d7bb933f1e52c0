"""Seeds depend on what they are for, and on nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadynet.errors import SteadyNetError
from steadynet.randomness import STREAMS, draw_generator, stable_seed

parts = st.lists(st.one_of(st.text(max_size=5), st.integers(-(2**70), 2**70)), max_size=4)


@given(parts, parts)
def test_seeds_differ_where_the_parts_do(one: list[str | int], other: list[str | int]) -> None:
    # "\x1f" separates the hashed parts, so a text that holds it may imitate two.
    if any("\x1f" in str(part) for part in (*one, *other)):
        return
    # Two of Hypothesis's pairs collide by chance with probability below 1e-14.
    assert (stable_seed(*one) == stable_seed(*other)) == (one == other)


@given(parts)
def test_seeds_fit_a_generator(one: list[str | int]) -> None:
    assert 0 <= stable_seed(*one) < 2**63


def test_a_seed_is_the_same_in_every_process_and_forever() -> None:
    code = "from steadynet.randomness import stable_seed; print(stable_seed(0, 'test', 7, 0, 'conv.weight'))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    ).stdout
    assert int(printed) == stable_seed(0, "test", 7, 0, "conv.weight")
    # Pinned: a change here changes every published number.
    assert stable_seed(0, "test", 7, 0, "conv.weight") == 7486498564185824276


def test_draws_repeat_and_differ_in_every_part() -> None:
    def numbers(*arguments: Any) -> torch.Tensor:
        return torch.randn(8, generator=draw_generator(*arguments))

    base = (0, "test", 3, 1, "a")
    assert torch.equal(numbers(*base), numbers(*base))
    others = [
        (1, *base[1:]),
        (0, "train", *base[2:]),
        (0, "test", 4, 1, "a"),
        (0, "test", 3, 2, "a"),
        (*base[:4], "b"),
    ]
    for other in others:
        assert not torch.equal(numbers(*base), numbers(*other)), other


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    torch.randn(4, generator=draw_generator(0, "train", 0, 0, "x"))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("stream", STREAMS)
def test_draws_of_a_stream_are_standard_normal(stream: Any) -> None:
    # 4000 chips' first numbers: the mean's std is 0.0158. A bound of 5 std gives a false alarm of 6e-7 a
    # stream, and finds a shift of 0.13 with a power of 0.999.
    numbers = torch.cat([torch.randn(1, generator=draw_generator(0, stream, k, 0, "w")) for k in range(4000)])
    assert abs(float(numbers.mean())) < 5 / 4000**0.5
    # The variance's std is sqrt(2/4000) = 0.0224; the bound is again 5 std.
    assert abs(float(numbers.var()) - 1) < 5 * (2 / 4000) ** 0.5
    # Neighbouring draws are uncorrelated: the coefficient's std is 0.0158.
    assert abs(float((numbers[1:] * numbers[:-1]).mean())) < 5 / 3999**0.5


def test_bad_parts_are_refused() -> None:
    with pytest.raises(SteadyNetError, match="unknown stream 'tset': did you mean 'test'"):
        draw_generator(0, "tset", 0, 0, "x")  # type: ignore[arg-type]
    for arguments in ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0.5, 0)):
        seed, draw, pass_ = arguments
        with pytest.raises(SteadyNetError, match="must be an integer ≥ 0"):
            draw_generator(seed, "test", draw, pass_, "x")  # type: ignore[arg-type]
