"""The starts that one rank works on at the same time: climbs go in, finished rungs come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hpcda.annealing.anneal import Climb, Rung, step
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.outcome import Minimiser


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

    def level(self) -> None:
        """Let the climbs that it holds end together: hardly any are to come beyond these."""
        ...

    def work(self) -> Sequence[Finished]:
        """Work for a while; the rungs finished in it, in order, those of one climb in theirs."""
        ...

    def destroy(self) -> None:
        """Free what it holds."""
        ...


class OneByOne:
    """One climb at a time, by a minimiser that knows single paths; destroys it in the end."""

    def __init__(self, minimiser: Minimiser, ladder: Ladder) -> None:
        self._minimiser, self._ladder = minimiser, ladder
        self._climb: Climb | None = None

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
        return self._minimiser.linear

    def take(self, climb: Climb) -> None:
        """See `Team`."""
        self._climb = climb

    def level(self) -> None:
        """See `Team`."""

    def work(self) -> Sequence[Finished]:
        """One rung."""
        assert self._climb is not None
        climb, rung = step(self._climb, self._ladder, self._minimiser)
        ended = climb.ended(self._ladder)
        self._climb = None if ended else climb
        return [Finished(climb, rung, ended)]

    def destroy(self) -> None:
        """See `Team`."""
        self._minimiser.destroy()
