"""`import steadynet` is instant, its public names are those listed, and specifications need no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import steadynet

SOURCE = Path(steadynet.__file__)
HEAVY = ("torch", "pytorch_lightning", "lightning", "matplotlib", "scipy", "sklearn", "numpy")


def imported(code: str) -> set[str]:
    """Return which heavy packages a fresh Python has loaded after `code`."""
    probe = f"{code}\nimport sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_public_name_exists() -> None:
    for name in steadynet.__all__:
        assert getattr(steadynet, name) is not None
    assert sorted(steadynet.__all__) == dir(steadynet)


def test_type_checkers_see_the_names_that_users_get() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    guarded = next(
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*seen, "__version__"} == set(steadynet.__all__)
    for name, module in seen.items():
        if module != "steadynet":
            assert getattr(sys.modules[str(module)], name) is getattr(steadynet, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'steadynet' has no attribute 'mote_carlo'"):
        steadynet.mote_carlo  # noqa: B018


def test_the_package_imports_nothing_heavy() -> None:
    assert imported("import steadynet") == set()


def test_specifications_are_made_without_torch() -> None:
    code = (
        "import steadynet as sn\n"
        "sn.Device(variation=sn.Gaussian(sigma_d=0.2)); sn.preset('rram4', 0.1)\n"
        "sn.recipe('ovf', beta=0.1); sn.Recipe(objective=sn.IRS())\n"
        "import steadynet.randomness, steadynet.files, steadynet.cli.main\n"
        "import steadynet.study.plan, steadynet.study.estimate, steadynet.cli.study_status, steadynet.cli.study_run\n"
        "sn.read_study\n"
    )
    assert imported(code) == set()


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert steadynet.__version__ == version("steadynet")
