"""Anneals one start: each rung is minimized from the minimum of the rung before.

Precision annealing: Ye, Kadakia, Rozdeba, Abarbanel, Quinn, Nonlin. Processes Geophys. 22, 205 (2015),
section 3. A rung is a step from state to state, so that a start can be stored after any rung and taken up
again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizer import Minimizer
from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import Rung, Task
from hpcda.problem import Array


@dataclass(frozen=True)
class Climb:
    """A start on its way up.

    Attributes:
        task: The start, and how it began.
        next: The rung that comes next.
        path: Flat path, shape (size,), from which the next rung begins.
        failed: Why it ended early, or None.
        until: The rung before which it pauses, None for none.
    """

    task: Task
    next: int
    path: Array
    failed: Reason | None = None
    until: int | None = None

    @property
    def start(self) -> int:
        """Number of the start."""
        return self.task.start

    @property
    def first(self) -> int:
        """Its first rung."""
        return self.task.first

    @classmethod
    def begun(cls, start: int, way: str, first: int, path: Array, until: int | None = None) -> Climb:
        """A climb before its first rung, of a start that begins anew."""
        return cls(Task(start, way, first), first, path, until=until)

    def after(self, rung: Rung) -> Climb:
        """The climb after its next rung."""
        failed = None if rung.goes_on else rung.reason
        return replace(self, next=rung.number + 1, path=rung.path, failed=failed)

    def ended(self, ladder: Ladder) -> bool:
        """Whether no rung is left to climb before its end or its pause."""
        end = ladder.rungs if self.until is None else self.until
        return self.failed is not None or self.next >= end

    @property
    def pauses(self) -> bool:
        """Whether it has come to its pause."""
        return self.failed is None and self.until is not None and self.next >= self.until


def step(climb: Climb, ladder: Ladder, minimizer: Minimizer) -> tuple[Climb, Rung]:
    """Minimize at the next rung.

    A rung that stopped at the limit of iterations is recorded as such and the climb goes on from where it got
    to; one whose path is not finite or cannot be improved ends the climb.
    """
    began = time.perf_counter()
    fresh = climb.next == climb.first
    found = minimizer.minimize(climb.path, float(ladder.rf[climb.next]), fresh)
    rung = found.at(climb.next, time.perf_counter() - began)
    return climb.after(rung), rung
