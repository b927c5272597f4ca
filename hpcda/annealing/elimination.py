"""How a lockstep eliminates the unknowns of a Newton step, and what that costs.

Two ways may give other last bits: which one is taken is counted, with the same rates on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.action import Action
from hpcda.linalg.tree import Tables

RATES = {10: 20e9, 20: 31e9, 40: 33e9, 100: 39e9, 200: 40e9, 400: 36e9}
"""Operations a second by the pivots of a front, 8 lanes, one core with AVX-512 at 51e9 in a matrix product
(tests/benchmarks/limits.py)."""
NUMBER = 1.8e-9
"""Seconds that a number of the factor takes to be set to 0, written, and read again (the same)."""


@dataclass(frozen=True)
class Plan:
    """A way to eliminate the unknowns of a path.

    Attributes:
        what: What is done, in a few words.
        flops: Additions and multiplications of a factorization.
        numbers: Numbers of a factor, with the room that the factorization needs.
        seconds: Estimate of a factorization and a solution for one path of a full set of lanes.
        tables: Those of a tree, or None for interval after interval.
    """

    what: str
    flops: float
    numbers: int
    seconds: float
    tables: Tables | None = None

    @classmethod
    def of(
        cls, what: str, fronts: Sequence[tuple[int, float]], numbers: int, tables: Tables | None = None
    ) -> Plan:
        """A plan of fronts of (pivots, operations)."""
        pivots, flops = np.array(fronts).T
        rates = np.interp(pivots, list(RATES), list(RATES.values()))
        seconds = float(np.sum(flops / rates)) + NUMBER * numbers
        return cls(what, float(flops.sum()), numbers, seconds, tables)

    @property
    def sentence(self) -> str:
        """What it is and what it costs."""
        return f"{self.what}, {self.flops:.2g} operations a step, {8e-6 * self.numbers:.2g} MB a path"


@dataclass(frozen=True)
class EliminationSpec:
    """A way to eliminate.

    Attributes:
        name: As jobs name it.
        sentence: What it is, in one line.
        plan: Plans it for an action.
        place: Where it stands among the others.
    """

    name: str
    sentence: str
    plan: Callable[[Action], Plan]
    place: int = 0
