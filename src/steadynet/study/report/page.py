"""The report: one page of HTML that holds all it needs, and asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
import importlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from steadynet.extras import require_extra
from steadynet.files import write_text_atomically
from steadynet.study.report.content import Chart, StudyContent
from steadynet.study.report.page_blocks import chart_html, grid_html
from steadynet.study.report.page_look import dark_for_light, stylesheet
from steadynet.study.report.page_text import Anchors, embedded, escaped

TITLE = "SteadyNet: results of the studies"
_LEAD = (
    "How well neural networks keep their accuracy when their weights are written into noisy non-volatile memory, and which "
    "training helps. Every number was computed by the command beside it: hover over a point, or open the table under a chart. "
    "Intervals are 95 % intervals; the lines under each chart and table say what they are over."
)
# Longer lists are closed at first.
_LONG = 12
# Before anything is drawn, so that the page does not flash in the wrong colours.
_EARLY = (
    'try{var t=localStorage.getItem("steadynet-theme");if(t==="light"||t==="dark")'
    "document.documentElement.dataset.theme=t}catch(e){}"
)


def write_report(contents: Sequence[StudyContent], path: Path) -> None:
    """Write the page of all studies to `path`, whole or not at all; the same contents give the same bytes.

    Args:
        contents: The studies, in the order in which they are shown.
        path: The file, usually `report.html`.

    Raises:
        SteadyNetError: If Plotly is not installed, or the file cannot be written.
    """
    require_extra("study", "the report's page")
    write_text_atomically(path, page_html(contents))


def page_html(contents: Sequence[StudyContent]) -> str:
    """Return the page of all studies."""
    anchors = Anchors()
    for fixed in ("main", "contents", "theme", "colours"):
        anchors.take(fixed)
    sections, entries = list[str](), list[str]()
    for content in contents:
        section, entry = _study(content, anchors)
        sections.append(section)
        entries.append(entry)
    scripts = (_EARLY, _plotly(), _file("page.js"))
    body = "\n".join(sections) or '<p class="muted">There are no studies.</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="{escaped(_LEAD.partition(".")[0])}.">
<title>{TITLE}</title>
<script>{scripts[0]}</script>
<style>
{stylesheet()}{_file("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header class="top">
<button type="button" id="theme" hidden>Dark colours</button>
<h1>{TITLE}</h1>
<p class="lead">{escaped(_LEAD)}</p>
<p class="muted">{_counted(contents)}</p>
<noscript><p class="notice">
Charts are drawn by JavaScript, which is off; the table under each holds all of its numbers.
</p></noscript>
</header>
<div class="frame">
<nav aria-label="Contents"><details id="contents" open><summary>Contents</summary>
<ol>
{chr(10).join(entries)}
</ol>
</details></nav>
<main id="main" tabindex="-1">
{body}
</main>
</div>
<script type="application/json" id="colours">{embedded(dark_for_light())}</script>
<script>{scripts[1]}</script>
<script>{scripts[2]}</script>
</body>
</html>
"""


def _study(content: StudyContent, anchors: Anchors) -> tuple[str, str]:
    """Return a study's section, and its entry in the table of contents."""
    anchor = anchors.take("study", content.name)
    links: list[tuple[str, str]] = []
    parts = [
        f'<section class="study" aria-labelledby="{anchor}">',
        f'<h2 id="{anchor}">{escaped(content.title)}</h2>',
        f'<p class="question">{escaped(content.question)}</p>',
    ]
    setting = [*([f"Preset: {content.preset}."] if content.preset else []), *content.setting]
    parts.append(_part("Setting", anchor, anchors, links, _list(setting)) if setting else "")
    if content.findings:
        parts.append(_part("What it says", anchor, anchors, links, _list(content.findings)))
    if not content.blocks:
        parts.append('<p class="muted">Nothing of it is finished.</p>')
    for block in content.blocks:
        own = anchors.take(content.name, block.key)
        links.append((own, block.title))
        parts.append(chart_html(block, own) if isinstance(block, Chart) else grid_html(block, own))
    if content.missing:
        listed = _list(content.missing)
        if len(content.missing) > _LONG:
            listed = f'<details class="missing"><summary>{len(content.missing)} trainings and tests</summary>{listed}</details>'
        parts.append(_part(f"Not finished: {len(content.missing)}", anchor, anchors, links, listed))
    if content.commands:
        parts.append(_part("Commands", anchor, anchors, links, _commands(content.commands)))
    if content.facts:
        facts = "".join(f"<div><dt>{escaped(n)}</dt><dd>{escaped(v)}</dd></div>" for n, v in content.facts)
        parts.append(_part("Computed by", anchor, anchors, links, f'<dl class="facts">{facts}</dl>'))
    parts.append("</section>")
    inner = "".join(f'<li><a href="#{own}">{escaped(title)}</a></li>' for own, title in links)
    entry = f'<li><a href="#{anchor}">{escaped(content.title)}</a>{f"<ul>{inner}</ul>" if inner else ""}</li>'
    return "\n".join(part for part in parts if part), entry


def _part(heading: str, study: str, anchors: Anchors, links: list[tuple[str, str]], inner: str) -> str:
    own = anchors.take(study, heading.partition(":")[0])
    links.append((own, heading))
    return f'<div class="part"><h3 id="{own}">{escaped(heading)}</h3>\n{inner}</div>'


def _commands(commands: Sequence[tuple[str, str]]) -> str:
    items = "\n".join(
        f'<li><span class="what">{escaped(what)}</span><span class="command"><code tabindex="0">{escaped(command)}</code>'
        f'<button type="button" class="copy" aria-label="{escaped(f"Copy the command: {what}")}" hidden>Copy</button></span></li>'
        for what, command in commands
    )
    label = "1 command" if len(commands) == 1 else f"{len(commands)} commands"
    return f'<details class="commands"><summary>{label}</summary>\n<ul>\n{items}\n</ul></details>'


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>"


def _counted(contents: Sequence[StudyContent]) -> str:
    missing = sum(len(content.missing) for content in contents)
    studies = f"{len(contents)} {'study' if len(contents) == 1 else 'studies'}"
    state = (
        f"{missing} trainings or tests are not finished"
        if missing != 1
        else "1 training or test is not finished"
    )
    return f"{studies}; {state if missing else 'all of their trainings and tests are finished'}."


def _policy(scripts: Sequence[str]) -> str:
    """Return the policy that a browser holds the page to: these scripts and no others, and nothing from a network."""
    allowed = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _plotly() -> str:
    offline: Any = importlib.import_module("plotly.offline")
    return str(offline.get_plotlyjs())


def _file(name: str) -> str:
    return files("steadynet.study.report").joinpath(name).read_text(encoding="utf-8")
