"""Views as they are written: what their keys come to, and what is refused in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from steadynet.errors import SteadyNetError
from steadynet.study.report.views import VIEWS, view_from, words
from steadynet.study.report.views.ranking import RankingView
from steadynet.study.report.views.table import TableView
from study.rows import GRID, expected, figure3

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))


def test_keys_become_fields_and_one_label_stands_for_a_list() -> None:
    view = view_from(
        {"view": "table", "metric": "nll", "columns": "sigma_d", "where": {"recipe": "OVF", "seed": [0, 1]}}
    )
    assert view == TableView(metric="nll", columns="sigma_d", where={"recipe": ("OVF",), "seed": (0, 1)})


def test_axes_that_a_study_must_have_are_told_and_facts_of_every_row_are_not() -> None:
    view = view_from(
        {
            "view": "table",
            "rows": "N",
            "columns": "sigma_d",
            "panels": "panel",
            "where": {"size": [16], "seed": 0},
        }
    )
    assert view.axes_used == ("panel", "N", "size")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({}, "a view needs its kind"),
        ({"view": "curves"}, "unknown view 'curves': did you mean 'curve'"),
        ({"view": "curve", "serie": "N"}, "unknown key of view curve 'serie': did you mean 'series'"),
        (
            {"view": "curve", "metric": "acuracy"},
            "unknown metric of view curve 'acuracy': did you mean 'accuracy'",
        ),
        (
            {"view": "curve", "published": "figure5"},
            "unknown published numbers of view curve 'figure5': did you mean 'figure4'",
        ),
        ({"view": "curve", "x": 3}, "view curve: x must be a text, got 3"),
        ({"view": "curve", "x": "recipe"}, "view curve names axis recipe twice"),
        ({"view": "table", "where": ["a"]}, "view table: where must hold axes with labels"),
        ({"view": "table", "where": {"seed": []}}, "view table: where: seed must be a label"),
        ({"view": "table", "where": {"seed": True}}, "view table: where: seed must be a label"),
        ({"view": "ranking"}, "view ranking needs control"),
    ],
)
def test_what_no_view_takes_is_refused_in_one_line(written: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        view_from(written)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"view": "curve", "where": {"recipe": ["OVV"]}}, "where: recipe has no label 'OVV': did you mean OVF"),
        ({"view": "curve", "where": {"panels": ["x"]}}, "unknown axis 'panels': did you mean 'panel'"),
        ({"view": "table", "rows": "N"}, "unknown axis 'N'"),
        ({"view": "curve", "x": "panel", "where": {"sigma_d": 0.2}}, "x must be an axis of numbers, but panel has 'VGG-8 MNIST'"),
        ({"view": "curve"}, "view curve mixes panel VGG-8 MNIST and ResNet-18 CIFAR-10 in one value: name panel"),
        ({"view": "table", "where": {"panel": "VGG-8 MNIST"}}, "view table mixes sigma_d 0.0 and 0.1 in one value: name sigma_d"),
        ({"view": "ranking", "control": "W/, T = 5", "panels": "panel"}, "ranking 'W/, T = 5': did you mean 'W/, T = 4'"),
    ],
)  # fmt: skip
def test_what_does_not_suit_the_rows_is_refused_in_one_line(written: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        view_from(written).blocks(figure3(), key_prefix="x", expected=expected(**GRID))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_label_that_is_expected_but_not_finished_may_be_chosen() -> None:
    rows = [row for row in figure3() if row["recipe"] != "IRS"]
    view = view_from(
        {"view": "table", "columns": "sigma_d", "panels": "panel", "where": {"recipe": ["OVF", "IRS"]}}
    )
    grids = view.blocks(rows, key_prefix="x", expected=expected(**GRID))
    assert len(grids) == 2
    with pytest.raises(SteadyNetError, match="recipe has no label 'IRS'"):
        view.blocks(rows, key_prefix="x")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_views_of_the_papers_studies_can_be_made(path: Path) -> None:
    written = yaml.safe_load(path.read_text(encoding="utf-8"))["report"]
    for view in map(view_from, written):
        assert set(view.axes_used) <= set(yaml.safe_load(path.read_text(encoding="utf-8"))["axes"])
        if isinstance(view, RankingView):
            assert view.control in yaml.safe_load(path.read_text(encoding="utf-8"))["axes"][view.series]


def test_keys_of_blocks_are_unique_plain_and_begin_as_told() -> None:
    claim = {"claim": "more", "better": {"recipe": "OVF"}, "than": {"recipe": "W/"}}
    needed: dict[str, dict[str, object]] = {
        "table": {"columns": "sigma_d"},
        "ranking": {"control": "W/"},
        "leaderboard": {"control": "W/"},
        "claims": {"claims": [claim]},
    }
    blocks = [
        block
        for number, kind in enumerate(VIEWS)
        for block in view_from(
            {"view": kind, **({} if kind == "claims" else {"panels": "panel"}), **needed.get(kind, {})}
        ).blocks(figure3(), key_prefix=f"Fig_3-{number}")
    ]
    keys = [block.key for block in blocks]
    assert len(set(keys)) == len(keys) >= 9
    for key in keys:
        assert key.startswith("fig-3-")
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_views_are_made_without_torch_or_pandas() -> None:
    probe = (
        "from steadynet.study.report.views import view_from\n"
        "view_from({'view': 'ranking', 'control': 'a'}), view_from({'view': 'curve', 'published': 'figure3'})\n"
        "import sys; print(*(m for m in ('torch', 'pandas', 'matplotlib', 'scipy', 'numpy') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_names_that_a_key_cannot_hold_have_keys_of_their_own() -> None:
    names = ["T+", "T-", "α", "β", "x" * 300, "x" * 299 + "y"]
    keys = [words.key("study-1", "table", name) for name in names]
    assert len(set(keys)) == len(names)
    assert max(map(len, keys)) < 120
    assert words.key("figure3-2", "table", "VGG-8 MNIST") == "figure3-2-table-vgg-8-mnist"
