"""The table of families and features in docs/models.md: each cell holds.

`STEADYNET_WRITE_TABLE=1 pytest tests/models/test_families.py -n 0` writes it anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from models.families import FAMILIES, FEATURES, made
from steadynet.errors import SteadyNetError

pytest.importorskip("timm", reason="timm is not installed: pip install timm")
pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
YES, NO = "✓", "–"
HEAD = f"| | {' | '.join(FEATURES)} |"
# What a refusal says, by feature: another one would be no known limit.
KNOWN = {
    "`steady`": r"is computed by a parametrisation, which Peak cannot keep in shape",
    "IRS": r"IRS finds (no convolution that runs|a single block of convolutions) in \w+: name its taps",
    "at once": r"cannot be run for several chips at once .*: set chunk to 1",
    "converters": r"converters are for convolutions and linear layers|computed by a parametrisation",
}
written: dict[tuple[str, str], str] = {}


def table() -> dict[tuple[str, str], str]:
    """Return the cells of the page, by family and feature."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index(HEAD)
    cells: dict[tuple[str, str], str] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        family, *marks = (cell.strip() for cell in line.strip("|").split("|"))
        cells |= {(family, feature): mark for feature, mark in zip(FEATURES, marks, strict=True)}
    return cells


# torch computes what has no batching rule chip by chip, and says so; its exporters warn of their own insides.
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_pages_cell_holds(family: str, feature: str, tmp_path: Path) -> None:
    model, items = made(family)
    refusal = ""
    try:
        FEATURES[feature](model, items, tmp_path)
    except SteadyNetError as error:
        refusal = str(error)
    found = NO if refusal else YES
    assert not refusal or re.search(KNOWN.get(feature, "nothing"), refusal), refusal
    written[family, feature] = found
    if "STEADYNET_WRITE_TABLE" in os.environ:
        if len(written) == len(FAMILIES) * len(FEATURES):
            write()
        return
    assert table()[family, feature] == found


def test_the_page_has_no_other_cells() -> None:
    assert table().keys() == {(family, feature) for family in FAMILIES for feature in FEATURES}


def write() -> None:
    """Put the table that was found into the page."""
    text = PAGE.read_text(encoding="utf-8")
    rows = [HEAD, "| --- |" + " :-: |" * len(FEATURES)]
    rows += [
        f"| {family} | {' | '.join(written[family, feature] for feature in FEATURES)} |"
        for family in FAMILIES
    ]
    begin, end = "<!-- the table of families: made by tests/models/test_families.py -->\n", "<!-- its end -->"
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(before + begin + "\n" + "\n".join(rows) + "\n\n" + end + after, encoding="utf-8")
