"""Style common to all figures: colors, sizes, file output.

Colors are those of M. Okabe and K. Ito, "Color Universal Design" (2008), which people with any color vision
tell apart; the order also falls in brightness, so that a gray print keeps the lowest level the darkest.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hpcda.analysis.candidate import Band
from hpcda.analysis.levels import Minimum
from hpcda.analysis.outcome import Outcome

BLUE, ORANGE, GREEN, PURPLE, SKY, GOLD = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
LEVELS = (BLUE, ORANGE, GREEN, PURPLE, SKY, GOLD)
OTHER, FAILED, INK, BAND = "#A8A8A8", "#C8C8C8", "#222222", "#E4E4E4"
PAGE = 7.0
"""Width of a page, in inches."""
_POWER = re.compile(r"\^(-?\d+)")

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 180,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
}


class Drawn(Protocol):
    """A run of any kind whose actions are drawn."""

    @property
    def outcome(self) -> Outcome:
        """How every start ended."""
        ...

    @property
    def levels(self) -> tuple[Minimum, ...]:
        """Distinct minima, lowest first."""
        ...

    @property
    def band(self) -> Band:
        """The χ² band."""
        ...


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure, in inches, that needs no display and leaves no global state."""
    with mpl.rc_context(cast(Any, _SETTINGS)):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        yield made


def save(made: Figure, path: Path) -> Path:
    """Write a PNG and give its path back.

    The layout is made here, once; `savefig` would draw the whole figure a second time to make it.
    Run lengths compress lines on white nearly as well as a search for repeats, in two thirds of the time.
    """
    made.set_dpi(mpl.rcParams["savefig.dpi"])
    layout = made.get_layout_engine()
    if layout is not None:
        layout.execute(made)
        made.set_layout_engine(None)
    made.savefig(path, facecolor="white", pil_kwargs={"compress_type": zlib.Z_RLE})
    return path


def level_of(run: Drawn) -> npt.NDArray[np.int64]:
    """Level that each start ended in, -1 for those that did not come to the end, shape (S,)."""
    levels = np.full(len(run.outcome.start), -1, dtype=np.int64)
    for number, minimum in enumerate(run.levels):
        levels[np.searchsorted(run.outcome.start, minimum.starts)] = number
    return levels


def color(level: int) -> str:
    """Color of a level: six for the lowest, gray for all others."""
    return LEVELS[level] if 0 <= level < len(LEVELS) else OTHER


def few_ticks(axes: Any) -> None:
    """Label a logarithmic action axis: whole decades, and plain numbers where there are few of them."""
    low, high = axes.get_ylim()
    if np.log10(high / low) > 1.8:
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    subs = (1.0, 2.0, 5.0) if high / low > 4 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def logarithmic(action: npt.NDArray[np.float64]) -> bool:
    """Whether final actions can stand on a logarithmic axis: all of them are above 0."""
    return not bool((action[np.isfinite(action)] <= 0.0).any())


def linear_limits(action: npt.NDArray[np.float64], run: Drawn) -> tuple[float, float]:
    """Limits of a linear axis that holds final actions and the χ² band, where there is one."""
    known = [
        *action[np.isfinite(action)],
        *([run.band.lowest, run.band.highest] if run.band.high > 0 else []),
    ]
    low, high = min(known), max(known)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def final_limits(axes: Any, run: Drawn, action: npt.NDArray[np.float64]) -> None:
    """Make an axis hold final actions and the χ² band, which is drawn where there is one."""
    if not logarithmic(action):
        if run.band.high > 0:
            axes.axhspan(run.band.lowest, run.band.highest, color=BAND, lw=0, zorder=0)
        axes.set_ylim(*linear_limits(action, run))
        return
    axes.set_yscale("log")
    low, high = max(run.band.lowest, 0.01 * run.band.data), run.band.highest
    known = action[np.isfinite(action) & (action > 0)]
    if high > 0:
        axes.axhspan(low, high, color=BAND, lw=0, zorder=0)
    elif len(known):
        low, high = known.min(), known.max()
    else:
        high = 10.0 * low
    low, high = min([low, *known]), max([high, *known])
    axes.set_ylim(low / 1.1 / (high / low) ** 0.04, high * 1.1 * (high / low) ** 0.04)
    few_ticks(axes)


def unit_label(name: str, unit: str) -> str:
    """A name with its unit, where it has one."""
    return name if unit in ("", "1") else f"{name} ({re.sub(_POWER, _raised, unit)})"


def _raised(power: re.Match[str]) -> str:
    return power.group(1).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def short(value: float) -> str:
    """A number of four digits, without an exponent where that is readable."""
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
