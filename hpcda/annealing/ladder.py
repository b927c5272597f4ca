"""The ladder of model-error precisions: Rf_β = Rf0 α^β, β = 0, 1, 2, … (Ye et al. 2015, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np

from hpcda.problem import Array, Numbers


def precisions(rf0: float, alpha: float, rungs: int) -> Array:
    """Rf0 α^β of every rung β, shape (rungs,), rounded once: the same on every processor."""
    with localcontext(prec=60):
        first, factor = Decimal(rf0), Decimal(alpha)
        return np.array([float(first * factor**beta) for beta in range(rungs)])


@dataclass(frozen=True)
class Ladder:
    """Rungs of precision annealing.

    Attributes:
        rf0: Rf of rung 0.
        alpha: Factor from rung to rung, above 1.
        rungs: Number of rungs.
        first_rungs: Rungs at which ladders begin; start k climbs the one that begins at first_rungs[k mod
            length].
        infinity: Whether the last rung is at Rf = ∞, where the rule is obeyed exactly.
    """

    rf0: float
    alpha: float
    rungs: int
    first_rungs: tuple[int, ...] = (0,)
    infinity: bool = False

    @classmethod
    def at_infinity(cls) -> Ladder:
        """The ladder whose only rung is at Rf = ∞."""
        return cls(1.0, 2.0, 1, infinity=True)

    @property
    def beta(self) -> Numbers:
        """Numbers of the rungs, shape (rungs,)."""
        return np.arange(self.rungs)

    @property
    def rf(self) -> Array:
        """Rf of every rung, shape (rungs,)."""
        finite = precisions(self.rf0, self.alpha, self.rungs - self.infinity)
        return np.append(finite, np.inf) if self.infinity else finite

    @property
    def finite(self) -> Ladder:
        """Its rungs at finite Rf, all of which a start climbs; where there are none, one at Rf0."""
        return Ladder(self.rf0, self.alpha, max(self.rungs - self.infinity, 1))

    @property
    def largest(self) -> float:
        """The largest finite Rf; Rf0 where the only rung is at infinity."""
        return float(self.finite.rf[-1])

    def near(self, rung: int) -> float:
        """Rf of a rung; at infinity the largest finite one, for what needs a number."""
        return min(float(self.rf[rung]), self.largest)

    def first(self, start: int) -> int:
        """Rung at which start number `start` begins."""
        return self.first_rungs[start % len(self.first_rungs)]
