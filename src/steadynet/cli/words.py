"""The words of a command line brought into the one form that the parser knows.

`--model.width 0.25` becomes an entry of `model_options`, `--recipe.weight 0.3` one of `recipe_options`, where several recipes
are compared `--recipe.ovf.beta 0.1` one of that recipe's;
`--sigma-d 0.1 0.2` and `--sigma-d 0.1,0.2` become a list; `--train_sigma_d` is `--train-sigma-d`; `--config FILE`
becomes the options in the file. A word that is no option is refused with the nearest names.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from steadynet.cli.config_file import read_options
from steadynet.errors import SteadyNetError

OptionKind = Literal["value", "list", "dict", "nested", "switch", "bare"]
# The options of recipes are gathered here, not by the parser: their names may hold dots.
_RECIPE = "recipe-options"


def normalise(
    argv: Sequence[str], kinds: Mapping[str, OptionKind], *, positional: str | None = None
) -> list[str]:
    """Return the words as the parser takes them, each option with its value in one word.

    Args:
        argv: The words after the subcommand.
        kinds: Options, without their dashes, and how each takes its value.
        positional: The option that a word without dashes is for.

    Raises:
        SteadyNetError: If a word is no option, an option lacks its value or several values are given in two
            places, or a file of options cannot be read.
    """
    words: list[str] = []
    recipes: dict[str, Any] = {}
    typed: set[str] = set()  # The options given here, not in a file, that stand once at most.
    bare: list[str] = []  # Words without dashes, where they are for an option that takes several.
    at = 0
    while at < len(argv):
        word = argv[at]
        at += 1
        _check_text(word)
        if word == "-h":
            words.append("--help")
            continue
        if not word.startswith("-"):
            if positional is not None and kinds[positional] == "list":
                bare.append(word)
                continue
            if positional is None or positional in typed:
                raise SteadyNetError(f"unexpected word {word!r}: options start with --")
            typed.add(positional)
            words.append(f"--{positional}={word}")
            continue
        name, equals, value = word.partition("=")
        head, _, rest = name.removeprefix("--").partition(".")
        head = head.replace("_", "-")
        kind = _kind(name, head, rest, kinds)
        if kind == "bare":
            words.append({"print-config": "--print_config"}.get(head, f"--{head}") + equals + value)
        elif kind == "switch":
            words.append(_switch(head, value if equals else "true"))
        elif kind == "list":
            if head in typed:
                # Of single values the last one counts, as is usual; of several, a user would expect all to.
                raise SteadyNetError(f"option {name} is given more than once: give all its values at once")
            typed.add(head)
            taken = [value] if equals else []
            while at < len(argv) and not equals and not argv[at].startswith("--"):
                taken.append(argv[at])
                at += 1
            words.append(f"--{head}={_as_list(name, taken)}")
        else:
            if not equals:
                if at >= len(argv) or argv[at].startswith("--"):
                    raise SteadyNetError(f"option {name} needs a value")
                value = argv[at]
                at += 1
            if head == "config":
                words += _file_words(Path(value).expanduser(), kinds, recipes)
            elif kind == "nested" and rest:
                recipe, _, key = rest.rpartition(".")
                if not recipe:
                    raise SteadyNetError(f"option {name} must name an option too: --recipe.ovf.beta 0.1")
                recipes.setdefault(recipe, {})[key.replace("-", "_")] = _value(value)
            elif kind == "dict" and rest and _dict_option(head) == _RECIPE:
                recipes[rest.replace("-", "_")] = _value(value)
            elif kind == "dict" and rest:
                words.append(f"--{_dict_option(head)}.{rest}={value}")
            else:
                words.append(f"--{head}={value}")
    if bare and positional is not None:
        words.append(f"--{positional}={json.dumps(bare)}")
    if recipes:
        words.append(f"--{_RECIPE}={json.dumps(recipes)}")
    return words


def option_files(argv: Sequence[str]) -> list[Path]:
    """Return the configuration files that the words name."""
    after = [value for word, value in itertools.pairwise(argv) if word == "--config"]
    with_sign = [word.partition("=")[2] for word in argv if word.startswith("--config=")]
    return [Path(name).expanduser() for name in (*after, *with_sign)]


def _check_text(word: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError:
        raise SteadyNetError(f"{word!r} is no text in UTF-8") from None


def _file_words(path: Path, kinds: Mapping[str, OptionKind], recipes: dict[str, Any]) -> list[str]:
    """Return the options in the file `path` as words; those of recipes by `recipe.NAME` go into `recipes`.

    An option that is null is one that is not given.
    """
    words: list[str] = []
    gathered: dict[str, dict[str, Any]] = {}
    for name, value in read_options(path).items():
        head, _, rest = name.partition(".")
        head = head.replace("-", "_")
        option = _dict_option(head.replace("_", "-")) if rest else head.replace("_", "-")
        kind = kinds.get(option)
        if kind in (None, "bare") or option == "config" or (rest and kind not in ("dict", "nested")):
            known = [known.replace("-", "_") for known, kind in kinds.items() if kind != "bare"]
            raise unknown_option(
                "option in the configuration file", name, [k for k in known if k != "config"]
            )
        if value is None:
            continue
        if rest:
            for part in reversed(_keys(option, kind, rest)):
                value = {part: value}
        if kind == "switch":
            if not isinstance(value, bool):
                raise SteadyNetError(f"option --{option} takes true or false, got {value!r}")
            words.append(f"--{option}" if value else f"--no-{option}")
        elif kind == "nested":
            _add_nested(option, value, recipes)
        elif kind == "dict":
            _gather(option, value, gathered.setdefault(option, {}))
        elif kind == "list" and isinstance(value, str):
            words.append(f"--{option}={_as_list(name, [value])}")
        elif kind == "list":
            words.append(f"--{option}={_json(value if isinstance(value, list | dict) else [value])}")
        else:
            plain = isinstance(value, bool | int | float | list | dict)
            words.append(f"--{option}={_json(value) if plain else value}")
    recipes.update(gathered.pop(_RECIPE, {}))
    return [*words, *(f"--{option}={_json(values)}" for option, values in gathered.items())]


def _keys(option: str, kind: OptionKind | None, rest: str) -> list[str]:
    """Return the names that stand one in another in what follows the dot of a file's option."""
    if kind == "nested":
        return rest.rsplit(".", 1)  # A recipe's name may hold hyphens.
    rest = rest.replace("-", "_")
    return [rest] if option == _RECIPE else rest.split(".")


def _gather(option: str, values: Any, gathered: dict[str, Any]) -> None:
    """Add options of a network, or of a recipe, to those of other lines.

    Raises:
        SteadyNetError: If they are no names with values, or one of them is there already.
    """
    if not isinstance(values, dict):
        raise SteadyNetError(f"option --{option} takes names with values, got {values!r}")
    given = cast("dict[str, Any]", values)
    twice = sorted(set(given) & set(gathered))
    if twice:
        raise SteadyNetError(f"the configuration file gives {twice[0]} of --{option} twice: give it once")
    gathered.update(given)


def _add_nested(option: str, value: Any, nested: dict[str, Any]) -> None:
    if not isinstance(value, dict) or not all(isinstance(changes, dict) for changes in value.values()):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        raise SteadyNetError(f"option --{option} takes names with values, got {value!r}")
    for recipe, changes in value.items():  # pyright: ignore[reportUnknownVariableType]
        nested.setdefault(str(recipe), {}).update(changes)  # pyright: ignore[reportUnknownArgumentType]


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def unknown_option(kind: str, name: str, known: Sequence[str]) -> SteadyNetError:
    """Return the error for an option that is not known: the nearest ones, or where all are listed."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see --help"
    return SteadyNetError(f"unknown {kind} {name!r}: {hint}")


def _dict_option(head: str) -> str:
    return head if head.endswith("-options") else f"{head}-options"


def _kind(name: str, head: str, rest: str, kinds: Mapping[str, OptionKind]) -> OptionKind:
    known = dict(kinds)
    for option, kind in kinds.items():
        if kind == "switch":
            known[f"no-{option}"] = "switch"
    options = known.get(_dict_option(head))
    if rest and options in ("dict", "nested"):
        return options
    if rest or not name.startswith("--") or head not in known:
        raise unknown_option("option", name, [f"--{option}" for option in kinds])
    return known[head]


def _switch(head: str, value: str) -> str:
    if value.lower() not in ("true", "false", "yes", "no"):
        raise SteadyNetError(f"option --{head} takes true or false, got {value!r}")
    on = value.lower() in ("true", "yes")
    if on:
        return f"--{head}"
    return f"--{head.removeprefix('no-')}" if head.startswith("no-") else f"--no-{head}"


def _as_list(name: str, taken: Sequence[str]) -> str:
    """Return the values as one YAML list."""
    if len(taken) == 1 and taken[0].startswith("["):
        return taken[0]
    values = [part for word in taken for part in _parts(word) if part]
    if not values:
        raise SteadyNetError(f"option {name} needs at least one value")
    return "[" + ", ".join(value if _is_number(value) else json.dumps(value) for value in values) + "]"


def _parts(word: str) -> list[str]:
    """Return the values of one word: those between commas.

    A text with a comma and a space in it is one, as a label is, and so is one NAME=VALUE with commas in its value.
    """
    parts = word.split(",")
    if all(_is_number(part.strip()) for part in parts):
        return parts
    return [word] if ", " in word or word.count("=") == 1 else parts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower().strip("+-") not in ("nan", "inf", "infinity")


def _value(text: str) -> Any:
    """Return a value as YAML has it, and numbers like 1e-3, which YAML 1.1 takes for text, as numbers."""
    if _is_number(text):
        number = float(text)
        return int(text) if text.lstrip("+-").isdigit() else number
    if not text.strip():
        return text  # YAML would have None, which stands for an option that is not given.
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
