"""The report's page in a browser: charts appear, nothing complains or is fetched, and colours, legend, phone and paper work."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from steadynet.study.report.page import write_report
from steadynet.study.report.page_look import DARK, LIGHT
from study.report import contents as made
from study.report.browser import NAMES, Browser, find_browser

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason=f"needs a browser: one of {', '.join(NAMES)}")
PLOTS = 2 + 6 + 2 + 1 + 2  # of the hostile study, and of Figure 3's four charts
CURVE = "figure3-figure3-1-curve-accuracy"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(made.studies(), path)
    return path


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    assert PROGRAM is not None
    one = Browser(PROGRAM)
    yield one
    one.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Browser:
    browser.call("Storage.clearDataForOrigin", origin="file://", storageTypes="all")
    browser.logged.clear()
    browser.asked.clear()
    browser.open(report)
    return browser


def _draw_all(page: Browser) -> None:
    """Scroll down the page, as a reader does, until every chart was near."""
    page.run(
        "(async () => { for (const plot of document.querySelectorAll('.plot')) { plot.scrollIntoView();"
        " await new Promise(done => setTimeout(done, 30)); } })()"
    )
    page.settle()


def _drawn(page: Browser) -> int:
    return page.run("document.querySelectorAll('.plot:has(.main-svg)').length")


def test_all_charts_are_drawn_nothing_complains_and_only_the_page_is_asked_for(page: Browser, report: Path):
    assert _drawn(page) < PLOTS  # those far below wait
    _draw_all(page)
    assert _drawn(page) == PLOTS
    assert page.logged == []
    assert [url for url in page.asked if not url.startswith("data:")] == [report.resolve().as_uri()]


def test_a_hostile_name_does_nothing_and_is_read_as_it_is(page: Browser):
    _draw_all(page)
    assert page.run("typeof window.harmed") == "undefined"
    assert page.run("document.querySelectorAll('main img, main b').length") == 0
    titles = page.run("[...document.querySelectorAll('.xtitle')].map(e => e.textContent)")
    assert any(made.HOSTILE.replace(" ", "")[:40] in title.replace(" ", "") for title in titles)


def test_the_browser_finds_the_numbers_in_what_plotly_drew(page: Browser):
    _draw_all(page)
    drawn = page.run(
        f"JSON.stringify([...document.querySelectorAll('[data-chart=\"{CURVE}\"] .plot')].map(plot =>"
        " plot.data.filter(t => t.hovertext).map(t => t.y)))"
    )
    for panel, lines in zip(made.curve().panels, json.loads(drawn), strict=True):
        for series, line in zip(panel.series, lines, strict=True):
            for point, y in zip(series.points, line, strict=True):
                assert y is None if point.y != point.y else y == point.y


def test_a_point_tells_its_value_and_command_when_one_hovers_over_it(page: Browser):
    plot = f"document.querySelector('[data-chart=\"{CURVE}\"] .plot')"
    page.run(
        f"{plot}.scrollIntoView(); Plotly.Fx.hover({plot}, [{{curveNumber: {plot}.data.findIndex(t => t.hovertext),"
        " pointNumber: 2}])"
    )
    page.settle()
    told = page.run(f"{plot}.querySelector('.hoverlayer').textContent")
    point = made.curve().panels[0].series[0].points[2]
    assert f"accuracy, %: {point.y:.6g} [{point.lo:.6g}, {point.hi:.6g}]" in told
    assert re.sub(r"\s", "", point.detail) in re.sub(r"\s", "", told)


def _colours(page: Browser) -> tuple[str, str, str]:
    """Return the page's background, and the colours of a chart's font and of its first line."""
    plot = f"document.querySelector('[data-chart=\"{CURVE}\"] .plot')"
    return tuple(
        page.run(
            f"[getComputedStyle(document.documentElement).getPropertyValue('--paper').trim(), {plot}.layout.font.color,"
            f" {plot}.data.find(t => t.hovertext).line.color]"
        )
    )


LIGHT_ONES = (LIGHT.paper, LIGHT.ink, LIGHT.series[0])
DARK_ONES = (DARK.paper, DARK.ink, DARK.series[0])


def test_colours_follow_the_system_and_a_button_which_is_remembered(page: Browser, report: Path):
    assert _colours(page) == LIGHT_ONES
    page.open(report, dark=True)
    assert _colours(page) == DARK_ONES
    page.run("document.getElementById('theme').click()")
    page.settle()
    assert _colours(page) == LIGHT_ONES
    assert page.run("document.getElementById('theme').textContent") == "Dark colours"
    page.open(report, dark=True)
    assert _colours(page) == LIGHT_ONES
    page.run("document.getElementById('theme').click()")
    page.settle()
    assert _colours(page) == DARK_ONES
    assert page.logged == []


def test_the_legend_hides_a_line_in_all_panels_and_shows_it_again(page: Browser):
    _draw_all(page)
    shown = (
        f"[...document.querySelectorAll('[data-chart=\"{CURVE}\"] .plot')].map(plot =>"
        " plot.data.filter(t => t.visible !== false && t.meta.series === 3 && !t.meta.published).length)"
    )
    before = page.run(shown)
    assert min(before) > 0
    button = (
        f'document.querySelector(\'.legend [data-chart="{CURVE}"][data-series="3"][data-published="0"]\')'
    )
    assert page.run(f"{button}.textContent") == "OVF"
    page.run(f"{button}.click()")
    assert page.run(shown) == [0] * 6
    assert page.run(f"{button}.getAttribute('aria-pressed')") == "false"
    page.run(f"{button}.click()")
    assert page.run(shown) == before


def test_a_phone_gets_one_column_that_does_not_move_sideways(page: Browser, report: Path):
    page.open(report, width=390, height=844)
    _draw_all(page)
    assert page.run("document.documentElement.scrollWidth") <= 390
    lefts = page.run(
        "[...new Set([...document.querySelectorAll('.plot')].map(e => Math.round(e.getBoundingClientRect().left)))]"
    )
    assert len(lefts) == 1
    widths = page.run(
        "[...document.querySelectorAll('.plot .main-svg')].map(e => e.getBoundingClientRect().width)"
    )
    assert 300 < min(widths) <= max(widths) <= 390
    assert page.run("document.getElementById('contents').open") is False
    page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.logged == []


def test_a_wide_window_keeps_the_contents_beside_the_text(page: Browser):
    page.run("window.scrollTo(0, 3000)")
    page.settle()
    assert page.run("document.getElementById('contents').open") is True
    box = page.run("(b => [b.top, b.right])(document.getElementById('contents').getBoundingClientRect())")
    assert 0 <= box[0] < 40
    assert box[1] <= page.run("document.getElementById('main').getBoundingClientRect().left")


def test_charts_grow_and_shrink_with_the_window(page: Browser):
    before = page.run("document.querySelector('.plot .main-svg').getBoundingClientRect().width")
    page.call("Emulation.setDeviceMetricsOverride", width=700, height=900, deviceScaleFactor=1, mobile=False)
    page.run("new Promise(done => setTimeout(done, 400))")
    after = page.run("document.querySelector('.plot .main-svg').getBoundingClientRect().width")
    assert after == page.run("document.querySelector('.plot').clientWidth")
    assert after != before


def test_on_paper_all_charts_stand_light_and_within_the_page(page: Browser, report: Path):
    page.open(report, dark=True)
    page.run(
        "window.addEventListener('beforeprint', () => { window.seen = ["
        " document.querySelectorAll('.plot:has(.main-svg)').length,"
        " getComputedStyle(document.body).backgroundColor,"
        " Math.max(...[...document.querySelectorAll('.plot .main-svg')].map(e => e.getBoundingClientRect().right)),"
        " document.querySelector('.plot').data.find(t => t.hovertext).line.color,"
        " document.querySelector('.missing').open] })"
    )
    pdf = page.paper()
    assert pdf.startswith(b"%PDF")
    drawn, background, right, line, missing = page.run("window.seen")
    assert drawn == PLOTS
    assert background == "rgb(255, 255, 255)"
    assert right <= 680  # A4's 210 mm less its margins
    assert line == LIGHT.series[0]
    assert missing is True
    # And back.
    assert _colours(page) == DARK_ONES
    assert page.run("document.querySelector('.missing').open") is False
    assert page.logged == []


def test_a_button_copies_its_command(page: Browser):
    page.run("document.querySelector('.commands').open = true")
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    page.run("document.querySelectorAll('.copy')[1].click()")
    page.settle()
    assert page.run("document.querySelectorAll('.copy')[1].textContent") == "Copied"
    assert page.run("navigator.clipboard.readText()") == made.figure3().commands[1][1]


def test_the_first_key_skips_to_the_results_and_boxes_that_scroll_take_the_focus(page: Browser):
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    page.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert page.run("document.activeElement.textContent") == "Skip to the results"
    assert page.run("document.activeElement.getBoundingClientRect().left") == 0
    page.run("document.activeElement.click()")
    page.settle()
    assert page.run("document.activeElement.id") == "main"
    assert page.run("[...document.querySelectorAll('.scroll')].every(one => one.tabIndex === 0)") is True
