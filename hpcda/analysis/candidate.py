"""Tests of the lowest level: the χ² band, its change along the ladder, its separation from the next level.

For the true path 2 · measurement = Σ ((y - h(x)) / σ)² is a χ² variable of n degrees of freedom, n data
values: mean n, variance 2 n. So its reduced level lies in 1 ± 3 √(2/n), and actions are compared in units of
√(n/2); a minimum lies a little lower (`hpcda.search.evidence`). The rules are those of J. Ye
et al., Nonlin. Processes Geophys. 22, 205 (2015): the lowest level stands apart and is independent of Rf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.analysis.levels import Minimum
from hpcda.search.evidence import DEVIATIONS, RIVAL
from hpcda.search.expected import Expected

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """The χ² band of the reduced level, and its scale in units of the action.

    Attributes:
        low: 1 - 3 √(2/n), at least 0; of ν degrees of freedom, n less those absorbed, ν/n - 3 √(2 ν)/n.
        high: 1 + 3 √(2/n), or the same of ν.
        scale: √(n/2), the standard deviation of the measurement part of the action.
        data: n, the number of data values.
    """

    low: float
    high: float
    scale: float
    data: int

    @property
    def lowest(self) -> float:
        """The lower end as an action."""
        return self.low * self.data / 2.0

    @property
    def highest(self) -> float:
        """The upper end as an action."""
        return self.high * self.data / 2.0

    @classmethod
    def of(cls, data: int, absorbed: int = 0, expected: Expected | None = None) -> Band:
        """The band for n data values, some degrees of freedom of which the unknowns absorb.

        Args:
            data: n.
            absorbed: Degrees of freedom absorbed by the unknowns.
            expected: Expectation and variance of the measurement part under noise alone, if not Gaussian;
                the band is empty, at 0, where that is not known.
        """
        values = max(data, 1)
        scale = float(np.sqrt(values / 2.0))
        alone = expected or Expected.gaussian(values)
        if not alone.known:
            return cls(0.0, 0.0, scale, data)
        more, wider = alone.mean - 0.5 * values, alone.variance - 0.5 * values
        freedom = max(values - absorbed, 0)
        width = DEVIATIONS * float(np.sqrt(max(2.0 * freedom + 4.0 * wider, 0.0))) / values
        center = (freedom + 2.0 * more) / values
        return cls(max(0.0, center - width), center + width, scale, data)


@dataclass(frozen=True)
class Separation:
    """Distance of the lowest level to the next.

    Attributes:
        gap: Action of the next level minus that of the lowest, in nats; None if there is no other.
        deviations: The gap in units of √(n/2).
        apart: Whether no other level is nearly as probable; if no other was found, whether several starts
            reached it.
        rivals: Number of levels nearly as probable: within `RIVAL` nats of the lowest.
    """

    gap: float | None
    deviations: float | None
    apart: bool
    rivals: int


def separation(minima: tuple[Minimum, ...], band: Band) -> Separation:
    """Compare the lowest level with the others in units of √(n/2)."""
    if len(minima) < 2:
        return Separation(None, None, any(minimum.count > 1 for minimum in minima), 0)
    gaps = np.array([minimum.action - minima[0].action for minimum in minima[1:]])
    rivals = int((gaps < RIVAL).sum())
    return Separation(float(gaps[0]), float(gaps[0] / band.scale), rivals == 0, rivals)
