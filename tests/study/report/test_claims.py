"""Claims: held to differences paired by seed, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from steadynet.errors import SteadyNetError
from steadynet.study.report.content import Grid
from steadynet.study.report.findings import findings
from steadynet.study.report.views import view_from
from steadynet.study.report.views.claims import ClaimsView
from steadynet.study.report.views.groups import select
from study.rows import row

MORE = {"claim": "OVF keeps more", "better": {"recipe": "OVF"}, "than": {"recipe": "W/"}}


def rows(differences: dict[float, list[float]], **others: Any) -> list[dict[str, Any]]:
    """W/ at 90 % and OVF by so many points more, for each σ_d and seed; vanilla beside them."""
    made: list[dict[str, Any]] = []
    for sigma_d, points in differences.items():
        for seed, more in enumerate(points):
            axes = {"sigma_d": sigma_d, "seed": seed}
            made += [
                row(0.9, axes={**axes, "recipe": "W/O"}),
                row(0.9 + 0.001 * seed, axes={**axes, "recipe": "W/"}),
                row(0.9 + 0.001 * seed + more / 100, axes={**axes, "recipe": "OVF"}, **others),
            ]
    return made


def table(found: list[dict[str, Any]], **keys: Any) -> Grid:
    [block] = view_from({"view": "claims", "claims": [MORE], **keys}).blocks(found, key_prefix="x")
    assert isinstance(block, Grid)
    return block


def test_each_verdict_is_given_where_its_interval_says_so() -> None:
    # Student's quantile for three pairs is 4.303: the half widths are 4.303 · s/√3.
    differences = {
        0.1: [3.0, 3.1, 3.2], 0.2: [-3.0, -3.1, -3.2], 0.3: [0.1, 0.0, -0.1], 0.4: [5.0, 0.0, -4.0], 0.5: [0.4, 0.5, 0.6],
    }  # fmt: skip
    made = table(rows(differences))
    assert made.columns == ("claim", "sigma_d", "difference of accuracy", "verdict")
    assert [line[-1].text for line in made.rows] == [
        "holds †",
        "the opposite holds †",
        "does not hold: equivalent within 1 point",
        "undecided",
        "holds, by less than 1 point †",
    ]
    # Among five: p of the first three by size 0.0003, 0.0003 and 0.013, below 0.05 / 5, / 4 and / 3.
    assert any(note.startswith("†: decided also where all 5 converged") for note in made.notes)
    first = made.rows[0][2]
    assert first.value == pytest.approx(3.1)
    assert first.hi is not None
    assert first.hi - 3.1 == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)
    lines = findings(rows(differences), [view_from({"view": "claims", "claims": [MORE]})])
    assert lines[0].startswith("“OVF keeps more” (the paper): holds at sigma_d 0.1 (+3.10 ± 0.25)")


def test_one_seed_decides_nothing_and_what_is_not_converged_neither() -> None:
    assert [line[-1].text for line in table(rows({0.1: [5.0]})).rows] == ["undecided"]
    slow = table(rows({0.1: [5.0, 5.1, 5.2]}, clean_accuracy=0.9))
    assert [line[-1].text for line in slow.rows] == ["not converged"]


def test_a_claim_whose_trainings_are_not_finished_is_told_as_such() -> None:
    found = rows({0.1: [3.0, 3.1, 3.2]})
    expected = [
        {"recipe": recipe, "seed": seed, "sigma_d": sigma_d}
        for recipe in ("W/O", "W/", "OVF", "late")
        for seed in (0, 1, 2)
        for sigma_d in (0.1, 0.2)
    ]
    late = {"claim": "late keeps more", "better": {"recipe": "late"}, "than": {"recipe": "W/"}}
    view = view_from({"view": "claims", "claims": [MORE, late]})
    [made] = view.blocks(found, key_prefix="x", expected=expected)
    assert isinstance(made, Grid)
    assert [[line[0].text, line[1].text, line[-1].text] for line in made.rows] == [
        ["OVF keeps more", "0.1", "holds"],
        ["OVF keeps more", "0.2", "not finished"],
        ["late keeps more", "0.1", "not finished"],
        ["late keeps more", "0.2", "not finished"],
    ]
    # 6 of W/, 6 of OVF, 6 of late, each once; 3 of W/ and of OVF are there.
    assert "12 of 18 results (a training tested at a sigma_d) are not finished" in made.notes
    [alone] = view_from({"view": "claims", "claims": [late]}).blocks(found, key_prefix="x", expected=expected)
    assert isinstance(alone, Grid)
    assert {line[-1].text for line in alone.rows} == {"not finished"}


def test_what_is_no_share_is_not_told_in_points() -> None:
    made = table(rows({0.1: [3.0, 3.1, 3.2]}), metric="nll")
    assert not any("point" in note for note in made.notes)


def test_a_side_that_is_not_converged_is_told_whichever_it_is() -> None:
    made = rows({0.1: [3.0, 3.1, 3.2]})
    short = [{**one, "clean_accuracy": 0.9} if one["axes"]["recipe"] == "W/" else one for one in made]
    [line] = table(short).rows
    assert line[-1].text == "not converged"
    assert line[-2].converged is False


def test_pairs_are_the_seeds_that_both_sides_have() -> None:
    made = [one for one in rows({0.1: [3.0, 3.1, 3.2]}) if (one["axes"]["recipe"], one["seed"]) != ("W/", 2)]
    [found] = ClaimsView.made_from({"claims": [MORE]}).found(select(made, {}, None))
    assert found.pairs == 2


def test_other_axes_are_paired_apart() -> None:
    found = rows({0.1: [3.0, 3.1, 3.2]})
    both = [{**one, "axes": {**one["axes"], "net": net}} for one in found for net in ("a", "b")]
    made = table(both)
    assert [[entry.text for entry in line[:2]] for line in made.rows] == [
        ["OVF keeps more", "a"],
        ["OVF keeps more", "b"],
    ]


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ("OVF is better", "claims must be a list"),
        ([{"claim": "a", "better": {"seed": 1}, "than": {"seed": 0}}], "'a' speaks of seeds"),
        ([{"claim": "a", "better": {"recipe": "W/"}, "than": {"recipe": "W/"}}], "are the same: name two"),
        ([], "claims must be a list"),
        (["OVF is better"], "a claim must hold claim, better and than"),
        ([{"claim": "x", "better": {"recipe": "OVF"}}], "a claim needs than"),
        ([{**MORE, "then": {}}], "unknown key of a claim 'then': did you mean 'than'"),
        ([{**MORE, "than": {"N": 1}}], "better and than must name the same axes"),
        ([{**MORE, "than": {}}], "must hold axes with a label each"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(claims: Any, told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        view_from({"view": "claims", "claims": claims})
    assert told in str(raised.value)


def test_a_claim_of_a_label_that_is_not_there_is_refused_with_the_nearest() -> None:
    from steadynet.study.report.assemble import views_of
    from steadynet.study.specification import study
    from study.small import written

    wrong = {**MORE, "better": {"recipe": "OVV"}}
    with pytest.raises(
        SteadyNetError, match="unknown label of axis recipe in a claim 'OVV': did you mean 'OVF'"
    ):
        views_of(study(written(report=[{"view": "claims", "claims": [wrong]}])))


def test_a_claim_of_sigma_d_is_one_of_the_tests() -> None:
    from steadynet.study.report.assemble import views_of
    from steadynet.study.specification import study
    from study.small import WRITTEN, written

    axes = {name: labels for name, labels in WRITTEN["axes"].items() if name != "sigma_d"}
    claim = {"claim": "little noise harms less", "better": {"sigma_d": 0.1}, "than": {"sigma_d": 0.3}}
    asked = {"axes": axes, "report": [{"view": "claims", "claims": [claim]}]}
    assert views_of(study(written(**asked, test={"sigma_d": [0.1, 0.3], "draws": 3})))
    with pytest.raises(SteadyNetError, match=r"unknown label of axis sigma_d in a claim 0\.3: .*0\.1"):
        views_of(study(written(**asked, test={"sigma_d": [0.1, 0.2], "draws": 3})))
    with pytest.raises(SteadyNetError, match="unknown axis in a claim 'sigma_d'"):
        views_of(study(written(**asked)))
