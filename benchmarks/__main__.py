"""Measure: `python -m benchmarks [--only NAME …] [--quick] [--threads N] [--fresh]`. The table is drawn by `benchmarks.table`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from benchmarks.benches import BENCHES, find
from benchmarks.machine import ROOT, this_machine
from benchmarks.peer.environment import DEFAULT as PEER_VENV
from benchmarks.scale import SCALES
from benchmarks.store import Store
from benchmarks.task import Task
from steadynet.errors import SteadyNetError, unknown

RESULTS = ROOT / "benchmarks" / "results"
CACHE = ROOT / "benchmarks" / ".cache"


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the rows of the benchmarks."
    )
    made.add_argument(
        "--only", nargs="+", metavar="NAME", help="benches whose names begin so: " + ", ".join(BENCHES)
    )
    made.add_argument("--scale", choices=list(SCALES), default="full", help="how large the work is")
    made.add_argument(
        "--quick", dest="scale", action="store_const", const="quick", help="a small network, in minutes"
    )
    made.add_argument("--threads", type=int, help="torch's; all cores by default")
    made.add_argument(
        "--fresh", action="store_true", help="measure again what this code measured on this machine"
    )
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    made.add_argument("--cache", type=Path, default=CACHE, help="folder of trained networks")
    made.add_argument("--peer-venv", type=Path, default=PEER_VENV, help="folder of the peer's environment")
    made.add_argument("--peer-index", help="where the peer's torch comes from, as pip's --index-url")
    return made


def chosen(only: list[str] | None) -> list[str]:
    """Return the benches whose names begin with one of `only`; all if None.

    Raises:
        SteadyNetError: If there is none of such a name.
    """
    for start in only or ():
        if not any(name.startswith(start) for name in BENCHES):
            raise unknown("bench", start, BENCHES)
    return [name for name in BENCHES if only is None or name.startswith(tuple(only))]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for; return 1 if a bench failed, 2 if the options cannot be used."""
    options = parser().parse_args(arguments)
    machine = this_machine()
    threads = machine.cores if options.threads is None else options.threads
    try:
        names = chosen(options.only)
        if threads < 1:
            raise SteadyNetError(f"threads must be at least 1, got {threads}")
        import torch

        torch.set_num_threads(threads)
        scale = SCALES[options.scale]
        store = Store.open(options.out, machine, threads, scale, fresh=options.fresh)
    except SteadyNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    task = Task(scale, options.cache, options.peer_venv, options.peer_index)
    failed = False
    print(f"{machine.cpu}, {threads} threads, scale {scale.name}: {store.path}", flush=True)
    for name in names:
        if store.has(name):
            print(f"{name}: measured already (--fresh measures again)", flush=True)
            continue
        started = time.perf_counter()
        try:
            rows = find(name)(task)
        except Exception as error:  # one bench's failure must not cost the others
            failed = True
            if not isinstance(error, SteadyNetError):
                traceback.print_exc()
            print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
            store.fail(name, f"{type(error).__name__}: {error}")
            continue
        taken = time.perf_counter() - started
        store.add(name, rows, taken)
        for row in rows:
            low, high = row.quartiles
            print(f"{row.name}: {row.median:.3f} ({low:.3f} … {high:.3f}), bench {taken:.0f} s", flush=True)
    if store.path.exists():
        # The table is drawn from the file that was used last, also where it held all rows already.
        store.path.touch()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
