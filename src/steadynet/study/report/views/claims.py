"""Whether what somebody claims holds here: that one training keeps more than another, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from steadynet.errors import SteadyNetError, unknown
from steadynet.report.rows import Estimate, order
from steadynet.study.report.content import Block, Entry, Grid
from steadynet.study.report.views import words
from steadynet.study.report.views.base import View
from steadynet.study.report.views.comparing import SAME, compared, difference_text, held_together
from steadynet.study.report.views.groups import Group, Label, Row, Selection, label_of, label_text, select

HOLDS, OPPOSITE, EQUIVALENT = "holds", "the opposite holds", "does not hold: equivalent within 1 point"
NOT_FINISHED = "not finished"
_KEYS = ("claim", "better", "than")


@dataclass(frozen=True)
class Claim:
    """That trainings with some labels keep more than trainings with others.

    Attributes:
        words: The claim in words.
        better: Labels by axis of those that are said to keep more.
        than: Labels by the same axes of those that are said to keep less.
    """

    words: str
    better: Mapping[str, Label]
    than: Mapping[str, Label]

    @classmethod
    def made_from(cls, written: Any) -> Claim:
        """Return the claim that a mapping describes.

        Raises:
            SteadyNetError: If a key is missing or unknown, or the two sides do not name the same axes.
        """
        if not isinstance(written, Mapping):
            raise SteadyNetError(f"view claims: a claim must hold claim, better and than, got {written!r}")
        held = cast("Mapping[str, Any]", written)
        for key in held:
            if key not in _KEYS:
                raise unknown("key of a claim", key, _KEYS)
        missing = [key for key in _KEYS if key not in held]
        if missing:
            raise SteadyNetError(f"view claims: a claim needs {', '.join(missing)}")
        better, than = held["better"], held["than"]
        for side in (better, than):
            if not isinstance(side, Mapping) or not side:
                raise SteadyNetError(
                    f"view claims: better and than must hold axes with a label each, got {side!r}"
                )
        if set(better) != set(than):
            raise SteadyNetError(f"view claims: {held['claim']!r}: better and than must name the same axes")
        if "seed" in better:
            raise SteadyNetError(
                f"view claims: {held['claim']!r} speaks of seeds, over which trainings are averaged: name another axis"
            )
        if better == than:
            raise SteadyNetError(f"view claims: {held['claim']!r}: better and than are the same: name two")
        return cls(str(held["claim"]), dict(better), dict(than))


@dataclass(frozen=True)
class Found:
    """What came of a claim in one place of the grid.

    Attributes:
        claim: The claim.
        place: Labels of the other axes, with σ_d.
        groups: The two sides' trainings.
        difference: Of the two, paired by seed; None where fewer than two seeds are shared.
        pairs: How many seeds are shared.
        verdict: holds, the opposite holds, does not hold: equivalent within 1 point, undecided, not converged, the same
            trainings, or not finished.
    """

    claim: Claim
    place: Mapping[str, Label]
    groups: tuple[Group, Group]
    difference: Estimate | None
    pairs: int
    verdict: str


@dataclass(frozen=True, kw_only=True)
class ClaimsView(View):
    """A table of claims, and what comes of them.

    Args:
        title: Heading.
        where: Only rows with these labels.
        claims: Each as {claim: words, better: {axis: label}, than: {axis: label}}.
        source: Whose claims they are.
        metric: What is kept.
    """

    kind: ClassVar[str] = "claims"

    claims: tuple[Claim, ...]
    source: str = "the paper"
    metric: str = "accuracy"

    @classmethod
    def made_from(cls, written: Mapping[str, Any]) -> ClaimsView:
        """Return the view with these keys; see `View.made_from`."""
        claims = written.get("claims")
        if claims is not None and (not isinstance(claims, list | tuple) or not claims):
            raise SteadyNetError(f"view claims: claims must be a list, got {claims!r}")
        made = tuple(Claim.made_from(one) for one in cast("Sequence[Any]", claims or ()))
        return super().made_from({**written, **({"claims": made} if made else {})})

    @property
    def axes_used(self) -> tuple[str, ...]:
        """See `View.axes_used`."""
        return tuple(order([*super().axes_used, *(axis for claim in self.claims for axis in claim.better)]))

    def found(self, selection: Selection) -> tuple[Found, ...]:
        """Return what came of each claim, by σ_d and the other axes; where a side is not finished, that too."""
        named = [
            *(a for entry in selection.expected for a in entry),
            *(a for row in selection.rows for a in row["axes"]),
        ]
        axes = [*(axis for axis in order(named) if axis not in ("seed", "sigma_d")), "sigma_d"]
        groups = selection.groups(axes, self.kind)
        made: list[Found] = []
        for claim in self.claims:
            others = [axis for axis in axes if axis not in claim.better]
            places = [
                tuple(entry[axis] for axis in others)
                for entry in selection.expected
                if all(axis in entry for axis in others)
            ]
            for place in order(
                [*places, *(tuple(label_of(row, axis) for axis in others) for row in selection.rows)]
            ):
                here = dict(zip(others, place, strict=True))
                sides = [
                    groups.get(tuple({**here, **side}[axis] for axis in axes))
                    for side in (claim.better, claim.than)
                ]
                one, other = sides
                if one is not None and other is not None:
                    made.append(self._found(claim, here, one, other))
        return tuple(made)

    def check_labels(self, labels: Mapping[str, Sequence[Label]]) -> None:
        """Raise unless claims speak of labels that their axes have.

        Raises:
            SteadyNetError: If one does not; the nearest are named.
        """
        for claim in self.claims:
            for axis, label in (*claim.better.items(), *claim.than.items()):
                if axis not in labels:
                    raise unknown("axis in a claim", axis, labels)
                if label not in labels[axis]:
                    raise unknown(f"label of axis {axis} in a claim", label, map(str, labels[axis]))

    def _found(self, claim: Claim, place: Mapping[str, Label], one: Group, other: Group) -> Found:
        if not one.rows or not other.rows:
            return Found(claim, place, (one, other), None, 0, NOT_FINISHED)
        difference, pairs, told = compared(self.shown_metric, one, other)
        if "not converged" in told:
            told = "not converged"
        elif told.startswith("equivalent"):
            told = EQUIVALENT
        elif told not in ("undecided", SAME):
            told = told.replace("better", HOLDS, 1).replace("worse", OPPOSITE, 1)
        return Found(claim, place, (one, other), difference, pairs, told)

    def blocks(
        self,
        rows: Sequence[Row],
        *,
        key_prefix: str,
        published_allowed: bool = False,
        expected: Sequence[Mapping[str, Label]] | None = None,
    ) -> tuple[Block, ...]:
        """Return the table; see `View.blocks`."""
        found = self.found(select(rows, self.where, expected))
        if not found:
            return ()
        metric = self.shown_metric
        places = [axis for axis in found[0].place if len(order(one.place.get(axis) for one in found)) > 1]
        daggers, together = held_together([(one.difference, one.pairs, one.verdict) for one in found])
        lines = [
            (
                Entry(one.claim.words),
                *(Entry(label_text("", one.place.get(axis, "")).strip()) for axis in places),
                self._difference(one),
                Entry(one.verdict + dagger),
            )
            for one, dagger in zip(found, daggers, strict=True)
        ]
        groups = list({id(group): group for one in found for group in one.groups}.values())
        finished = any(group.rows for group in groups)
        counts = [str(n) for n in sorted({one.pairs for one in found if one.difference is not None})]
        return (
            Grid(
                key=words.key(key_prefix, self.kind, metric.name),
                title=self.title or f"What {self.source} says, and what comes of it here",
                columns=("claim", *places, f"difference of {metric.name}", "verdict"),
                rows=tuple(lines),
                notes=(
                    f"differences {'in points, ' if metric.in_points else ''}paired by seed"
                    + (
                        f"; their 95 % intervals are over {words.listed(counts)} pairs of trainings (Student's t)"
                        if counts
                        else ""
                    )
                    + ", each for its own comparison: of twenty, one misses by chance",
                    "a claim holds where the whole interval lies on its side of 0; undecided: the interval holds 0"
                    + (" and reaches further than 1 point from it" if metric.in_points else "")
                    + ", fewer than two seeds are shared, or all differences are the same, which gives no interval",
                    *together,
                    *(
                        words.notes(groups, sign="±", mark="asterisk")[1:]
                        if finished
                        else words.missing_note(groups)
                    ),
                ),
            ),
        )

    def _difference(self, one: Found) -> Entry:
        if one.difference is None:
            return Entry(
                "–", detail=one.verdict if one.verdict == NOT_FINISHED else "fewer than two seeds are shared"
            )
        d = one.difference
        return Entry(
            difference_text(self.shown_metric, d),
            d.mean,
            d.lo,
            d.hi,
            converged=one.verdict != "not converged",
            detail=f"{one.pairs} pairs; {one.groups[0].detail}",
        )
