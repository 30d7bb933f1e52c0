"""Write what is known of studies: one report, and for each study figures, tables and the tidy table of its results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from steadynet.errors import SteadyNetError
from steadynet.files import write_text_atomically
from steadynet.study.estimate import Estimates
from steadynet.study.plan import Plan
from steadynet.study.report.assemble import content_of
from steadynet.study.report.content import Chart, StudyContent
from steadynet.study.report.drawing import draw
from steadynet.study.report.markdown import INDEX, index, is_page, page
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
    pages: Path | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the report of a plan's studies; return the paths of the pages and tables.

    Args:
        whole: The plan.
        files: The file of each study, as commands name it, by the study's name.
        folder: Where `report.html` goes, and a folder for each study with its figures, tables and results.
        pages: Folder for a page of Markdown for each study as well, with figures in `images/`, and an index of all pages there.
        overwrite: Whether a folder that holds something else may be written into.

    Raises:
        SteadyNetError: If results cannot be read, a view cannot be used, or something else lies in the folder.
    """
    for study in whole.studies:
        if study.name in (REPORT, Path(INDEX).stem):
            raise SteadyNetError(f"study {study.name} has the name of a page of its own: give it another")
    _claim(folder, overwrite)
    if pages is not None and not overwrite:
        _check_pages([pages / INDEX, *(pages / f"{study.name}.md" for study in whole.studies)])
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
    if pages is not None:
        written += _write_pages(contents, files, pages)
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


def _write_pages(contents: Sequence[StudyContent], files: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Write the page of each study and the index of all that lie in the folder; yield their paths."""
    pictures_in = folder / "images"
    try:
        pictures_in.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteadyNetError(
            f"cannot make {pictures_in} ({error.strerror}): give another --markdown"
        ) from error
    for content in contents:
        own = re.compile(re.escape(content.name) + r"-[0-9]+-[a-z][a-z0-9-]*\.png")
        for left in pictures_in.iterdir():
            if own.fullmatch(left.name):
                left.unlink()  # Of views that are no more, or stand at another place now.
        pictures: dict[str, str] = {}
        for block in content.blocks:
            if isinstance(block, Chart):
                draw(block, pictures_in, suffixes=(".png",))
                pictures[block.key] = f"images/{block.key}.png"
        path = folder / f"{content.name}.md"
        write_text_atomically(path, page(content, files[content.name], pictures))
        yield path
    pages = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    write_text_atomically(folder / INDEX, index(pages))
    yield folder / INDEX


def _check_pages(paths: Sequence[Path]) -> None:
    """Raise if a page that is to be written is somebody's own."""
    for path in paths:
        if path.is_file() and not is_page(path.read_text(encoding="utf-8", errors="replace")):
            raise SteadyNetError(
                f"{path} was not written by this command; give another --markdown, or --overwrite"
            )


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
