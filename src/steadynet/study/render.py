"""Write what is known of studies: one report, and for each study figures, tables and the tidy table of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steadynet.errors import SteadyNetError
from steadynet.files import write_text_atomically
from steadynet.study.estimate import Estimates
from steadynet.study.plan import Plan
from steadynet.study.report.assemble import content_of
from steadynet.study.report.content import Chart, StudyContent
from steadynet.study.report.drawing import draw
from steadynet.study.report.markdown import page
from steadynet.study.report.page import write_report
from steadynet.study.report.tables import latex, markdown
from steadynet.study.tidy import write_tidy

REPORT = "report.html"
# In a folder that this command made, so that it can be written anew without asking.
MARK = ".steadynet-report"


def render(
    whole: Plan,
    files: Mapping[str, str],
    folder: Path,
    *,
    page_path: Path | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the report of a plan's studies; return the paths of the pages and tables.

    Args:
        whole: The plan.
        files: The file of each study, as commands name it, by the study's name.
        folder: Where `report.html` goes, and a folder for each study with its figures, tables and results.
        page_path: A page of Markdown to write as well, with its figures in `images/` beside it.
        overwrite: Whether a folder that holds something else may be written into.

    Raises:
        SteadyNetError: If results cannot be read, a view cannot be used, or something else lies in the folder.
    """
    for study in whole.studies:
        if study.name == REPORT:
            raise SteadyNetError(f"study {REPORT} has the name of the report itself: give it another")
    _claim(folder, overwrite)
    estimates = Estimates(whole.out)
    estimates.learn(whole.places)
    written: list[Path] = []
    contents: list[StudyContent] = []
    for study in whole.studies:
        try:
            content, rows = content_of(whole, study, files[study.name], estimates)
        except SteadyNetError as error:
            raise SteadyNetError(f"study {study.name}: {error}") from None
        contents.append(content)
        own = folder / study.name
        own.mkdir(exist_ok=True)
        if rows:
            written += write_tidy(rows, own / "results")
        for block in content.blocks:
            if isinstance(block, Chart):
                draw(block, own)
            else:
                write_text_atomically(own / f"{block.key}.md", markdown(block) + "\n")
                write_text_atomically(own / f"{block.key}.tex", latex(block) + "\n")
    _check_keys(contents)
    write_report(contents, folder / REPORT)
    if page_path is not None:
        _write_page(contents, files, page_path)
        written.append(page_path)
    return [folder / REPORT, *written]


def _check_keys(contents: Sequence[StudyContent]) -> None:
    """Raise if two charts or tables have one name: the page of Markdown keeps the pictures of all studies in one folder."""
    of: dict[str, str] = {}
    for content in contents:
        for block in content.blocks:
            if block.key in of:
                raise SteadyNetError(
                    f"studies {of[block.key]} and {content.name} both have a chart or table {block.key}: give one another name"
                )
            of[block.key] = content.name


def _write_page(contents: Sequence[StudyContent], files: Mapping[str, str], path: Path) -> None:
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, str] = {}
    for content in contents:
        for block in content.blocks:
            if isinstance(block, Chart):
                draw(block, images, suffixes=(".png",))
                pictures[block.key] = f"images/{block.key}.png"
    write_text_atomically(path, page(contents, files, pictures))


def _claim(folder: Path, overwrite: bool) -> None:
    try:
        others = folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists()
        if others and not overwrite:
            raise SteadyNetError(
                f"{folder} holds something that is no report; give another --report, or --overwrite"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise SteadyNetError(
            f"report folder {folder} cannot be written to ({error.strerror}); give another"
        ) from error
