"""Named devices, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from steadynet.errors import unknown
from steadynet.nvm.variation import Rule, StateDependent

_SOURCE = "public code of 'Negative Feedback Training' (NeFT_CIM), device models"


@dataclass(frozen=True)
class Preset:
    """A named state-dependent device: its technology, the factor s of its middle levels, the source."""

    name: str
    technology: str
    factor: float
    source: str = _SOURCE


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("rram1", "RRAM, the same error at every level", 1.0),
            Preset("fefet2", "FeFET, middle levels err twice as much", 2.0),
            Preset("rram4", "RRAM, middle levels err four times as much", 4.0),
            Preset("fefet6", "FeFET, middle levels err six times as much", 6.0),
        )
    }
)


def preset(name: str, sigma_d: float, rule: Rule = "device") -> StateDependent:
    """Return the variation of a named device at `sigma_d`.

    Example:
        >>> preset("rram4", sigma_d=0.1).factor
        4.0

    Args:
        name: One of `PRESETS`.
        sigma_d: Overall std relative to the largest conductance of one device.
        rule: "device" or "weight"; see `StateDependent`.

    Raises:
        SteadyNetError: If there is no such preset (the nearest are named), or a value is out of range.
    """
    if name not in PRESETS:
        raise unknown("device preset", name, PRESETS)
    return StateDependent(sigma_d=sigma_d, factor=PRESETS[name].factor, rule=rule)
