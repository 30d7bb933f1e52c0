"""`steadynet study pack`: all results of a folder of studies in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadynet.cli.parser import Command, parse
from steadynet.cli.study_options import StudyOptions
from steadynet.errors import SteadyNetError


@dataclass(frozen=True)
class PackOptions:
    """Records.

    Args:
        file: The file to write; it ends in .jsonl, .jsonl.gz or .jsonl.xz. --file may be left out.
        out: Folder of studies.
        overwrite: Replace that file if it is there.
    """

    file: str | None = None
    out: str = StudyOptions.out
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.file is None:
            raise SteadyNetError("name the file to write: steadynet study pack records.jsonl.xz")


COMMAND = Command(
    "study pack",
    "Write the results of all finished trainings of a folder of studies to one file: every draw of their tests, their searches, "
    "what they were trained with and by which code, but no weights. study unpack makes a folder of it again.",
    (PackOptions,),
    positional="file",
    examples=(
        "steadynet study pack records.jsonl.xz",
        "steadynet study pack studies/records/small.jsonl.xz --out runs/studies --overwrite",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    from steadynet.study.records import pack

    asked = options[PackOptions]
    packed = pack(Path(asked.out), Path(asked.file or ""), overwrite=asked.overwrite)
    print(f"{asked.file}: trainings {packed.trainings}, tests {packed.tests}, searches {packed.searches}")
    return 0
