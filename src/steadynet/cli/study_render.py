"""`steadynet study render`: tables, figures and one report of what is finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steadynet.cli.parser import Command, parse
from steadynet.cli.study_options import RenderOptions, StudyOptions
from steadynet.extras import require_extra

COMMAND = Command(
    "study render",
    "Write what is finished of studies: one self-contained report.html, and for each study its figures as PNG, SVG and PDF, its "
    "tables as Markdown and LaTeX, and all results as one tidy table, CSV and Parquet. What is not finished is listed with an "
    "estimate.",
    (StudyOptions, RenderOptions),
    positional="files",
    examples=(
        "steadynet study render studies/*.yaml",
        "steadynet study render studies/*.yaml --preset small --markdown docs/results",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    require_extra("study", "steadynet study render")
    from steadynet.cli.study_plan import files, planned
    from steadynet.study.render import render

    asked = options[RenderOptions]
    whole = planned(options)
    folder = Path(asked.report) if asked.report else whole.out / "report"
    written = render(
        whole,
        files(options, whole),
        folder,
        pages=Path(asked.markdown) if asked.markdown else None,
        overwrite=asked.overwrite,
    )
    for path in written:
        print(path)
    return 0
