"""What of the code is part of a cell's identity: what computes its numbers, and no words."""

from __future__ import annotations

import subprocess
import sys

import pytest

import steadynet as sn
from steadynet.study import code_version
from steadynet.study.code_version import changed, digest_of_source, training_code

SOURCE = '''"""A module."""
import math


def f(x: float) -> float:
    """Return it."""
    # A comment.
    if x < 0:
        raise ValueError(f"negative: {x}")
    return math.sqrt(x)
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module", "Another"),
        ("Return it", "Give it"),
        ("# A comment.", ""),
        ("negative: {x}", "below zero, got {x}"),
        ("\n\n\n", "\n\n\n\n"),
    ],
)
def test_words_do_not_count(old: str, new: str) -> None:
    assert old in SOURCE
    assert digest_of_source(SOURCE.replace(old, new)) == digest_of_source(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"), [("x < 0", "x <= 0"), ("sqrt", "exp"), ("return math", "x += 1\n    return math")]
)
def test_what_is_computed_counts(old: str, new: str) -> None:
    assert digest_of_source(SOURCE.replace(old, new)) != digest_of_source(SOURCE)


def test_a_function_that_is_only_a_docstring_can_be_read() -> None:
    assert digest_of_source('def f():\n    """Nothing."""') == digest_of_source('def f():\n    """Else."""')
    assert digest_of_source('def f():\n    """Nothing."""') == digest_of_source("def f():\n    pass")


EACH_KIND = """
async def each(a, /, b: int = 1, *c, d=None, **e) -> None:
    x: "int" = (y := 0xFF) + 1_000.0 + 2j
    print(f"{x!r:>{y}.2f} {{}} {a=}" f"{b}", "caf\u00e9 \U0001fae8", b"\\x00", ..., None, True, sep="")
    with a as b, c:
        async for i, *j in d: del i
    match a:
        case {"k": 1, **rest} | [1, *_] if rest: pass
    try: lambda *a, k=1: {**e, **{i: j for i in c if i}}
    except* (ValueError, TypeError) as error: raise error
    finally: x = [*c, a[1:2, ::3]]
"""


def test_a_digest_is_the_same_in_every_version_of_python() -> None:
    """What was trained under one Python is gone on with under another: the value came from 3.11, 3.12 and 3.13."""
    assert digest_of_source(EACH_KIND) == "0542555596e76282"


def test_nothing_that_counts_is_left_out_for_being_empty() -> None:
    distinct = [
        "f(None)",
        "f()",
        "f('')",
        "f(0)",
        "f(False)",
        "f([])",
        "f({})",
        "f(...)",
        "f(f'')",
        "f('', '')",
    ]
    assert len({digest_of_source(text) for text in distinct}) == len(distinct)
    functions = [
        "def f(a, b=None): pass",
        "def f(a, *, b): pass",
        "def f(a, *, b=None): pass",
        "def f(a, b): pass",
    ]
    assert len({digest_of_source(text) for text in functions}) == len(functions)


def test_a_cell_counts_the_parts_that_it_uses_and_no_others() -> None:
    noise, irs = training_code("vgg8", sn.recipe("noise")), training_code("vgg8", sn.recipe("irs"))
    assert "recipes.objective.cross_entropy" in noise
    assert not any("irs" in name or "ovf" in name or "heads" in name or "resnet" in name for name in noise)
    assert {
        "recipes.objective.irs",
        "recipes.objective.heads",
        "recipes.objective.taps",
        "recipes.objective.feedback",
    } <= irs.keys()
    assert {
        "models.vgg",
        "models.init",
        "training.module",
        "nvm.programming",
        "chip",
        "loader",
    } <= noise.keys()
    assert not any(name.startswith(("cli", "study", "report", "montecarlo")) for name in noise)
    assert (
        "none" not in {**noise, **irs, **code_version.testing_code("resnet18", calibrated=False)}.values()
    ), "each module was found"


def test_tests_count_what_tests_compute() -> None:
    code = code_version.testing_code("vgg8", calibrated=False)
    assert {
        "montecarlo.evaluator",
        "montecarlo.metrics",
        "programmer",
        "nvm.variation",
        "models.vgg",
    } <= code.keys()
    assert not any(name.startswith(("training", "recipes")) for name in code)


def test_a_users_own_network_counts_by_its_file() -> None:
    assert "zoo" in training_code("zoo.Pair", sn.recipe("noise"))


def test_changed_modules_are_named() -> None:
    assert changed({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == ["b", "c", "d"]


def test_every_module_of_ours_that_programs_and_runs_a_chip_is_told() -> None:
    """All that the physics imports while it runs, but what only tells of refusals and files."""
    code = (
        "import sys, steadynet.chip, steadynet.programmer, steadynet.nvm.programming, steadynet.nvm.device_file\n"
        "print(*sorted(m for m in sys.modules if m.startswith('steadynet.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = set(code_version.testing_code("cnn", calibrated=False))
    aside = {
        "steadynet.errors",
        "steadynet.files",
        "steadynet.extras",
        "steadynet.nvm",
        "steadynet.nvm.effects",
    }
    assert {name for name in done.stdout.split() if name.removeprefix("steadynet.") not in told} <= aside
