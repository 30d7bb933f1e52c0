"""Tables as text: Markdown for pages, LaTeX (booktabs) for papers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from steadynet.study.report.content import Entry, Grid

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "×": r"$\times$",
    "÷": r"$\div$",
    "σ": r"$\sigma$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "Δ": r"$\Delta$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "…": r"\ldots{}",
    "√": r"$\surd$",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~])")


def markdown(grid: Grid) -> str:
    """Return a table as Markdown, its columns aligned; published numbers in italics, an asterisk on what is not converged."""
    lines = [[_escaped(text) for text in grid.columns], *([_markdown(e) for e in row] for row in grid.rows)]
    numeric = _numeric(grid)
    widths = [max(3, *(_width(line[i]) for line in lines)) for i in range(len(grid.columns))]
    rule = [
        "-" * (width - 1) + ":" if right else "-" * width
        for width, right in zip(widths, numeric, strict=True)
    ]
    made = [_row(lines[0], widths, numeric), _row(rule, widths, numeric)]
    return "\n".join([*made, *(_row(line, widths, numeric) for line in lines[1:])])


def latex(grid: Grid) -> str:
    r"""Return a table in LaTeX: needs `\usepackage{booktabs}`; the title is its caption, the notes stand beneath."""
    numeric = _numeric(grid)
    lines = [[_tex(text) for text in grid.columns], *([_latex(e) for e in row] for row in grid.rows)]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(grid.columns))]
    body = [
        " & ".join(_padded(*field) for field in zip(line, widths, numeric, strict=True)) for line in lines
    ]
    notes = [rf"  {_tex(note)}.\par" for note in grid.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_tex(grid.title)}}}",
            rf"  \label{{tab:{grid.key}}}",
            rf"  \begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
            r"    \toprule",
            rf"    {body[0]} \\",
            r"    \midrule",
            *(rf"    {line} \\" for line in body[1:]),
            r"    \bottomrule",
            r"  \end{tabular}",
            *([r"  \par\footnotesize", *notes] if notes else []),
            r"\end{table}",
        ]
    )


def shown(entry: Entry) -> str:
    """Return what a field shows: its text, with an asterisk where the training is not converged."""
    return entry.text if entry.converged else f"{entry.text}*"


def _numeric(grid: Grid) -> list[bool]:
    """Return which columns hold numbers, and so stand to the right; the first names the rows."""
    columns = [[row[i] for row in grid.rows] for i in range(len(grid.columns))]
    return [i > 0 and any(entry.value is not None for entry in column) for i, column in enumerate(columns)]


def _markdown(entry: Entry) -> str:
    text = _escaped(shown(entry))
    return f"*{text}*" if entry.published and text else text


def _latex(entry: Entry) -> str:
    text = _tex(shown(entry))
    return rf"\textit{{{text}}}" if entry.published and text else text


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _tex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))


def _row(texts: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    return "| " + " | ".join(_padded(*field) for field in zip(texts, widths, numeric, strict=True)) + " |"


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: marks that combine take none."""
    return sum(0 if unicodedata.combining(c) else 1 for c in text)
