"""Which code a cell's numbers come from: a digest of each module that computes them.

A module's digest is that of its syntax tree without docstrings, comments and the words of refusals, so that a text may be
mended without making results old. Modules that do not take part (other recipes, the command line, reports) do not count.
Nothing here imports torch.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import cast

from steadynet.errors import SteadyNetError
from steadynet.models.names import MODELS, of_library
from steadynet.options.build import make_cwd_importable
from steadynet.recipes import Recipe

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = "steadynet"
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Packages whose modules count only where they are used.
_CHOSEN = ("steadynet.recipes.", "steadynet.models.")
_PHYSICS = (
    "randomness",
    "batches",
    "computed",
    "batchnorm",
    "layer_rules",
    "mapping",
    "programmable",
    "chip",
    "nvm.*",
    "nvm.effects.*",
)
_TRAINING = (
    *_PHYSICS, "loader", "data.*", "recipes.base", "recipes.variation",
    "training.module", "training.forwards", "training.catching", "training.shares", "training.loss", "training.evaluation",
    "training.optimizers", "training.batchnorm", "training.checks", "training.checkpoints", "training.recompute", "deploy.state",
    "training.fit", "training.callbacks", "training.settings", "options.build",
)  # fmt: skip
_TESTING = (
    *_PHYSICS, "programmer", "loader", "data.*", "compute", "hardware", "montecarlo.session", "montecarlo.evaluator",
    "montecarlo.forward", "montecarlo.images", "montecarlo.chunks", "montecarlo.engine", "montecarlo.estimates",
    "montecarlo.intervals", "montecarlo.metrics", "montecarlo.result",
)  # fmt: skip
_CALIBRATING = ("deploy.temperature", "deploy.held", "deploy.layers")

Code = Mapping[str, str]


def training_code(model: str, recipe: Recipe) -> Code:
    """Return the digests of the modules that a training's numbers come from, by their names."""
    parts = (recipe.variation, recipe.objective, recipe.constraint, recipe.step)
    chosen = _used([type(part).__module__ for part in parts] + _model_modules(model))
    return _digests([*_expanded(_TRAINING), *chosen])


def testing_code(model: str, *, calibrated: bool) -> Code:
    """Return the digests of the modules that a test's numbers come from, by their names."""
    own = (*_TESTING, *_CALIBRATING) if calibrated else _TESTING
    return _digests([*_expanded(own), *_used(_model_modules(model))])


def forget() -> None:
    """Read sources anew from here on: they may have changed since they were read."""
    importlib.invalidate_caches()
    for cached in (_imports, _file, _digest):
        cached.cache_clear()


def changed(old: Code, new: Code) -> list[str]:
    """Return the modules that differ between two versions of the code, sorted."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def digest_of_source(source: str) -> str:
    """Return the digest of a module's text, the same in every version of Python; see above for what does not count."""
    return _digest_of_tree(ast.parse(source))


def _digest_of_tree(tree: ast.Module) -> str:
    written: list[str] = []
    _write(tree, written.append)
    return hashlib.sha256("".join(written).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _write(node: ast.AST, add: Callable[[str], object]) -> None:
    """Write a syntax tree without docstrings and what is raised.

    Unlike `ast.dump`, whose text differs between versions of Python, it leaves out every field that is empty: a newer
    version may have one that an older does not. Texts are written in ASCII: which other characters can be printed
    depends on the version too. Only of rare f-strings, as f"{x['#']=}", does the tree itself differ.
    """
    add(f"({type(node).__name__}")
    if isinstance(node, ast.Constant):
        add(f" {node.value!a}")
    elif not isinstance(node, ast.Raise):
        for name in node._fields:
            value: object = getattr(node, name, None)
            if name == "body" and isinstance(node, _WITH_DOCSTRING) and _is_text(node.body[:1]):
                value = node.body[1:] or [ast.Pass()]
            if isinstance(node, ast.JoinedStr):  # Some versions of Python end it with an empty text.
                value = [
                    one for one in node.values if not (isinstance(one, ast.Constant) and one.value == "")
                ]
            if value is None or value == []:
                continue
            add(f" {name}=")
            for one in cast("list[object]", value) if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    _write(one, add)
                else:
                    add(f"{one!a},")
    add(")")


def _is_text(statements: Sequence[ast.stmt]) -> bool:
    return any(
        isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
        for one in statements
    )


def _model_modules(model: str) -> list[str]:
    if of_library(model):
        # What is installed beside SteadyNet is told by its version, not by its source.
        return ["steadynet.models.libraries", "steadynet.models.registry"]
    path = MODELS[model].path if model in MODELS else model
    own = ["steadynet.models.init", "steadynet.models.registry"] if model in MODELS else []
    return [path.rpartition(".")[0], *own]


def _expanded(patterns: Iterable[str]) -> list[str]:
    names: list[str] = []
    for pattern in patterns:
        if pattern.endswith(".*"):
            folder = pattern.removesuffix(".*")
            names += [
                f"{_PACKAGE}.{folder}.{path.stem}"
                for path in sorted((_ROOT / folder.replace(".", "/")).glob("*.py"))
            ]
        else:
            names.append(f"{_PACKAGE}.{pattern}")
    return names


def _used(names: Iterable[str]) -> list[str]:
    """Return modules and those that they import: of ours those of recipes and models, of a user's own those that lie beside it.

    Raises:
        SteadyNetError: If a user's module has no source that can be found, or none that can be read.
    """
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = None
        path = _file(name)
        if path is None:
            raise SteadyNetError(
                f"module {name} has no Python source that can be found: a study must know the code of what it trains"
            )
        if name.startswith(_CHOSEN):
            waiting += [other for other in _imports(name) if other.startswith(_CHOSEN) and _file(other)]
        elif not name.startswith(_PACKAGE + "."):
            waiting += [other for other in _imports(name) if _is_beside(other, name, path)]
    return [name for name in found if name not in ("steadynet.recipes.recipe",)]


def _is_beside(other: str, name: str, path: Path) -> bool:
    """Return whether a module is part of the same package as another, or lies in its folder: a user's own code."""
    if other.partition(".")[0] in ("torch", "torchvision", _PACKAGE):
        return False
    theirs = _file(other)
    own = path.parents[name.count(".") + (path.name == "__init__.py")] if "." in name else path.parent
    return theirs is not None and own in theirs.parents and "site-packages" not in theirs.parts


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return the modules that one imports, relative imports resolved; of `from a import b` both a and a.b, if it is one."""
    path = _file(name)
    if path is None:
        return ()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(_tree(name, path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.append(module)
            found += [f"{module}.{alias.name}" for alias in node.names if _file(f"{module}.{alias.name}")]
    return tuple(dict.fromkeys(one for one in found if one))


@cache
def _file(name: str) -> Path | None:
    if name.startswith(_PACKAGE + "."):
        path = _ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py")
        return path if path.is_file() else None
    make_cwd_importable()
    top, *rest = name.split(".")
    # Found without being imported: a user's package may do anything then, and be long gone from where it was.
    spec = PathFinder.find_spec(top)
    if spec is None:
        return _by_other_finders(name)
    if not rest:
        return _source(spec.origin)
    for folder in spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _by_other_finders(name: str) -> Path | None:
    """Return the source of a module that no folder of the path holds, as of an editable installation."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return _source(spec.origin if spec else None)


def _source(origin: str | None) -> Path | None:
    return Path(origin) if origin and origin.endswith(".py") else None


def _digests(names: Iterable[str]) -> dict[str, str]:
    return {name.removeprefix(f"{_PACKAGE}."): _digest(name) for name in sorted(set(names))}


@cache
def _digest(name: str) -> str:
    path = _file(name)
    return "none" if path is None else _digest_of_tree(_tree(name, path))


def _tree(name: str, path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())  # Bytes: a file may name its encoding.
    except (SyntaxError, ValueError) as error:
        raise SteadyNetError(f"module {name} is no Python that can be read ({error}): mend {path}") from error
