"""`steadynet devices`: the named devices."""

from __future__ import annotations

from collections.abc import Sequence

from steadynet.cli.parser import Command, parse
from steadynet.cli.table import Row, print_table
from steadynet.nvm.presets import PRESETS
from steadynet.options.groups import GAUSSIAN

_EVEN = "sigma_d at every level"
COMMAND = Command("devices", "List the named devices, for --device NAME.", groups=())


def main(argv: Sequence[str]) -> int:
    """Print the table."""
    if parse(COMMAND, argv) is None:
        return 0
    rows: list[Row] = [(GAUSSIAN, "the paper's device", "1", _EVEN, "section 4.1 of the paper")]
    rows += [(p.name, p.technology, f"{p.factor:g}", law(p.factor), p.source) for p in PRESETS.values()]
    print_table(("name", "device", "factor s", "std of a device's error", "source"), rows)
    print("sigma_d, relative to the largest conductance of one device, is an option of its own: --sigma-d.")
    print("The mean square is sigma_d² at every s, if 40 % of the devices lie in the middle of their range.")
    return 0


def law(factor: float) -> str:
    """Return the law of a state-dependent device in words."""
    if factor == 1:
        return _EVEN
    outer = 1 / (0.4 * factor**2 + 0.6) ** 0.5
    return f"{outer:.3f} sigma_d, times s between 1/4 and 3/4 of the range"
