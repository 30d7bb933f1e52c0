"""Fields of the parts of a user's own recipe by flat names: `recipe.NAME`, as `model.NAME` is an option of a network.

NAME is a field of one of the recipe's parts, those of a `Several` constraint included; where two have it, PART.NAME tells which,
PART being a role or a part's class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, cast, get_args, get_origin, get_type_hints

from steadynet.errors import SteadyNetError, told, unknown
from steadynet.options.types import expected, fits, is_plain, members
from steadynet.recipes import Recipe, Several
from steadynet.recipes.recipe import ROLES


class _Place(NamedTuple):
    """A field of a part: the part's role, the part, and the field."""

    role: str
    part: Any
    field: str


def with_options(path: str, recipe: Recipe, fields: Mapping[str, Any], changes: Mapping[str, Any]) -> Recipe:
    """Return a user's recipe with fields of its parts changed, and options that it shares with other recipes.

    Args:
        path: Its import path.
        recipe: The recipe that lies there.
        fields: Values of fields by NAME or PART.NAME.
        changes: What `Recipe.replace` takes.

    Raises:
        SteadyNetError: If no field has that name (the message names those that there are) or two have, a value is none that it
            takes, or an option changes it again.
    """
    places = {name: _place(path, recipe, name) for name in fields}
    values: dict[int, dict[str, Any]] = {}
    for name, place in places.items():
        own = values.setdefault(id(place.part), {})
        if place.field in own:
            raise SteadyNetError(
                f"recipe.{name} and another of {', '.join(f'recipe.{n}' for n in places)} are one field: give it once"
            )
        own[place.field] = _value(name, place, fields[name])
    parts = {role: _changed(path, getattr(recipe, role), values) for role in ROLES}
    own_alone = dataclasses.replace(recipe, **parts)
    made = own_alone.replace(**changes)
    for name, place in places.items():
        now = [getattr(part, place.field, None) for role, part in _parts(made) if role == place.role]
        if any(value not in now for value in _held(own_alone, place)):
            options = [place.field] if place.field in changes else list(changes)
            raise SteadyNetError(
                f"recipe.{name} {fields[name]!r} is changed again by "
                f"{' or '.join('--' + option.replace('_', '-') for option in options)}: give one of them"
            )
    return made


def _held(recipe: Recipe, place: _Place) -> list[Any]:
    """Return what a part has made of the value that its field was given."""
    alike = [part for role, part in _parts(recipe) if role == place.role and type(part) is type(place.part)]
    return [getattr(part, place.field) for part in alike]


def _parts(recipe: Recipe) -> list[tuple[str, Any]]:
    """Return the parts with their roles, each of several constraints by itself."""
    found: list[tuple[str, Any]] = []
    for role in ROLES:
        part: Any = getattr(recipe, role)
        found += [(role, one) for one in (part.constraints if isinstance(part, Several) else (part,))]
    return found


def _fields(part: Any) -> list[str]:
    """Return the names of a part's fields that can be given."""
    return [f.name for f in dataclasses.fields(part) if f.init] if dataclasses.is_dataclass(part) else []


def _place(path: str, recipe: Recipe, name: str) -> _Place:
    """Return the one field that a name stands for.

    Raises:
        SteadyNetError: If it is none, or two.
    """
    every = [_Place(role, part, field) for role, part in _parts(recipe) for field in _fields(part)]
    part, _, field = name.rpartition(".")
    found = [
        place
        for place in every
        if place.field == field and part in ("", place.role, type(place.part).__name__)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        named = " or ".join(f"recipe.{_told(place, found)}.{field}" for place in found)
        raise SteadyNetError(
            f"recipe.{name}: {len(found)} parts of recipe {path} have that field: give {named}"
        )
    if not every:
        raise SteadyNetError(
            f"recipe.{name}: the parts of recipe {path} have no fields: make one a frozen dataclass with it"
        )
    raise unknown(f"field of recipe {path}", name, {place.field for place in every})


def _told(place: _Place, among: list[_Place]) -> str:
    """Return what tells a part from others: its role, or its class where they share that."""
    alike = [other for other in among if other.role == place.role]
    return place.role if len(alike) == 1 else type(place.part).__name__


def _value(name: str, place: _Place, given: Any) -> Any:
    """Return a value as its field takes it: a list for a tuple, words between commas for several, none for None.

    Raises:
        SteadyNetError: If it is of another type than the field, or the field of none that can be written.
    """
    owner = cast("type[Any]", type(place.part))
    try:
        kind = get_type_hints(owner)[place.field]
    except Exception as error:  # Whatever a user's annotations name.
        raise SteadyNetError(
            f"recipe.{name}: an annotation of {owner.__name__} cannot be resolved ({told(error)}): import what it names"
        ) from error
    if not is_plain(kind):
        shown = kind if get_args(kind) else getattr(kind, "__name__", kind)
        raise SteadyNetError(
            f"recipe.{name}: {owner.__name__} has it as {shown}, which no option can be: set it in Python, "
            "or annotate it as a number, a text, a bool, a Literal or a tuple of one of these"
        )
    optional = type(None) in get_args(kind)
    if optional and (given is None or (given == "none" and not _is_literal(given, kind))):
        return None
    value: Any = given.split(",") if isinstance(given, str) and not fits(given, kind) else given
    if not fits(value, kind):
        raise SteadyNetError(
            f"recipe.{name} takes {expected(kind)}{' or none' if optional else ''}, got {given!r}"
        )
    if members(kind) == (float,):
        return float(value)
    several = isinstance(value, list) and any(get_origin(member) is tuple for member in members(kind))
    return tuple(cast("list[Any]", value)) if several else cast("Any", value)


def _is_literal(given: str, kind: Any) -> bool:
    return any(given in get_args(member) for member in members(kind))


def _changed(path: str, part: Any, values: Mapping[int, Mapping[str, Any]]) -> Any:
    """Return a part with fields changed, several constraints one by one."""
    if isinstance(part, Several):
        each = tuple(_changed(path, one, values) for one in part.constraints)
        return dataclasses.replace(part, constraints=each) if each != part.constraints else part
    own = values.get(id(part))
    if not own:
        return part
    try:
        return dataclasses.replace(part, **own)
    except SteadyNetError:
        raise
    except Exception as error:  # Whatever a user's part refuses.
        shown = ", ".join(f"{field} {value!r}" for field, value in own.items())
        raise SteadyNetError(
            f"recipe {path}: {type(part).__name__} does not take {shown} ({told(error)}): give it others"
        ) from error
