"""Which cells of a plan are meant: by their labels, by their folder's name, or as a share of all."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from steadynet.errors import SteadyNetError, check_integer
from steadynet.study.cells import Point, point_key, written
from steadynet.study.definition import Study
from steadynet.study.plan import Plan
from steadynet.study.reading import picked
from steadynet.study.search_store import Planned
from steadynet.study.store import Place


def select(
    whole: Plan, *, only: Sequence[str] = (), shard: tuple[int, int] | None = None
) -> tuple[Place, ...]:
    """Return the places that are meant, in the plan's order, and those that they start from.

    Args:
        whole: The plan.
        only: Terms that must all hold: axis=label (several labels: axis=label|label), or a pattern for the folder's name.
        shard: (i, n), i from 1: every n-th cell, beginning with the i-th, so that n jobs share the work.

    Raises:
        SteadyNetError: If a term names no axis, label or folder, or nothing is left.
    """
    chosen, waits = list(whole.places), bool(select_waiting(whole, only))
    for term in only:
        chosen = _kept(whole, chosen, term)
        if not chosen and not waits:
            raise SteadyNetError(f"--only {' '.join(only)} leaves no cell")
    if shard is not None:
        check_integer("shard's number of parts", shard[1], at_least=1)
        check_integer("shard", shard[0], at_least=1, at_most=shard[1])
        chosen = chosen[shard[0] - 1 :: shard[1]]
    return whole.with_starts(chosen)


def select_waiting(whole: Plan, only: Sequence[str] = ()) -> tuple[tuple[Point, Planned], ...]:
    """Return the points that wait for a search and are meant; a pattern for a folder's name means none of them.

    Raises:
        SteadyNetError: If a term names no label.
    """
    studies = {study.name: study for study in whole.studies}
    return tuple(
        (point, search)
        for point, search in whole.waiting
        if all("=" in term and matches(point, studies[point.study], term) for term in only)
    )


def searches_for(whole: Plan, only: Sequence[str] = ()) -> tuple[Planned, ...]:
    """Return the searches that points which are meant wait for, each once."""
    meant = {(point.study, point_key(point.labels)) for point, _ in select_waiting(whole, only)}
    found = {
        search.key: search
        for search in reversed(whole.searches)
        if search.chosen() is None
        and any((point.study, point_key(point.labels)) in meant for point in search.sought.points)
    }
    return tuple(reversed(found.values()))


def matches(point: Point, study: Study, term: str) -> bool | None:
    """Return whether a point has the label that a term axis=label wants; None if its study has no such axis."""
    axis = max((name for name in point.labels if term.startswith(f"{name}=")), key=len, default="")
    if not axis:
        return None
    wanted = term.removeprefix(f"{axis}=")
    return written(point.labels[axis]) in _wanted(wanted, study, axis)


def _wanted(wanted: str, study: Study, axis: str) -> set[str]:
    """Return the labels that a text names, as they are written: the whole text, or several between |."""
    texts = [written(label) for label in study.axis(axis).labels]
    given = [wanted] if wanted in texts else wanted.split("|")
    return {text if text in texts else _as_number(text) for text in given}


def _check_term(term: str, studies: Sequence[Study]) -> None:
    """Raise unless a term's axis, the longest that it begins with, and each label that it wants are those of some study.

    Raises:
        SteadyNetError: If they are not; the nearest are named.
    """
    names = {axis.name for study in studies for axis in study.axes}
    axis = max((name for name in names if term.startswith(f"{name}=")), key=len, default="")
    if not axis:
        raise SteadyNetError(
            f"--only {term}: no study has an axis {term.partition('=')[0]!r}; axes: {', '.join(sorted(names))}"
        )
    wanted = term.removeprefix(f"{axis}=")
    having = [study for study in studies if any(own.name == axis for own in study.axes)]
    known = list(dict.fromkeys(written(label) for study in having for label in study.axis(axis).labels))
    missing = set[str]().union(*(_wanted(wanted, study, axis) for study in having)) - set(known)
    if missing:
        picked(f"--only {axis}", sorted(missing), known)


def _as_number(text: str) -> str:
    """Return a number in another spelling, such as 0.20, as labels are written."""
    try:
        return written(float(text))
    except ValueError:
        return text


def _kept(whole: Plan, chosen: Sequence[Place], term: str) -> list[Place]:
    if "=" not in term:
        pattern = term if any(c in term for c in "*?[") else f"*{term}*"
        return [found for found in chosen if fnmatch.fnmatchcase(found.folder.name, pattern)]
    studies = {study.name: study for study in whole.studies}
    _check_term(term, whole.studies)
    return [
        found
        for found in chosen
        if any(matches(point, studies[point.study], term) for point in found.cell.points)
    ]
