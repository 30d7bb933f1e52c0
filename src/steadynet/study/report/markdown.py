"""The results as a page of Markdown, for a documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from steadynet.study.report.content import Chart, StudyContent
from steadynet.study.report.tables import markdown

_HEAD = """\
# Results of the studies

Every number here comes from the command beside it, and an interval is a 95 % interval; the line under each table and figure says
what it is over. Results that disappoint are shown as they are. This page is written by `steadynet study render`, and not by hand.
"""


def page(contents: Sequence[StudyContent], files: Mapping[str, str], pictures: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        contents: The studies.
        files: The file of each study, by its name.
        pictures: The path of each chart's picture, from the page, by the chart's key.
    """
    parts = [_HEAD, *(f"- [{content.title}](#{_anchor(content.title)})" for content in contents), ""]
    for content in contents:
        preset = f" --preset {content.preset}" if content.preset else ""
        parts += [f"## {content.title}", "", content.question, ""]
        parts += ["```console", f"steadynet study run {files[content.name]}{preset}"]
        parts += [f"steadynet study render {files[content.name]}{preset}", "```", ""]
        parts += [*(f"- {line}" for line in content.setting), ""]
        if not content.blocks:
            parts += ["Nothing of it is finished.", ""]
        for block in content.blocks:
            parts += [f"### {block.title}", ""]
            if isinstance(block, Chart):
                parts += [f"![{_plain(block.alternative or block.title)}]({pictures[block.key]})", ""]
            else:
                parts += [markdown(block), ""]
            parts += [*(f"- {note}" for note in block.notes), ""]
        if content.findings:
            parts += ["### What it says", "", *(f"- {line}" for line in content.findings), ""]
        if content.missing:
            parts += [
                f"### Not finished: {len(content.missing)}",
                "",
                *(f"- {line}" for line in content.missing),
                "",
            ]
        if content.facts:
            parts += [
                "Computed by " + "; ".join(f"{name} {value}" for name, value in content.facts) + ".",
                "",
            ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _plain(text: str) -> str:
    return " ".join(text.replace("[", "(").replace("]", ")").split())
