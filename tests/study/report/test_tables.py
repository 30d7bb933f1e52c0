"""Tables as Markdown and LaTeX: aligned, escaped, with marks for what is published and what is not converged."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from steadynet.study.report.content import Entry, Grid
from steadynet.study.report.tables import latex, markdown

GRID = Grid(
    "a-1",
    "Accuracy, in %: 50 & more",
    ("recipe", "sigma_d 0.1", "verdict"),
    (
        (Entry("W/, T = 4"), Entry("97.31 ± 0.42", 97.31, 96.9, 97.7), Entry("control")),
        (
            Entry("OVF, published", published=True),
            Entry("~28", 28.0, published=True),
            Entry("", published=True),
        ),
        (Entry("IRS"), Entry("9.00", 9.0, converged=False), Entry("not converged")),
    ),
    ("±: over 3 trainings", "published: x_y"),
)


def test_markdown_is_aligned_numbers_to_the_right() -> None:
    assert markdown(GRID).splitlines() == [
        "| recipe           | sigma\\_d 0.1 | verdict       |",
        "| ---------------- | -----------: | ------------- |",
        "| W/, T = 4        | 97.31 ± 0.42 | control       |",
        "| *OVF, published* |       *\\~28* |               |",
        "| IRS              |       9.00\\* | not converged |",
    ]


def test_latex_has_rules_escapes_and_its_notes() -> None:
    text = latex(GRID)
    assert text.splitlines()[2:10] == [
        r"  \caption{Accuracy, in \%: 50 \& more}",
        r"  \label{tab:a-1}",
        r"  \begin{tabular}{lrl}",
        r"    \toprule",
        r"    recipe                  &                 sigma\_d 0.1 & verdict       \\",
        r"    \midrule",
        r"    W/, T = 4               &             97.31 $\pm$ 0.42 & control       \\",
        r"    \textit{OVF, published} & \textit{\textasciitilde{}28} &               \\",
    ]
    assert r"9.00* & not converged \\" in text
    assert r"$\pm$: over 3 trainings.\par" in text
    assert r"published: x\_y.\par" in text


def test_an_empty_table_keeps_its_heading() -> None:
    empty = Grid("k", "t", ("recipe", "accuracy, %"), ())
    assert markdown(empty) == "| recipe | accuracy, % |\n| ------ | ----------- |"
    assert r"\begin{tabular}{ll}" in latex(empty)


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_breaks_out_of_its_field(first: str, second: str) -> None:
    grid = Grid("k", "t", ("a", "b"), ((Entry(first), Entry(second, published=True)),))
    lines = markdown(grid).splitlines()
    assert len(lines) == 3
    # Bars that a backslash does not take away.
    bars = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines]
    assert bars == [3, 3, 3]
    assert "<" not in re.sub(r"\\<", "", lines[2])
    (line,) = [
        line for line in latex(grid).splitlines() if line.startswith("    ") and line.endswith(r" \\")
    ][1:]
    assert len(re.findall(r"(?<!\\)&", line)) == 1
    assert not re.search(r"(?<!\\)[#%]", line)
    bare = re.sub(r"\\[{}]", "", line)
    assert bare.count("{") == bare.count("}")
