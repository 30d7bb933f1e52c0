"""How the report's page looks: its colours in the light and in the dark, and the marks of its series.

The hues are those of Okabe and Ito, in the order of the figures on disk, shifted until each stands out from the page's
background (a contrast of 3 at least) and the colour-blind still tell them apart. Plotly takes colours as values, not by name:
figures are made in the light ones, and the page's script puts the dark ones in their stead by `dark_for_light`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BAND = 0.15


@dataclass(frozen=True)
class Theme:
    """The colours of one theme.

    Attributes:
        paper: Background.
        ink: Text.
        muted: Text that steps back.
        rule: Lines between things.
        grid: Lines in a chart.
        surface: Background of code and of headings of tables.
        link: Links and what has the focus.
        series: Of lines and marks, in turn.
    """

    paper: str
    ink: str
    muted: str
    rule: str
    grid: str
    surface: str
    link: str
    series: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1c1e21",
    muted="#5a6068",
    rule="#d5d8dc",
    grid="#e6e8eb",
    surface="#f5f6f7",
    link="#0b57a4",
    series=("#111111", "#bd8100", "#3296cf", "#00795a", "#bb4400", "#005591", "#b0508c", "#878787"),
)
DARK = Theme(
    paper="#16191c",
    ink="#e4e6e9",
    muted="#a2a9b1",
    rule="#3a4047",
    grid="#2b3036",
    surface="#1f2327",
    link="#82bdf5",
    series=("#f3f3f3", "#e69f01", "#7cc7f2", "#19b98d", "#f0743a", "#3f8fd0", "#e58dbd", "#929292"),
)


@dataclass(frozen=True)
class Mark:
    """How one series looks in all panels.

    Attributes:
        colour: Which of a theme's colours of series.
        symbol: Plotly's name of its marker.
        path: The same marker as a path around (0, 0), for the legend.
        dash: Plotly's name of its line.
        dashes: The same line as an SVG dash array.
    """

    colour: int
    symbol: str
    path: str
    dash: str
    dashes: str


_SYMBOLS = (
    ("circle", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    ("square", "M-3.6-3.6h7.2v7.2h-7.2z"),
    ("triangle-up", "M0-4.6L4.2 3.2h-8.4z"),
    ("diamond", "M0-4.8L4.2 0L0 4.8L-4.2 0z"),
    ("triangle-down", "M0 4.6L4.2-3.2h-8.4z"),
    ("cross", "M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z"),
    ("x", "M-4.2-2L-2-4.2L0-2.2L2-4.2L4.2-2L2.2 0L4.2 2L2 4.2L0 2.2L-2 4.2L-4.2 2L-2.2 0z"),
    ("star", "M0-5L1.3-1.6L4.9-1.5L2 .7L3 4.2L0 2.1L-3 4.2L-2 .7L-4.9-1.5L-1.3-1.6z"),
)
# No dots: those are the published numbers'.
_LINES = (("solid", ""), ("dash", "7 4"), ("dashdot", "7 3 2 3"), ("longdash", "11 4"))
DOTTED = ("dot", "1.5 3")


def mark(index: int) -> Mark:
    """Return the look of the `index`-th series; the first 64 differ."""
    colours = len(LIGHT.series)
    turn = index + index // colours
    return Mark(index % colours, *_SYMBOLS[turn % len(_SYMBOLS)], *_LINES[turn % len(_LINES)])


def faded(colour: str, opacity: float = BAND) -> str:
    """Return a colour, `#rrggbb`, that lets what is behind it shine through."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def dark_for_light() -> dict[str, str]:
    """Return the dark theme's colour for each of the light one's, bands too."""
    pairs = [(getattr(LIGHT, name), getattr(DARK, name)) for name in _NAMES]
    series = list(zip(LIGHT.series, DARK.series, strict=True))
    return {**dict(pairs), **dict(series), **{faded(light): faded(dark) for light, dark in series}}


def stylesheet() -> str:
    """Return the rules that give the page's style its colours: as the system has it, as the button says, light on paper."""
    light, dark = _variables(LIGHT), _variables(DARK)
    classes = "".join(f".s{index}{{color:var(--s{index})}}" for index in range(len(LIGHT.series)))
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
        f"@media print{{:root:root:root{{color-scheme:light;{light}}}}}\n"
        f":root.printing:root:root{{color-scheme:light;{light}}}\n{classes}\n"
    )


_NAMES = ("paper", "ink", "muted", "rule", "grid", "surface", "link")


def _variables(theme: Theme) -> str:
    colours: Mapping[str, str] = {
        **{name: getattr(theme, name) for name in _NAMES},
        **{f"s{index}": colour for index, colour in enumerate(theme.series)},
    }
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
