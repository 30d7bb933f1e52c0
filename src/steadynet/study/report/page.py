"""The report: one page that holds its own charts, numbers and scripts, and needs no network."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from steadynet import __version__
from steadynet.extras import require_extra
from steadynet.files import write_text_atomically
from steadynet.report.rows import order
from steadynet.study.report.content import Chart, Entry, Grid, Panel, StudyContent
from steadynet.study.report.limits import limits


def write_report(contents: Sequence[StudyContent], path: Path) -> None:
    """Write the page.

    Args:
        contents: What it says of each study.
        path: Where to; the folder exists.

    Raises:
        SteadyNetError: If Plotly, which draws the charts, is not installed, or the file cannot be written.
    """
    write_text_atomically(path, page(contents))


def page(contents: Sequence[StudyContent]) -> str:
    """Return the page's HTML; see `write_report`."""
    require_extra("study", "the report")
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportUnknownVariableType]

    charts = [block for content in contents for block in content.blocks if isinstance(block, Chart)]
    title = contents[0].title if len(contents) == 1 else "Studies of training for noisy memory devices"
    links = "".join(
        f'<li><a href="#{_id(content.name)}">{escape(content.title)}</a></li>' for content in contents
    )
    body = "\n".join(_study(content) for content in contents)
    plotly: str = get_plotlyjs()
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_part("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<div>
<h1>{escape(title)}</h1>
<p>Accuracy that neural networks keep when their weights lie on noisy non-volatile memory devices, with 95 % intervals, and for
every number the command that gives it again. Written by SteadyNet {escape(__version__)}.</p>
</div>
<button id="theme" type="button" aria-label="Change between light and dark">Dark</button>
</header>
<main id="main">
<nav aria-label="Contents"><details open><summary>Contents</summary><ol>{links}</ol></details></nav>
{body}
</main>
<footer><p>Charts are drawn by Plotly, which is part of this page. Every chart stands below it as a table, too.</p></footer>
<script type="application/json" id="charts">{_json([_chart_data(chart) for chart in charts])}</script>
<script>{_script(plotly)}</script>
<script>
{_part("page.js")}</script>
</body>
</html>
"""


def _study(content: StudyContent) -> str:
    name = _id(content.name)
    preset = f" <small>({escape(content.preset)} preset)</small>" if content.preset else ""
    parts = [
        f'<section aria-labelledby="{name}">',
        f'<h2 id="{name}">{escape(content.title)}{preset}</h2>',
        f'<p class="question">{escape(content.question)}</p>' if content.question else "",
        _lines(content.setting),
    ]
    if content.findings:
        parts.append(f'<h3>What it says</h3><ul class="findings">{_items(content.findings)}</ul>')
    parts += [_chart(block) if isinstance(block, Chart) else _grid(block) for block in content.blocks]
    if not content.blocks:
        parts.append('<p class="missing">Nothing of it is finished.</p>')
    if content.missing:
        count = len(content.missing)
        parts.append(
            f'<details class="missing"><summary>Not finished: {count} cell{"s" * (count != 1)}</summary>'
            f'<ul class="lines">{_items(content.missing)}</ul></details>'
        )
    if content.commands:
        commands = "".join(_command(what, command) for what, command in content.commands)
        parts.append(
            f"<details><summary>Commands that give these numbers again</summary>{commands}</details>"
        )
    if content.facts:
        rows = "".join(
            f'<tr><th scope="row">{escape(fact)}</th><td>{escape(value)}</td></tr>'
            for fact, value in content.facts
        )
        parts.append(
            f"<details><summary>Versions and dates</summary><table><tbody>{rows}</tbody></table></details>"
        )
    return "\n".join([*(part for part in parts if part), "</section>"])


def _chart(chart: Chart) -> str:
    key, label = _id(chart.key), escape(chart.alternative or chart.title, quote=True)
    alone = " alone" if len(chart.panels) == 1 else ""
    panels = "".join(
        f'<div class="panel">{f"<h4>{escape(panel.title)}</h4>" if panel.title else ""}'
        f'<div class="plot{alone}" id="plot-{key}-{index}"></div></div>'
        for index, panel in enumerate(chart.panels)
    )
    return f"""<figure id="{key}">
<h3>{escape(chart.title)}</h3>
<ul class="legend" id="legend-{key}" aria-hidden="true"></ul>
<div class="panels" role="img" aria-label="{label}">{panels}</div>
<figcaption>{_lines(chart.notes)}</figcaption>
<details><summary>As a table</summary>{_scrolled(f"Numbers of {chart.title}", _numbers(chart))}</details>
</figure>"""


def _numbers(chart: Chart) -> str:
    """Return a chart's numbers as a table."""
    several = len(chart.panels) > 1
    headings = [
        *(["panel"] if several else []),
        "series",
        chart.x_label,
        chart.y_label,
        "95 % from",
        "to",
        "",
        "how",
    ]
    numeric = {chart.y_label, "95 % from", "to"}
    head = "".join(
        f'<th scope="col"{_class("number" if heading in numeric else "")}>{escape(heading)}</th>'
        for heading in headings
    )
    rows: list[str] = []
    for panel in chart.panels:
        for series in panel.series:
            for point in series.points:
                x = point.x if isinstance(point.x, str) else f"{point.x:.6g}"
                cells = [
                    *([panel.title] if several else []),
                    series.name + (", published" if series.published else ""),
                    x,
                ]
                numbers = [_number(value) for value in (point.y, point.lo, point.hi)]
                rows.append(
                    "<tr>"
                    + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
                    + "".join(f'<td class="number">{text}</td>' for text in numbers)
                    + f"<td>{'' if point.converged else 'not converged'}</td><td>{escape(point.detail)}</td></tr>"
                )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _grid(grid: Grid) -> str:
    numeric = [any(row[at].value is not None for row in grid.rows) for at in range(len(grid.columns))]
    head = "".join(
        f'<th scope="col"{_class("number" if number else "")}>{escape(column)}</th>'
        for column, number in zip(grid.columns, numeric, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0].text)}</th>'
        + "".join(_cell(entry, number) for entry, number in zip(row[1:], numeric[1:], strict=True))
        + "</tr>"
        for row in grid.rows
    )
    told = [
        (f"{row[0].text}, {column}", entry.detail)
        for row in grid.rows
        for column, entry in zip(grid.columns[1:], row[1:], strict=True)
        if entry.detail
    ]
    how = "".join(f"<li>{escape(what)}: {escape(detail)}</li>" for what, detail in told)
    details = (
        f'<details><summary>How each number comes about</summary><ul class="lines">{how}</ul></details>'
        if how
        else ""
    )
    return f"""<section id="{_id(grid.key)}">
<h3>{escape(grid.title)}</h3>
{_scrolled(grid.title, f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")}
{_lines(grid.notes)}{details}
</section>"""


def _scrolled(label: str, table: str) -> str:
    """Return a table in a box of its own, which scrolls where it is too wide, also by keys."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label, quote=True)}">{table}</div>'


def _cell(entry: Entry, number: bool) -> str:
    kinds = " ".join(kind for kind, on in (("number", number), ("published", entry.published)) if on)
    title = f' title="{escape(entry.detail, quote=True)}"' if entry.detail else ""
    mark = "" if entry.converged or not entry.text else "*"
    return f"<td{_class(kinds)}{title}>{escape(entry.text)}{mark}</td>"


def _chart_data(chart: Chart) -> dict[str, Any]:
    """Return what the page's script draws a chart from; a style for each name, the same in all panels."""
    names = order(series.name for panel in chart.panels for series in panel.series)
    every = order((series.name, series.published) for panel in chart.panels for series in panel.series)
    return {
        "key": _id(chart.key),
        "kind": chart.kind,
        "x_label": chart.x_label,
        "y_label": chart.y_label,
        "log_x": chart.log_x,
        "legend": [
            {"name": name, "style": names.index(name), "published": published} for name, published in every
        ],
        "panels": [
            {
                "title": panel.title,
                "range": _range(chart, panel),
                "series": [
                    {
                        "name": series.name,
                        "style": names.index(series.name),
                        "published": series.published,
                        "points": [
                            {
                                "x": point.x,
                                "y": _finite(point.y),
                                "lo": _finite(point.lo),
                                "hi": _finite(point.hi),
                                "converged": point.converged,
                                "values": [value for value in point.values if math.isfinite(value)],
                                "detail": point.detail,
                            }
                            for point in series.points
                        ],
                    }
                    for series in panel.series
                ],
            }
            for panel in chart.panels
        ],
    }


def _range(chart: Chart, panel: Panel) -> list[float] | None:
    points = [point for series in panel.series for point in series.points]
    low, high = limits(points, percent=chart.y_label.endswith("%"))
    return [low, high] if high > low else None


def _command(what: str, command: str) -> str:
    return (
        f'<p>{escape(what)}</p><div class="command"><code>{escape(command)}</code>'
        '<button type="button" data-copy>Copy</button></div>'
    )


def _lines(lines: Sequence[str]) -> str:
    return f'<ul class="lines">{_items(lines)}</ul>' if lines else ""


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _id(name: str) -> str:
    """Return a name as an anchor: letters, digits, hyphens."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _json(value: Any) -> str:
    """Return JSON that cannot end the script that it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _script(text: str) -> str:
    return re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE)


def _part(name: str) -> str:
    return resources.files("steadynet.study.report").joinpath(name).read_text(encoding="utf-8")
