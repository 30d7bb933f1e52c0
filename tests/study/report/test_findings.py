"""Findings are worked out from the numbers, and speak of published ones only where they may."""

from __future__ import annotations

from typing import Any

from steadynet.study.report.findings import findings
from steadynet.study.report.views import view_from
from study.rows import figure3, row


def lines(
    rows: list[dict[str, Any]], *views: dict[str, Any], published_allowed: bool = False
) -> tuple[str, ...]:
    return findings(rows, [view_from(view) for view in views], published_allowed=published_allowed)


def rows_of(**accuracies: tuple[float, ...]) -> list[dict[str, Any]]:
    return [
        row(a, axes={"recipe": n, "seed": s})
        for n, values in accuracies.items()
        for s, a in enumerate(values)
    ]


def test_a_ranking_tells_each_verdict_and_the_difference_that_decides() -> None:
    rows = rows_of(
        control=(0.80, 0.80, 0.80),
        IRS=(0.83, 0.831, 0.829),
        OVF=(0.802, 0.798, 0.80),
        other=(0.70, 0.701, 0.699),
        wild=(0.5, 0.9, 0.8),
    )
    (line,) = lines(rows, {"view": "ranking", "control": "control"})
    assert line == (
        "accuracy against control: IRS better (+3.00 ± 0.25); other worse (−10.00 ± 0.25); "
        "OVF equivalent within 1 point (0.00 ± 0.50); wild undecided."
    )


def test_a_ranking_over_sigma_d_tells_where_and_by_panel() -> None:
    found = lines(figure3(), {"view": "ranking", "control": "W/, T = 4", "panels": "panel"})
    assert len(found) == 2
    assert found[0].startswith("VGG-8 MNIST, accuracy against W/, T = 4: W/O worse at sigma_d 0.1 (−")
    assert "W/ not converged at sigma_d 0.3, 0.4" in found[0]
    assert found[1].startswith("ResNet-18 CIFAR-10, ")


def test_a_control_that_is_not_finished_leaves_all_undecided() -> None:
    rows = [r for r in figure3() if r["recipe"] != "W/, T = 4" and r["axes"]["panel"] == "VGG-8 MNIST"]
    (line,) = lines(rows, {"view": "ranking", "control": "W/, T = 4"})
    assert "better" not in line
    assert "worse" not in line


def test_convergence_tells_both_counts() -> None:
    (line,) = lines(rows_of(**{"W/": (*[0.9] * 4, *[0.3] * 6)}), {"view": "convergence"})
    assert line == (
        "W/ at sigma_d 0.2: of 10 trainings, 6 end more than 5 points below their mean and 0 below their median."
    )


def test_agreement_with_published_numbers_is_by_interval_and_only_where_allowed() -> None:
    # Published for W/ on VGG-8 and MNIST: 99.5 at 0.2, 86.6 at 0.3.
    rows = [row(0.9946, half=0.0002, sigma_d=0.2), row(0.80, half=0.01, sigma_d=0.3)]
    view = {"view": "curve", "published": "figure3"}
    assert lines(rows, view) == ()
    (line,) = lines(rows, view, published_allowed=True)
    # 99.48 and the reading's 0.05 reach 99.5.
    assert line == (
        "W/, accuracy against the published numbers: agrees within its interval at 0.2; "
        "differs at 0.3: 80.00 ± 1.00, published 86.6."
    )


def test_the_same_comparison_in_a_curve_and_a_table_is_told_once() -> None:
    view = {"published": "figure3", "panels": "panel"}
    curve = lines(figure3(), {"view": "curve", **view}, published_allowed=True)
    both = lines(
        figure3(),
        {"view": "curve", **view},
        {"view": "table", "columns": "sigma_d", **view},
        published_allowed=True,
    )
    assert len(curve) == 8
    assert both == curve
