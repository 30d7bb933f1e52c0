"""Views that could not be drawn after hours of training are refused before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steadynet.cli.main import main
from steadynet.errors import SteadyNetError
from steadynet.study.cells import cells_of
from steadynet.study.report.check import check_views
from steadynet.study.specification import read_study, study
from study.small import write, written

FILES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))


def checked(**changes: Any) -> None:
    made = study(written(**changes))
    check_views(made, [point for cell in cells_of(made) for point in cell.points])


@pytest.mark.parametrize("preset", ["small", "paper"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_view_of_the_papers_studies_can_be_drawn(file: Path, preset: str) -> None:
    made = read_study(file, preset)
    check_views(made, [point for cell in cells_of(made) for point in cell.points])


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"view": "ranking", "control": "Z"}, "view 1 of its report: unknown control of view ranking 'Z'"),
        (
            {"view": "curve", "where": {"recipe": ["AA"]}},
            "view 1 of its report: where: recipe has no label 'AA'",
        ),
        ({"view": "table"}, "view 1 of its report: view table mixes sigma_d 0.1 and 0.2 in one value"),
        ({"view": "curve", "x": "recipe", "series": "sigma_d"}, "x must be an axis of numbers"),
    ],
)
def test_a_view_that_cannot_be_drawn_is_refused(view: dict[str, Any], told: str) -> None:
    with pytest.raises(SteadyNetError) as raised:
        checked(report=[view])
    assert told in str(raised.value)


def test_the_command_refuses_it_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, report=[{"view": "ranking", "control": "Z"}])
    assert main(["study", "run", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "unknown control of view ranking 'Z'" in capsys.readouterr().err
    assert not (tmp_path / "out" / "cells").exists()
