"""`steadynet study unpack`: a folder of studies from a file of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadynet.cli.parser import Command, parse
from steadynet.cli.study_options import StudyOptions
from steadynet.errors import SteadyNetError


@dataclass(frozen=True)
class UnpackOptions:
    """Records.

    Args:
        file: A file that study pack wrote; --file may be left out.
        out: Folder of studies; it may hold some already.
    """

    file: str | None = None
    out: str = StudyOptions.out

    def __post_init__(self) -> None:
        if self.file is None:
            raise SteadyNetError("name the records: steadynet study unpack records.jsonl.xz")


COMMAND = Command(
    "study unpack",
    "Write results that study pack packed into a folder of studies, so that study render shows them and study run does "
    "what is left. Nothing that is there is changed. Records hold no weights: a network is trained again once a test needs it.",
    (UnpackOptions,),
    positional="file",
    examples=(
        "steadynet study unpack studies/records/small.jsonl.xz",
        "steadynet study unpack records.jsonl.xz --out runs/published",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    from steadynet.study.records import unpack

    asked = options[UnpackOptions]
    held, became = unpack(Path(asked.file or ""), Path(asked.out))
    print(f"{asked.file}: trainings {held.trainings}, tests {held.tests}, searches {held.searches}")
    print(f"{asked.out}: {became.new} new, {became.there} there already")
    if became.kept:
        print(f"{became.kept} left as they are here: their weights differ from the records'")
    if became.busy:
        print(f"{became.busy} left to the processes that are at them: unpack again when these are done")
    return 0
