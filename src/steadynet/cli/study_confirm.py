"""`steadynet study confirm`: results of an older version of the code that this one would make again, bit for bit."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadynet.cli.parser import Command, parse
from steadynet.cli.study_options import StudyOptions
from steadynet.errors import SteadyNetError

_SHOWN = 8


@dataclass(frozen=True)
class ConfirmOptions:
    """Versions.

    Args:
        old: A checkout of the older version that made the results, or the folder that holds its package; --old may be left out.
        out: Folder of studies.
        data_root: Folder that holds the data sets; as the trainings were told by default.
        threads: CPU threads of torch; its own choice by default.
        dry_run: List the kinds of training, and run none.
    """

    old: str | None = None
    out: str = StudyOptions.out
    data_root: str | None = None
    threads: int | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.old is None:
            raise SteadyNetError(
                "name a checkout of the version that made the results: steadynet study confirm ../steadynet-0.1"
            )


COMMAND = Command(
    "study confirm",
    "Find out whether results that an older version of the code made are also this one's: one short training of each kind is "
    "done by both, and of kinds whose weights and tests are equal bit for bit, all results count as this version's from then on. "
    "Nothing else is changed; each file notes what it was.",
    (ConfirmOptions,),
    positional="old",
    examples=(
        "steadynet study confirm ../steadynet-0.1",
        "steadynet study confirm ../steadynet-0.1 --out runs/published --data-root data --dry-run",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    options = parse(COMMAND, argv)
    if options is None:
        return 0
    from steadynet.study.carry import carry
    from steadynet.study.confirm import Kept, compare, kind_of, old_ones, package_folder

    asked = options[ConfirmOptions]
    old, out = package_folder(Path(asked.old or "").expanduser()), Path(asked.out).expanduser().absolute()
    if not out.is_dir():
        raise SteadyNetError(f"there is no folder {out}: give the folder of studies with --out")
    found, left = old_ones(out)
    kinds: dict[str, list[Kept]] = defaultdict(list)
    for kept in found:
        kinds[kind_of(kept.cell)].append(kept)
    print(f"{len(found)} trainings of another version of the code, of {len(kinds)} kinds", flush=True)
    if asked.dry_run or not kinds:
        for of in kinds.values():
            print(f"{of[0].folder.name}: {len(of)} trainings")
        # What was begun by a process that was killed is ended.
        done = None if asked.dry_run else carry(out, ())
    else:
        run = (
            []
            if asked.data_root is None
            else ["--data-root", str(Path(asked.data_root).expanduser().absolute())]
        )
        run += [] if asked.threads is None else ["--threads", str(asked.threads)]
        with tempfile.TemporaryDirectory(prefix="steadynet-") as work:
            ends = compare(kinds, old, Path(work), run)
        for kind, of in kinds.items():
            print(f"{of[0].folder.name}: {len(of)} trainings: {ends[kind].differs or 'equal'}")
        done = carry(out, [(kept, ends[kind]) for kind, of in kinds.items() for kept in of])
    if done is not None:
        left += done.left
        print(
            f"carried over: trainings {done.trainings}, tests {done.tests}, searches {done.searches}; left {len(left)}"
        )
    for line in left[:_SHOWN]:
        print(f"left: {line}")
    if len(left) > _SHOWN:
        print(f"… and {len(left) - _SHOWN} more")
    return 0
