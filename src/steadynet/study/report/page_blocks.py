"""A chart and a table as HTML: what is seen, what is told to those who do not see it, and all numbers behind it."""

from __future__ import annotations

import math

from steadynet.study.report.content import Chart, Entry, Grid, Panel, Point, Series
from steadynet.study.report.page_frames import categories_of, height, is_lying
from steadynet.study.report.page_look import DOTTED, mark
from steadynet.study.report.page_plots import figures, named, names_of
from steadynet.study.report.page_text import data, embedded, escaped
from steadynet.study.report.tables import shown


def chart_html(chart: Chart, anchor: str) -> str:
    """Return a chart's figure, under its heading.

    Args:
        chart: The chart.
        anchor: Its id, which is also the start of those inside.
    """
    told = chart.alternative or (
        f"{chart.y_label} by {chart.x_label}. All its numbers are in the table beneath it."
    )
    single = " single" if len(chart.panels) == 1 else ""
    return "\n".join(
        [
            f'<figure class="block chart" aria-labelledby="{anchor}">',
            f'<h3 id="{anchor}">{escaped(chart.title)}</h3>',
            f'<p class="unseen" id="{anchor}-told">{escaped(told)}</p>',
            *([] if chart.panels else ['<p class="muted">Nothing of it is finished.</p>']),
            _legend(chart, anchor),
            f'<p class="unit">{escaped(chart.x_label if is_lying(chart) else chart.y_label)}</p>'
            if chart.panels
            else "",
            f'<div class="panels{single}{" lying" if is_lying(chart) else ""}" data-chart="{anchor}">',
            *(_panel(chart, panel, anchor) for panel in chart.panels),
            "</div>",
            f'<script type="application/json" id="{anchor}-data">{embedded(figures(chart))}</script>',
            f"<figcaption>{_notes(_labels(chart) + chart.notes)}{_numbers(chart)}</figcaption>",
            "</figure>",
        ]
    )


def grid_html(grid: Grid, anchor: str) -> str:
    """Return a table, under its heading, and the list of what gives its numbers again."""
    numeric = [_is_numeric(grid, column) for column in range(len(grid.columns))]
    head = "".join(
        f'<th scope="col"{_number_class(right)}>{escaped(text)}</th>'
        for text, right in zip(grid.columns, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            _field(entry, number, right)
            for number, (entry, right) in enumerate(zip(row, numeric, strict=True))
        )
        + "</tr>"
        for row in grid.rows
    )
    return "\n".join(
        [
            f'<div class="block table" role="group" aria-labelledby="{anchor}">',
            f'<h3 id="{anchor}">{escaped(grid.title)}</h3>',
            _scrolled(f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>", grid.title),
            f'<div class="notes">{_notes(grid.notes)}{_sources(grid)}</div>',
            "</div>",
        ]
    )


def _labels(chart: Chart) -> tuple[str, ...]:
    """Return what an axis's short label leaves out."""
    return (chart.x_label,) if ":" in chart.x_label and not is_lying(chart) else ()


def _panel(chart: Chart, panel: Panel, anchor: str) -> str:
    title = f'<p class="panel-title">{escaped(panel.title)}</p>' if panel.title else ""
    label = ": ".join(part for part in (chart.title, panel.title) if part)
    return (
        f'<div class="panel">{title}<div class="plot" role="img" aria-label="{escaped(label)}" '
        f'aria-describedby="{anchor}-told" style="height:{height(chart)}px"></div></div>'
    )


def _legend(chart: Chart, anchor: str) -> str:
    """Return the legend: a button for each line, which hides and shows it in all panels."""
    found: dict[tuple[str, bool], Series] = {}
    for panel in chart.panels:
        for series in panel.series:
            found.setdefault((series.name, series.published), series)
    hollow = any(not p.converged for panel in chart.panels for s in panel.series for p in s.points)
    lines = set(categories_of(chart)) if is_lying(chart) else set[str]()
    names = names_of(chart)
    items: list[str] = []
    # In a lying chart the lines bear their names; a legend would say them twice.
    if not is_lying(chart) or any(name not in lines or theirs for name, theirs in found):
        for index, name in enumerate(names):
            for published in (False, True):
                series = found.get((name, published))
                if series is not None:
                    items.append(
                        f'<li><button type="button" class="line" aria-pressed="true" data-chart="{anchor}" '
                        f'data-series="{index}" data-published="{int(published)}">'
                        f"{_swatch(chart, index, published)}{escaped(named(series))}</button></li>"
                    )
    if hollow:
        items.append(f'<li class="key">{_HOLLOW}hollow: not converged</li>')
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}</ul>' if items else ""


_HOLLOW = (
    '<svg class="swatch" viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true">'
    '<circle r="4" fill="none" stroke="currentColor" stroke-width="1.8"/></svg>'
)


def _swatch(chart: Chart, index: int, published: bool) -> str:
    look = mark(index)
    dashes = DOTTED[1] if published else look.dashes
    size = ' transform="scale(.65)"' if published else ""
    line = (
        f'<path d="M-17 0H17" fill="none" stroke="currentColor" stroke-width="1.6" stroke-dasharray="{dashes or "none"}"/>'
        if chart.kind == "curve"
        else ""
    )
    return (
        f'<svg class="swatch s{look.colour}" viewBox="-18 -8 36 16" width="36" height="16" aria-hidden="true">'
        f'{line}<path d="{look.path}" fill="currentColor"{size}/></svg>'
    )


def _numbers(chart: Chart) -> str:
    """Return all numbers of a chart as a table, closed at first."""
    rows = [
        (panel, series, point) for panel in chart.panels for series in panel.series for point in series.points
    ]
    if not rows:
        return ""
    framed = any(panel.title for panel in chart.panels)
    single = any(point.values for _, _, point in rows)
    columns = [
        *(["panel"] if framed else []),
        "series",
        chart.x_label.partition(":")[0],
        chart.y_label,
        "from",
        "to",
        *(["single values"] if single else []),
        "note",
        "how it is obtained again",
    ]
    left = {"panel", "series", "single values", "note", "how it is obtained again"}
    head = "".join(f'<th scope="col"{_number_class(c not in left)}>{escaped(c)}</th>' for c in columns)
    body = "\n".join(_number_row(panel, series, p, framed=framed, single=single) for panel, series, p in rows)
    table = _scrolled(
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>", f"{chart.title}: all numbers"
    )
    return f'<details class="numbers"><summary>As a table</summary>{table}</details>'


def _number_row(panel: Panel, series: Series, point: Point, *, framed: bool, single: bool) -> str:
    notes = [
        *(["published"] if series.published else []),
        *([] if point.converged else ["not converged"]),
    ]
    place = data(float(point.x)) if not isinstance(point.x, str) else escaped(point.x)
    right = "" if isinstance(point.x, str) else ' class="number"'
    return "".join(
        [
            "<tr>",
            f"<td>{escaped(panel.title)}</td>" if framed else "",
            f'<th scope="row">{escaped(series.name)}</th><td{right}>{place}</td>',
            *(f'<td class="number">{data(float(value))}</td>' for value in (point.y, point.lo, point.hi)),
            f"<td>{_values(point)}</td>" if single else "",
            f'<td>{", ".join(notes)}</td><td class="source">{escaped(point.detail)}</td></tr>',
        ]
    )


def _values(point: Point) -> str:
    if not point.values:
        return ""
    listed = " ".join(data(float(value)) for value in point.values)
    return f'<details><summary>{len(point.values)}</summary><p class="values">{listed}</p></details>'


def _field(entry: Entry, column: int, right: bool) -> str:
    text = escaped(shown(entry))
    if entry.value is not None and math.isfinite(entry.value):
        text = data(float(entry.value), shown(entry))
    if entry.published and text:
        text = f"<em>{text}</em>"
    hint = f' title="{escaped(entry.detail)}"' if entry.detail else ""
    if column == 0:
        return f'<th scope="row"{hint}>{text}</th>'
    return f"<td{_number_class(right)}{hint}>{text}</td>"


def _sources(grid: Grid) -> str:
    """Return how each number of a table is obtained again, closed at first."""
    lines: list[str] = []
    for row in grid.rows:
        for column, entry in zip(grid.columns[1:], row[1:], strict=True):
            if entry.detail:
                ends = [
                    data(float(end)) for end in (entry.lo, entry.hi) if end is not None and math.isfinite(end)
                ]
                interval = f" [{', '.join(ends)}]" if len(ends) == 2 else ""
                lines.append(
                    f'<tr><th scope="row">{escaped(row[0].text)}</th><td>{escaped(column)}</td>'
                    f"<td>{escaped(shown(entry))}{interval}</td>"
                    f'<td class="source">{escaped(entry.detail)}</td></tr>'
                )
    if not lines:
        return ""
    head = "".join(
        f'<th scope="col">{escaped(text)}</th>'
        for text in (grid.columns[0] or "row", "column", "number", "how it is obtained again")
    )
    body = "\n".join(lines)
    table = _scrolled(
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>",
        f"{grid.title}: where the numbers come from",
    )
    return f'<details class="numbers"><summary>Where each number comes from</summary>{table}</details>'


def _scrolled(inner: str, label: str) -> str:
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(label)}"><table>'
        f'<caption class="unseen">{escaped(label)}</caption>\n{inner}\n</table></div>'
    )


def _is_numeric(grid: Grid, column: int) -> bool:
    return column > 0 and any(row[column].value is not None for row in grid.rows)


def _number_class(right: bool) -> str:
    return ' class="number"' if right else ""


def _notes(notes: tuple[str, ...]) -> str:
    return f'<ul class="plain">{"".join(f"<li>{escaped(note)}</li>" for note in notes)}</ul>' if notes else ""
