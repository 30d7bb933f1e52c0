"""Named devices, each with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadynet.errors import SteadyNetError, unknown
from steadynet.nvm.composed import Composed
from steadynet.nvm.conductance_law import ConductanceLaw, Polynomial, Saturating
from steadynet.nvm.device_law import LogNormalDevice
from steadynet.nvm.variation import Gaussian, Rule, StateDependent, Variation

if TYPE_CHECKING:
    from steadynet.nvm.device import Device

_NEFT = "public code of 'Negative Feedback Training' (NeFT_CIM), device models"
_AIHWKIT = "aihwkit, aihwkit.inference.noise"
_CROSSSIM = "CrossSim, simulator.devices.custom"


@dataclass(frozen=True)
class Preset:
    """A named device.

    Attributes:
        name: What it is called.
        technology: What it is.
        variation: How it errs, at its own `sigma_d`; one of 0 for a law that is given at any.
        source: Where its numbers are from.
        given_ratio: Largest conductance over that of level 0, where it is other than its law's range.
    """

    name: str
    technology: str
    variation: Variation
    source: str
    given_ratio: float | None = None

    @property
    def law(self) -> Variation:
        """How programming errs, without the effects after it."""
        return self.variation.law if isinstance(self.variation, Composed) else self.variation

    @property
    def own_sigma_d(self) -> float | None:
        """The size of its error as published or measured; None for a law that is given at any."""
        return self.law.sigma_d or None

    @property
    def on_off_ratio(self) -> float | None:
        """Largest conductance over that of level 0, by default over the least that its law is known for; None where that is 0."""
        if self.given_ratio is not None:
            return self.given_ratio
        law = self.law
        return law.g_max / law.g_min if isinstance(law, ConductanceLaw) and law.g_min > 0 else None

    def at(self, sigma_d: float | None = None, rule: Rule | None = None) -> Variation:
        """Return how it errs at `sigma_d`, its own if None.

        Args:
            sigma_d: The size of its error.
            rule: Of a state-dependent law, what rules over it; its own if None.

        Raises:
            SteadyNetError: If a value is out of range, a rule is given for a law that has none, or `sigma_d` is None for a device
                that has no size of its own.
        """
        if sigma_d is None:
            if self.own_sigma_d is None:
                raise SteadyNetError(f"{self.name} has no error of its own size: give sigma_d")
            sigma_d = self.own_sigma_d
        found = self.variation.at(sigma_d)
        if rule is None:
            return found
        law = found.law if isinstance(found, Composed) else found
        if not isinstance(law, StateDependent):
            raise SteadyNetError(
                f"{self.name} errs by {type(law).__name__}, which has no rule: leave out rule"
            )
        law = dataclasses.replace(law, rule=rule)
        return dataclasses.replace(found, law=law) if isinstance(found, Composed) else law

    def device(self, sigma_d: float | None = None, **fields: Any) -> Device:
        """Return a device that errs so, at its own `sigma_d` if None; further fields are those of `steadynet.Device`.

        Raises:
            SteadyNetError: As `at` and `steadynet.Device` do.
        """
        from steadynet.nvm.device import Device

        given: dict[str, Any] = {"variation": self.at(sigma_d), "on_off_ratio": self.on_off_ratio}
        return Device(**given | fields)


class _Presets(Mapping[str, Preset]):
    """Named devices, each made when it is first asked for: measured laws need NumPy, and most calls need none of them."""

    def __init__(self, makers: Mapping[str, Callable[[], Preset]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Preset] = {}

    def __getitem__(self, name: str) -> Preset:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers


PRESETS: Mapping[str, Preset] = _Presets(
    {
        "gaussian": lambda: Preset(
            "gaussian",
            "the paper's device, the same error at every level",
            Gaussian(),
            "section 4.1 of the paper",
        ),
        "rram1": lambda: Preset(
            "rram1", "RRAM, the same error at every level", StateDependent(factor=1.0), _NEFT
        ),
        "fefet2": lambda: Preset(
            "fefet2", "FeFET, middle levels err twice as much", StateDependent(factor=2.0), _NEFT
        ),
        "rram4": lambda: Preset(
            "rram4", "RRAM, middle levels err four times as much", StateDependent(factor=4.0), _NEFT
        ),
        "fefet6": lambda: Preset(
            "fefet6", "FeFET, middle levels err six times as much", StateDependent(factor=6.0), _NEFT
        ),
        "log-normal": lambda: Preset(
            "log-normal",
            "each conductance times e^θ, θ ~ N(0, σ_d²)",
            LogNormalDevice(),
            "a law, of no device in particular",
        ),
        "pcm": lambda: Preset(
            "pcm",
            "phase-change memory (PCM)",
            Polynomial((0.26348, 1.9650, -1.1731), g_max=25.0),
            f"{_AIHWKIT}.pcm, after Nandakumar et al., ICECS 2019",
        ),
        "pcm-joshi": lambda: Preset(
            "pcm-joshi",
            "PCM, 27 s after programming",
            # Stated over G in µS; here over x = G/25 µS.
            Polynomial((0.28638599, 0.07585724 * 25, -0.00178767 * 25**2), g_max=25.0, g_min=0.25),
            f"{_CROSSSIM}.PCM_Joshi, after Joshi et al., Nature Communications 11, 2473 (2020), Fig. 3b",
        ),
        "hermes1": lambda: Preset(
            "hermes1",
            "PCM of the HERMES chip, one device",
            Polynomial((0.15781817, 2.32443916, -2.16310839, 0.68841818), g_max=10.35),
            f"{_AIHWKIT}.hermes, after Le Gallo et al., Nature Electronics (2023)",
        ),
        "hermes2": lambda: Preset(
            "hermes2",
            "PCM of the HERMES chip, two devices",
            Polynomial((0.16603222, 4.71806468, -8.48101252, 4.68961419), g_max=20.7),
            f"{_AIHWKIT}.hermes, after Le Gallo et al., Nature Electronics (2023)",
        ),
        "reram-wan": lambda: Preset(
            "reram-wan",
            "ReRAM, 1 s after programming",
            Polynomial((0.348, 16.030, -43.853, 45.393, -16.815), g_max=40.0),
            f"{_AIHWKIT}.reram, after Wan et al., Nature 608, 504 (2022)",
        ),
        "reram-wan-1d": lambda: Preset(
            "reram-wan-1d",
            "ReRAM, one day after programming",
            Polynomial((0.701, 22.086, -50.773, 47.095, -16.458), g_max=40.0),
            f"{_AIHWKIT}.reram, after Wan et al., Nature 608, 504 (2022)",
        ),
        "reram-wan-2d": lambda: Preset(
            "reram-wan-2d",
            "ReRAM, two days after programming",
            Polynomial((0.782, 20.274, -43.507, 37.062, -11.934), g_max=40.0),
            f"{_AIHWKIT}.reram, after Wan et al., Nature 608, 504 (2022)",
        ),
        "rram-milo": lambda: Preset(
            "rram-milo",
            "RRAM, programmed by IGVVA-100, 50 to 225 µS",
            Polynomial((4.782321, -0.009107 * 225), g_max=225.0, g_min=50.0),
            f"{_CROSSSIM}.RRAM_Milo, after Milo et al., IRPS 2021, Fig. 4",
        ),
        "sonos": lambda: Preset(
            "sonos",
            "SONOS charge trap, 40 nm, currents at one voltage",
            Saturating(19.88665, 176.3115, g_max=1600.0, unit="nA"),
            f"{_CROSSSIM}.SONOS, after Agrawal et al., IEDM 2022, Fig. 10a",
        ),
    }
)


def preset(name: str, sigma_d: float | None = None, rule: Rule | None = None) -> Variation:
    """Return the law of a named device.

    Example:
        >>> preset("rram4", sigma_d=0.1).sigma_d
        0.1
        >>> round(preset("pcm").sigma_d, 4)
        0.0356

    Args:
        name: One of `PRESETS`.
        sigma_d: Overall std relative to the largest conductance of one device; as published if None.
        rule: "device" or "weight", for state-dependent devices, see `StateDependent`; their own if None.

    Raises:
        SteadyNetError: If there is no such preset (the nearest are named), a value is out of range, or `sigma_d` is None for
            a device that has no size of its own.
    """
    if name not in PRESETS:
        raise unknown("device preset", name, PRESETS)
    return PRESETS[name].at(sigma_d, rule)
