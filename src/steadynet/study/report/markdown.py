"""A page of Markdown for each study, and one that leads to them, for a documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from steadynet.study.report.content import Chart, StudyContent
from steadynet.study.report.tables import markdown

_FOOT = "This page is written by `steadynet study render`, not by hand; an interval is a 95 % interval."
INDEX = "index.md"


def page(content: StudyContent, file: str, pictures: Mapping[str, str]) -> str:
    """Return a study's page.

    Args:
        content: The study.
        file: Its file, as commands name it.
        pictures: The path of each chart's picture, from the page, by the chart's key.
    """
    preset = f" --preset {content.preset}" if content.preset else ""
    parts = [f"# {content.title}", "", " ".join(content.question.split()), ""]
    parts += ["```console", f"steadynet study run {file}{preset}"]
    parts += [f"steadynet study render {file}{preset}", "```", ""]
    parts += [*(f"- {line}" for line in content.setting), ""]
    if not content.blocks:
        parts += ["Nothing of it is finished.", ""]
    for block in content.blocks:
        parts += [f"## {block.title}", ""]
        if isinstance(block, Chart):
            parts += [f"![{_plain(block.alternative or block.title)}]({pictures[block.key]})", ""]
        else:
            parts += [markdown(block), ""]
        parts += [*(f"- {note}" for note in block.notes), ""]
    if content.findings:
        parts += ["## What it says", "", *(f"- {line}" for line in content.findings), ""]
    if content.missing:
        parts += [
            f"## Not finished: {len(content.missing)}",
            "",
            *(f"- {line}" for line in content.missing),
            "",
        ]
    if content.facts:
        parts += ["Computed by " + "; ".join(f"{name} {value}" for name, value in content.facts) + ".", ""]
    parts.append(_FOOT)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def index(pages: Mapping[str, str]) -> str:
    """Return the page that leads to those of the studies, whenever they were written.

    Args:
        pages: The text of each page, by its file's name; one that is no study's is left out.
    """
    parts = [
        "# Results of the studies",
        "",
        "Every number comes from the command on its page; the line under each table and figure says what its interval is over. "
        "Results that disappoint are shown as they are.",
        "",
    ]
    for name, text in sorted(pages.items()):
        if name != INDEX and is_page(text):
            title, question, *_ = (line for line in text.split("\n") if line)
            asked = "" if question.startswith("```") else f": {question}"
            parts.append(f"- [{title.removeprefix('# ')}]({name}){asked}")
    return "\n".join([*parts, "", _FOOT]) + "\n"


def is_page(text: str) -> bool:
    """Return whether a text is a page of a study, or the index of them, as it was written here."""
    return text.startswith("# ") and text.rstrip().endswith(_FOOT)


def _plain(text: str) -> str:
    return " ".join(text.replace("[", "(").replace("]", ")").split())
