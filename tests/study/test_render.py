"""From a study's file to its report: every number of the pages is one of the tidy table, and what is missing is told."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.processes import run
from steadynet.cli.main import main
from steadynet.study.tidy import read_tidy
from study.small import write

AXES = {
    "recipe": {
        "W/O": {"recipe": "vanilla"},
        "W/": {"recipe": "noise"},
        "T < 4 & more": {"recipe": "noise-t4"},
    },
    "sigma_d": [0.1, 0.2],
    "seed": [0, 1],
}
REPORT = [
    {"view": "curve", "metric": "accuracy"},
    {"view": "table", "metric": "accuracy", "columns": "sigma_d"},
    {"view": "ranking", "control": "T < 4 & more"},
    {"view": "violin"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of which one training is left, rendered."""
    folder = tmp_path_factory.mktemp("render")
    write(folder, axes=AXES, report=REPORT, title="Small <b>study</b>", question="What is kept?")
    run(folder, "study", "run", "small.yaml", "--out", "out", "--limit", "9")
    done = run(folder, "study", "render", "small.yaml", "--out", "out", "--markdown", "pages")
    assert done.stdout.splitlines()[0].endswith("out/report/report.html")
    return folder


def means(table: Any) -> dict[tuple[str, float], list[float]]:
    """The accuracies of each recipe and σ_d, over seeds, of the tidy table."""
    found: dict[tuple[str, float], list[float]] = {}
    for _, line in table.iterrows():
        found.setdefault((line["recipe"], line["sigma_d"]), []).append(float(line["accuracy"]))
    return found


def numbers(value: Any) -> Iterator[float]:
    """Every finite number in nested plain types."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def test_tables_figures_and_tidy_tables_are_written(folder: Path) -> None:
    own = folder / "out" / "report" / "small"
    stems = {path.stem for path in own.glob("small-*")}
    for stem in stems:
        kinds = {path.suffix for path in own.glob(f"{stem}.*")}
        assert kinds in ({".png", ".svg", ".pdf"}, {".md", ".tex"}), (stem, kinds)
    assert any("curve" in stem for stem in stems)
    csv, parquet = read_tidy(own / "results.csv"), read_tidy(own / "results.parquet")
    assert csv.equals(parquet)
    # Nine of ten trainings: one of two seeds lacks a recipe at one σ_d.
    assert len(csv) == 3 * 2 * 2 - 1


def test_every_number_of_the_report_is_one_of_the_tidy_table(folder: Path) -> None:
    table = read_tidy(folder / "out" / "report" / "small" / "results.parquet")
    expected = {key: sum(values) / len(values) for key, values in means(table).items()}
    tex = next((folder / "out" / "report" / "small").glob("*table-accuracy.md")).read_text()
    html = (folder / "out" / "report" / "report.html").read_text()
    page = (folder / "pages" / "small.md").read_text()
    for (recipe, sigma_d), mean in expected.items():
        shown = f"{100 * mean:.2f}"
        assert shown in tex, (recipe, sigma_d)
        assert shown in html
        assert shown in page
    [embedded] = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)[:1]
    held = list(numbers(json.loads(embedded)))
    for mean in expected.values():
        assert min(abs(100 * mean - value) for value in held) < 1e-9


def test_what_is_not_finished_is_told_with_an_estimate(folder: Path) -> None:
    page = (folder / "pages" / "small.md").read_text()
    assert "## Not finished: 1" in page
    [line] = re.findall(r"^- recipe .*: waiting, about .* left$", page, re.MULTILINE)
    assert "seed 1" in line
    html = (folder / "out" / "report" / "report.html").read_text()
    assert line.removeprefix("- ").replace("&", "&amp;").replace("<", "&lt;") in html


def test_names_are_text_and_no_markup(folder: Path) -> None:
    html = (folder / "out" / "report" / "report.html").read_text()
    assert "<b>study</b>" not in html
    assert "Small &lt;b&gt;study&lt;/b&gt;" in html
    assert "T &lt; 4 &amp; more" in html


def test_each_number_has_the_command_that_gives_it_again(folder: Path) -> None:
    table = read_tidy(folder / "out" / "report" / "small" / "results.csv")
    command = str(table.iloc[-1]["command"])
    assert command.startswith("steadynet study run small.yaml --out out --only ")
    import shlex

    words = shlex.split(command)
    done = run(folder, *words[1:])
    assert "1 cells: 1 finished; 0 to do" in done.stdout


def test_rendering_again_replaces_the_report_but_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    study = str(folder / "small.yaml")
    assert main(["study", "render", study, "--out", str(folder / "out"), "--report", str(other)]) == 2
    assert "holds something that is no report" in capsys.readouterr().err
    assert sorted(path.name for path in other.iterdir()) == ["mine.txt"]
    assert main(["study", "render", study, "--out", str(folder / "out")]) == 0


def test_pages_lead_to_all_that_were_written_and_replace_their_own_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = tmp_path / "pages"
    shutil.copytree(folder / "pages", pages)
    pictures = {path.name for path in (pages / "images").iterdir()}
    for name in ("small-9-curve-accuracy.png", "small-2-1-curve-accuracy.png", "mine.png"):
        (pages / "images" / name).touch()
    (pages / "mine.md").write_text("# Mine\n")
    other = write(tmp_path, "other", axes=AXES, report=REPORT[:1], title="Other")
    words = ["--out", str(folder / "out"), "--report", str(tmp_path / "report"), "--markdown", str(pages)]
    assert main(["study", "render", str(other), *words]) == 0
    assert main(["study", "render", str(folder / "small.yaml"), *words]) == 0
    left = {path.name for path in (pages / "images").iterdir() if not path.name.startswith("other-")}
    assert left == {*pictures, "small-2-1-curve-accuracy.png", "mine.png"}
    text = (pages / "index.md").read_text()
    assert re.findall(r"^- .*$", text, re.MULTILINE) == [
        "- [Other](other.md)",
        "- [Small <b>study</b>](small.md): What is kept?",
    ]
    for picture in re.findall(r"\]\((images/.*?)\)", (pages / "small.md").read_text()):
        assert (pages / picture).is_file()
    (pages / "other.md").write_text("# Other\n\nMy own.\n")
    capsys.readouterr()
    assert main(["study", "render", str(other), *words]) == 2
    assert "other.md was not written by this command" in capsys.readouterr().err
    assert "My own." in (pages / "other.md").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("study", "run"), "which study?"),
        (("study", "runn"), "unknown word after steadynet study 'runn': did you mean 'run'"),
        (("study", "run", "nowhere.yaml"), "study nowhere.yaml: there is no such file"),
        (("study", "run", "{}", "--shard", "3/2"), "--shard takes i/n"),
        (("study", "run", "{}", "--data-as", "mnist"), "--data-as takes NAME=DATA"),
        (("study", "run", "{}", "--workers", "0"), "--workers must be an integer ≥ 1"),
        (("study", "run", "{}", "--workers", "2", "--devices", "2"), "leave out --devices and --nodes"),
        (("study", "run", "{}", "--ray-gpus", "1"), "--ray-gpus is for --ray"),
        (("study", "run", "{}", "--preset", "small"), "this study has no presets"),
        (("study", "run", "{}", "{}"), "study small is named twice"),
        (("study", "status", "{}", "--only", "recipe=OVV"), "recipe has no label 'OVV'"),
        (("study", "run", "{}", "--other-code", "maybe"), "other-code"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    folder: Path, words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [word.replace("{}", str(folder / "small.yaml")) for word in words]
    if len(made) > 2 and made[1] != "runn":
        made[3:3] = ["--out", str(folder / "out")] if made[2] != "nowhere.yaml" else []
    assert main(made) == 2
    err = capsys.readouterr().err
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("report", "told"),
    [
        ([{"view": "curv"}], "unknown view 'curv': did you mean 'curve'"),
        ([{"view": "curve", "panels": "panel"}], "unknown axis of study 'x' 'panel'"),
        ([{"view": "curve", "metrics": "ekl"}], "unknown key of view curve 'metrics': did you mean 'metric'"),
    ],
)
def test_a_view_that_cannot_be_drawn_is_refused_before_any_training(
    tmp_path: Path, report: list[dict[str, str]], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "x", report=report)
    assert main(["study", "run", str(path), "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "cells").exists()


def test_names_that_would_write_over_each_other_are_refused(tmp_path: Path) -> None:
    from steadynet.errors import SteadyNetError
    from steadynet.study.render import _check_keys
    from steadynet.study.report.content import Grid, StudyContent

    grid = Grid("same-1-table", "Table", ("recipe",), ((),))
    contents = [StudyContent(name, name, "", "", blocks=(grid,)) for name in ("one", "two")]
    with pytest.raises(SteadyNetError, match="studies one and two both have a chart or table same-1-table"):
        _check_keys(contents)
    path = write(tmp_path, "report.html", report=REPORT[:1])
    assert path.stem == "report.html"
    for study in (path, write(tmp_path, "index", report=REPORT[:1])):
        assert main(["study", "render", str(study), "--out", str(tmp_path / "out")]) == 2


def test_a_study_whose_name_no_folder_can_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(f"name: {'x' * 300}\naxes: {{seed: [0]}}\n")
    assert main(["study", "run", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "cannot name a folder: take at most 100 letters" in capsys.readouterr().err
