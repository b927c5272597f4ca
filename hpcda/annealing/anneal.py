"""One start up the ladder: each rung is minimised from the last one's minimum.

Precision annealing: Ye, Kadakia, Rozdeba, Abarbanel, Quinn, Nonlin. Processes Geophys. 22, 205 (2015),
section 3. A rung is a step from state to state, so that a start can be stored after any rung and taken up
again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from hpcda.annealing.ladder import Ladder
from hpcda.annealing.outcome import Minimiser, Outcome
from hpcda.annealing.reasons import Reason
from hpcda.problem import Array


@dataclass(frozen=True)
class Climb:
    """A start on its way up.

    Attributes:
        start: Number of the start.
        way: Name of the way in which it began.
        first: Its first rung.
        next: The rung that comes next.
        path: Flat path, shape (size,), from which the next rung begins.
        failed: Why it ended early, or None.
        until: The rung before which it pauses, None for none.
    """

    start: int
    way: str
    first: int
    next: int
    path: Array
    failed: Reason | None = None
    until: int | None = None

    def ended(self, ladder: Ladder) -> bool:
        """Whether no rung is left to climb before its end or its pause."""
        end = ladder.rungs if self.until is None else self.until
        return self.failed is not None or self.next >= end

    @property
    def pauses(self) -> bool:
        """Whether it has come to its pause."""
        return self.failed is None and self.until is not None and self.next >= self.until


@dataclass(frozen=True)
class Rung:
    """One finished rung: its number, its outcome, and the seconds it took."""

    number: int
    outcome: Outcome
    seconds: float


def step(climb: Climb, ladder: Ladder, minimiser: Minimiser) -> tuple[Climb, Rung]:
    """Minimise at the next rung.

    A rung that stopped at the limit of iterations is recorded as such and the climb goes on from where it got
    to; one whose path is not finite or cannot be improved ends the climb.
    """
    began = time.perf_counter()
    fresh = climb.next == climb.first
    outcome = minimiser.minimise(climb.path, float(ladder.rf[climb.next]), fresh)
    rung = Rung(climb.next, outcome, time.perf_counter() - began)
    goes_on = outcome.reason.converged or outcome.reason is Reason.STOPPED_ITERATIONS
    failed = None if goes_on else outcome.reason
    return replace(climb, next=climb.next + 1, path=outcome.path, failed=failed), rung
