"""Is the lowest level the answer? Three tests that need no truth: χ², dependence on Rf, the next level.

For the true path 2 · measurement = Σ ((y - h(x)) / σ)² is a χ² variable of n degrees of freedom, n data
values: mean n, variance 2 n. So the reduced level lies in 1 ± 3 √(2/n), and actions are compared in units of
√(n/2). The rules are those of J. Ye et al., Nonlin. Processes Geophys. 22, 205 (2015): the lowest level
stands apart and is independent of Rf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.analysis.levels import Minimum

Array = npt.NDArray[np.float64]

DEVIATIONS = 3.0
"""Width of the χ² band, and distance that sets a level apart, in standard deviations."""
PLATEAU = 0.01
"""Largest relative change of the action over the last decade of Rf that counts as independence of Rf."""


@dataclass(frozen=True)
class Band:
    """The χ² band of the reduced level, and its scale in units of the action.

    Attributes:
        low: 1 - 3 √(2/n), at least 0.
        high: 1 + 3 √(2/n).
        scale: √(n/2), the standard deviation of the measurement error's part of the action.
        data: n, the number of data values.
    """

    low: float
    high: float
    scale: float
    data: int

    @classmethod
    def of(cls, data: int) -> Band:
        """The band of n data values."""
        width = DEVIATIONS * np.sqrt(2.0 / max(data, 1))
        return cls(max(0.0, 1.0 - width), 1.0 + width, float(np.sqrt(max(data, 1) / 2.0)), data)


@dataclass(frozen=True)
class Plateau:
    """How the action of a level changes over the last decade of Rf.

    Attributes:
        change: Relative change per decade of Rf; None where the ladder does not tell.
        decades: Decades of Rf that it was taken over.
        reached: Whether the level has become independent of Rf; None where the ladder does not tell.
    """

    change: float | None
    decades: float
    reached: bool | None


def plateau(action: Array, rf: Array) -> Plateau:
    """Change of the action over the last decade of Rf, or over the rungs there are if they are fewer.

    Args:
        action: Of one start, NaN at rungs not visited, shape (R,).
        rf: Shape (R,).
    """
    known = np.flatnonzero(np.isfinite(action))
    if len(known) < 2:
        return Plateau(None, 0.0, None)
    logs = np.log10(rf[known])
    before = np.flatnonzero(logs <= logs[-1] - 1.0 + 1e-9)
    first = before[-1] if len(before) else 0
    decades = float(logs[-1] - logs[first])
    if decades <= 0.0:
        return Plateau(None, 0.0, None)
    end, begin = action[known[-1]], action[known[first]]
    change = float(abs(end - begin) / max(abs(end), np.finfo(float).tiny) / decades)
    return Plateau(change, decades, change <= PLATEAU if decades >= 0.5 else None)


@dataclass(frozen=True)
class Separation:
    """How far the lowest level stands below the next.

    Attributes:
        gap: Action of the next level minus that of the lowest; None where there is no other.
        deviations: The gap in units of √(n/2).
        apart: Whether it stands apart: no other level, or a gap of at least three deviations.
        rivals: Levels that are not excluded: within three deviations of the lowest.
    """

    gap: float | None
    deviations: float | None
    apart: bool
    rivals: int


def separation(minima: tuple[Minimum, ...], band: Band) -> Separation:
    """Compare the lowest level with the others in units of √(n/2)."""
    if len(minima) < 2:
        return Separation(None, None, True, 0)
    gaps = np.array([minimum.action - minima[0].action for minimum in minima[1:]])
    deviations = gaps / band.scale
    rivals = int((deviations < DEVIATIONS).sum())
    return Separation(float(gaps[0]), float(deviations[0]), rivals == 0, rivals)
