"""Interface of a team: the starts that one rank minimizes at the same time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hpcda.annealing.anneal import Climb, step
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizer import Minimizer
from hpcda.annealing.record import Rung


@dataclass(frozen=True)
class Finished:
    """A finished rung: the climb after it, the rung, and whether the climb has ended with it."""

    climb: Climb
    rung: Rung
    ended: bool


class Team(Protocol):
    """Works on climbs, up to a number at once."""

    @property
    def free(self) -> int:
        """How many more climbs it can take."""
        ...

    @property
    def lanes(self) -> int:
        """How many climbs it works on at once; it may hold more."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it has any."""
        ...

    @property
    def linear(self) -> str:
        """How it solves linear systems, as a sentence; empty where it does not tell."""
        ...

    def take(self, climb: Climb) -> None:
        """Begin a climb, or go on with one that was stored; `free` must not be 0."""
        ...

    def drop(self, start: int) -> None:
        """Give up a start that it holds; none where it does not."""
        ...

    @property
    def cap(self) -> float:
        """Action above which a climb ends with the rung that it has come to; infinite in the beginning."""
        ...

    @cap.setter
    def cap(self, action: float) -> None: ...

    def level(self, last: bool) -> None:
        """Whether the climbs that it holds should end together, as hardly any come beyond these."""
        ...

    def work(self) -> Sequence[Finished]:
        """Work for a while; the rungs finished in it, in order, those of one climb in theirs."""
        ...

    def destroy(self) -> None:
        """Free what it holds."""
        ...


class OneByOne:
    """One climb at a time, by a minimizer that knows single paths; destroys it in the end."""

    def __init__(self, minimizer: Minimizer, ladder: Ladder) -> None:
        self._minimizer, self._ladder = minimizer, ladder
        self._climb: Climb | None = None
        self.cap = math.inf

    @property
    def free(self) -> int:
        """See `Team`."""
        return int(self._climb is None)

    @property
    def lanes(self) -> int:
        """See `Team`."""
        return 1

    @property
    def busy(self) -> bool:
        """See `Team`."""
        return self._climb is not None

    @property
    def linear(self) -> str:
        """See `Team`."""
        return self._minimizer.linear

    def take(self, climb: Climb) -> None:
        """See `Team`."""
        self._climb = climb

    def drop(self, start: int) -> None:
        """See `Team`."""
        if self._climb is not None and self._climb.start == start:
            self._climb = None

    def level(self, last: bool) -> None:
        """See `Team`."""

    def work(self) -> Sequence[Finished]:
        """One rung."""
        assert self._climb is not None
        climb, rung = step(self._climb, self._ladder, self._minimizer)
        ended = climb.ended(self._ladder) or rung.action > self.cap
        self._climb = None if ended else climb
        return [Finished(climb, rung, ended)]

    def destroy(self) -> None:
        """See `Team`."""
        self._minimizer.destroy()
