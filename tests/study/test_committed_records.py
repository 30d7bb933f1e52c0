"""The records that lie beside the studies: whole, of networks that the studies ask for, and rendered without any images."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadynet.study.plan import Plan, plan
from steadynet.study.records import Packed, unpack
from steadynet.study.rows import rows_of
from steadynet.study.specification import read_study

STUDIES = Path(__file__).resolve().parents[2] / "studies"
NAMES = ("leaderboard", "longer", "cifar10", "cifar10-32", "calibration", "transfer", "width")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Packed]:
    out = tmp_path_factory.mktemp("records")
    held, became = unpack(STUDIES / "records" / "small.jsonl.xz", out)
    assert became.new == held.trainings
    return out, held


@pytest.fixture(scope="module")
def whole(unpacked: tuple[Path, Packed]) -> Plan:
    studies = [read_study(STUDIES / f"{name}.yaml", "small") for name in NAMES]
    # A later version of the code may show them, and says so in each row.
    return plan(studies, unpacked[0], other_code="keep")


def test_every_training_is_one_that_a_study_or_its_search_asks_for(
    unpacked: tuple[Path, Packed], whole: Plan
) -> None:
    out, held = unpacked
    asked = {place.folder.name for place in whole.places}
    for search in whole.searches:
        asked |= {name for trial in search.trials() for name in trial.cell.split(" ")}
    there = {path.name for path in (out / "cells").iterdir()}
    assert len(there) == held.trainings
    assert there <= asked, "a study was changed: its old trainings are to be left out of the records"


def test_the_studies_have_rows_without_images(whole: Plan) -> None:
    assert not any(place.images.why for place in whole.places)
    rows, _ = rows_of(whole, whole.studies[0], "studies/leaderboard.yaml")
    assert len(rows) >= 20
    assert {"steady", "W/", "OVF"} <= {row["recipe"] for row in rows}
