"""The report's page as text: whole, valid, inert, in need of no network, and with the numbers that it was given."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from steadynet import extras
from steadynet.errors import SteadyNetError
from steadynet.study.report.content import Chart, Grid
from steadynet.study.report.page import page_html, write_report
from steadynet.study.report.page_text import Anchors
from study.report import contents as made
from study.report.tree import Node, read


@pytest.fixture(scope="module")
def text() -> str:
    return page_html(made.studies())


@pytest.fixture(scope="module")
def tree(text: str) -> Node:
    return read(text)


def test_the_page_is_one_file_of_bounded_size_and_the_same_each_time(tmp_path: Path, text: str):
    write_report(made.studies(), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert len(text.encode()) < 8e6


def test_plotly_is_embedded_once(tree: Node):
    plotly = [node for node in tree.find("script") if "plotly.js v" in node.text[:200]]
    assert len(plotly) == 1


def test_ids_are_unique_and_every_reference_leads_somewhere(tree: Node):
    ids = Counter(node.attributes["id"] for node in tree.walk() if "id" in node.attributes)
    assert max(ids.values()) == 1
    for node in tree.walk():
        for name in ("aria-labelledby", "aria-describedby"):
            assert node.attributes.get(name, "main") in ids
        if node.name == "a":
            assert (node.attributes["href"] or "").removeprefix("#") in ids


def test_nothing_is_loaded_from_anywhere_and_the_policy_forbids_it(tree: Node):
    for node in tree.walk():
        for name in ("src", "href", "action", "poster", "srcset", "data", "background"):
            assert (node.attributes.get(name) or "#").startswith("#"), f"{node.name} {name}"
        assert node.name not in ("link", "iframe", "object", "embed", "base")
    for style in tree.find("style"):
        assert not re.search(r"url\(|@import", style.text)
    policy = tree.find("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"] or ""
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "unsafe-eval" not in policy


def test_the_policy_lets_just_the_pages_own_scripts_run(tree: Node):
    policy = tree.find("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"] or ""
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    scripts = [node.text for node in tree.find("script") if "type" not in node.attributes]
    assert allowed == [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert not any(name.startswith("on") for node in tree.walk() for name in node.attributes)


def test_headings_descend_one_step_at_a_time_from_a_single_first_one(tree: Node):
    levels = [int(node.name[1]) for node in tree.walk() if re.fullmatch(r"h[1-6]", node.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


def test_the_page_says_its_language_its_title_and_that_it_fits_a_phone(tree: Node):
    assert tree.find("html")[0].attributes["lang"] == "en"
    assert tree.find("title")[0].text == tree.find("h1")[0].text
    assert "width=device-width" in (tree.find("meta", name="viewport")[0].attributes["content"] or "")
    skip = tree.find("body")[0].find("a")[0]
    assert skip.attributes["href"] == "#main"


def _chart(tree: Node, chart: Chart) -> Node:
    found = [node for node in tree.find("figure") if node.find("h3")[0].text == chart.title]
    assert len(found) == 1
    return found[0]


def _value(cell: Node) -> float:
    numbers = cell.find("data")
    return float(numbers[0].attributes["value"] or "nan") if numbers else math.nan


@pytest.mark.parametrize(
    "chart", [made.curve(), made.violin(), made.scatter(), made.bar()], ids=lambda c: c.kind
)
def test_every_number_of_a_chart_stands_in_its_table_to_the_last_digit(chart: Chart):
    table = (
        _chart(read(page_html([made.figure3()])), chart).find("details", kind="numbers")[0].find("table")[0]
    )
    heads = [node.text for node in table.find("thead")[0].find("th")]
    rows = iter(table.find("tbody")[0].find("tr"))
    y = heads.index(chart.y_label)
    for panel in chart.panels:
        for series in panel.series:
            for point in series.points:
                cells = [node for node in next(rows).children if isinstance(node, Node)]
                if panel.title:
                    assert cells[heads.index("panel")].text == panel.title
                assert cells[heads.index("series")].text == series.name
                x = cells[y - 1]
                assert (x.text if isinstance(point.x, str) else _value(x)) == point.x
                for cell, value in zip(cells[y : y + 3], (point.y, point.lo, point.hi), strict=True):
                    assert _value(cell) == pytest.approx(value, abs=0, rel=0, nan_ok=True)
                    assert (cell.text == "–") == math.isnan(value)
                notes = cells[heads.index("note")].text
                assert ("not converged" in notes) == (not point.converged)
                assert ("published" in notes) == series.published
                assert cells[-1].text == point.detail
                if point.values:
                    values = cells[heads.index("single values")].find("data")
                    assert [float(v.attributes["value"] or "nan") for v in values] == list(point.values)
    assert next(rows, None) is None


def test_a_number_shows_what_it_is(tree: Node):
    for node in tree.find("figure")[0].find("data"):
        seen, exact = float(node.text.replace("−", "-")), float(node.attributes["value"] or "nan")
        assert seen == pytest.approx(exact, rel=6e-6)


def test_a_table_shows_its_fields_and_where_each_comes_from(tree: Node):
    grid = made.table()
    box = next(node for node in tree.find("div", kind="table") if node.find("h3")[0].text == grid.title)
    shown, sources = box.find("table")
    assert tuple(node.text for node in shown.find("thead")[0].find("th")) == grid.columns
    rows = shown.find("tbody")[0].find("tr")
    told = {
        tuple(cell.text for cell in row.children[:2] if isinstance(cell, Node)): row
        for row in sources.find("tbody")[0].find("tr")
    }
    for row, entries in zip(rows, grid.rows, strict=True):
        cells = [node for node in row.children if isinstance(node, Node)]
        assert cells[0].attributes["scope"] == "row"
        for cell, entry, column in zip(cells, entries, grid.columns, strict=True):
            assert cell.text == entry.text + ("" if entry.converged else "*")
            assert bool(cell.find("em")) == entry.published
            assert (cell.attributes.get("title") or "") == entry.detail
            if entry.value is not None:
                assert _value(cell) == entry.value
            if entry.detail:
                source = told.pop((entries[0].text, column))
                assert source.find("td", kind="source")[0].text == entry.detail
                ends = [float(node.attributes["value"] or "nan") for node in source.find("data")]
                assert ends == [end for end in (entry.lo, entry.hi) if end is not None]
    assert not told


def test_whatever_a_study_says_stands_in_its_section(tree: Node):
    for study, content in zip(tree.find("section", kind="study"), made.studies(), strict=True):
        texts = Counter(
            " ".join(node.text.split()) for node in study.walk() if node.name in ("li", "p", "dd", "code")
        )
        for line in (*content.setting, *content.findings, *content.missing, content.question):
            assert texts[" ".join(line.split())] >= 1, line
        for what, command in content.commands:
            entry = next(li for li in study.find("li") if [c.text for c in li.find("code")] == [command])
            assert entry.find("span", kind="what")[0].text == what
            assert entry.find("button", kind="copy")
        for name, value in content.facts:
            assert (name, value) in [
                (d.find("dt")[0].text, d.find("dd")[0].text) for d in study.find("div") if d.find("dt")
            ]
        for block in content.blocks:
            notes = [node.text for node in study.find("li")]
            assert all(note in notes for note in block.notes)


def test_a_chart_is_told_to_those_who_do_not_see_it():
    chart = made.curve()
    figure = _chart(read(page_html([made.figure3()])), chart)
    plots = figure.find("div", role="img")
    assert len(plots) == len(chart.panels)
    for plot, panel in zip(plots, chart.panels, strict=True):
        assert panel.title in (plot.attributes["aria-label"] or "")
        told = figure.find("p", id=plot.attributes["aria-describedby"] or "")
        assert [node.text for node in told] == [chart.alternative]
    assert figure.find("figcaption")


def test_a_chart_without_an_alternative_says_where_its_numbers_are():
    tree = read(page_html([made.figure3()]))
    assert "table beneath" in _chart(tree, made.scatter()).find("p", kind="unseen")[0].text


def test_text_that_is_html_makes_no_elements(text: str, tree: Node):
    assert not tree.find("b")
    assert not tree.find("img")
    assert "<script>window.harmed" not in text
    section = tree.find("section", kind="study")[2]
    assert section.find("h2")[0].text == made.HOSTILE
    shown = section.find("div", kind="table")[0].find("table")[0]
    assert [node.text for node in shown.find("th")] == [made.HOSTILE] * 3
    assert shown.find("td")[0].text == made.HOSTILE + "*"


def test_data_of_charts_cannot_end_the_script_that_they_stand_in(tree: Node):
    blocks = [node.text for node in tree.find("script", type="application/json")]
    charts = sum(isinstance(block, Chart) for content in made.studies() for block in content.blocks)
    assert len(blocks) == charts + 1
    for block in blocks:
        assert "<" not in block
        json.loads(block, parse_constant=pytest.fail)


def test_equal_names_get_different_anchors():
    anchors = Anchors()
    assert [anchors.take("a", "B c"), anchors.take("a-b", "c"), anchors.take("ß")] == [
        "a-b-c",
        "a-b-c-2",
        "x",
    ]
    twice = read(page_html([made.figure3(), made.figure3()]))
    ids = [node.attributes["id"] for node in twice.walk() if "id" in node.attributes]
    assert len(set(ids)) == len(ids)


def test_no_studies_make_a_page_too():
    tree = read(page_html([]))
    assert "no studies" in tree.find("main")[0].text


def test_a_table_of_contents_names_each_study_and_block(tree: Node):
    links = [node.text for node in tree.find("nav")[0].find("a")]
    for content in made.studies():
        assert content.title in links
        assert all(block.title in links for block in content.blocks)


def test_without_plotly_the_refusal_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(extras.EXTRAS, "study", ("no_such_package_as_plotly",))
    with pytest.raises(SteadyNetError, match=r"steadynet\[study\]"):
        write_report(made.studies(), tmp_path / "report.html")
    assert not any(tmp_path.iterdir())


def test_a_missing_folder_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(SteadyNetError, match="does not exist"):
        write_report([], tmp_path / "none" / "report.html")


def test_grids_of_words_have_no_column_of_numbers():
    grid = made.hostile().blocks[2]
    assert isinstance(grid, Grid)
    box = read(page_html([made.hostile()])).find("div", kind="table")[0]
    heads = box.find("table")[0].find("thead")[0].find("th")
    assert [node.attributes.get("class") for node in heads] == [None, "number"]
