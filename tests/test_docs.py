"""What README, docs and docstrings show as Python runs, and what they link to exists; tutorials run in `make docs`."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import torch

import steadynet

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(steadynet.__path__, "steadynet.")
    if not module.name.endswith("__main__")
]


def blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_there_are_examples_to_run() -> None:
    assert len(blocks(ROOT / "README.md")) >= 3
    assert len(PAGES) >= 5


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_a_pages_python_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # The name of a module that there is: a dataclass looks its own up.
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), names)
    if page.name == "README.md":
        assert "95 % interval over draws" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_reference_has_every_public_name_once() -> None:
    told: list[str] = []
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        told += re.findall(r"^::: (steadynet\.[\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(told) == len(set(told))
    objects: list[object] = []
    for path in told:
        module, _, name = path.rpartition(".")
        objects.append(getattr(importlib.import_module(module), name))
    public = {name: getattr(steadynet, name) for name in steadynet.__all__}
    for name, value in public.items():
        if name not in ("__version__", "data", "models"):
            assert any(value is other for other in objects), f"steadynet.{name} is on no page of docs/api"


def test_the_site_names_every_page() -> None:
    named = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.relative_to(ROOT / "docs").as_posix() in named


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    torch.manual_seed(0)
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "Device",
        "Gaussian",
        "Recipe",
        "curve",
        "fit",
        "layout",
        "monte_carlo",
        "preset",
        "program",
        "recipe",
        "run",
    ],
)
def test_the_main_names_have_an_example(name: str) -> None:
    assert ">>>" in (getattr(steadynet, name).__doc__ or "")
