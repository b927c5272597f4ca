"""Plans of an ensemble: rounds of tasks, each round decided from the results of those before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hpcda.annealing import Ladder, Rung, Task
from hpcda.problem import Array


@dataclass(frozen=True)
class Found:
    """How a start ended; the same on every rank.

    Attributes:
        task: The start, and how it began.
        end: The last rung that it finished, or the start whose path it has become; without its path.
        levels: Action at every rung, NaN where it was not, shape (R,).
        model: Its model part at every rung, likewise, shape (R,).
        sketch: What is kept of its path, see `hpcda.search.merge`.
        same_as: The start whose path it has become, its own number where it went on by itself.
        failed: Whether it failed.
        opening: Iterations of its first rung.
        iterations: Its own iterations; how many depends on when it was merged.
        seconds: Core-seconds that it took.
    """

    task: Task
    end: Rung
    levels: Array
    model: Array
    sketch: Array
    same_as: int
    failed: bool
    opening: int
    iterations: int
    seconds: float

    @property
    def start(self) -> int:
        """Its number."""
        return self.task.start

    @property
    def way(self) -> str:
        """Name of its way or escape."""
        return self.task.way

    @property
    def first(self) -> int:
        """Its first rung."""
        return self.task.first

    @property
    def parents(self) -> tuple[int, ...]:
        """The starts from whose minima it began."""
        return self.task.parents

    @property
    def last(self) -> int:
        """Its last rung."""
        return self.end.number

    @property
    def action(self) -> float:
        """Action at its last rung."""
        return self.end.action

    @property
    def measurement(self) -> float:
        """Measurement part of it."""
        return self.end.parts.measurement

    @property
    def prior(self) -> float:
        """Prior part of it."""
        return self.end.parts.prior

    @property
    def converged(self) -> bool:
        """Whether the minimizer came to its tolerance at its last rung."""
        return self.end.reason.converged


class Round(Protocol):
    """Tasks that are run side by side."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def task(self, position: int) -> Task:
        """The task at a position; long ladders come first."""
        ...

    def rungs(self, ladder: Ladder) -> int:
        """Rungs that all of them have to climb; an escape counts as a whole ladder."""
        ...


class Plan(Protocol):
    """What an ensemble runs."""

    @property
    def informed(self) -> bool:
        """Whether it wants to know what was found."""
        ...

    @property
    def cap(self) -> float:
        """Action above which the starts of the round that was given last may end early."""
        ...

    def replay(self, starts: int, cap: float) -> None:
        """Replay a journaled round: `starts` starts under `cap`."""
        ...

    def next(self, found: Sequence[Found]) -> Round | None:
        """The next round, given all that was found, in the order of the starts; None at the end."""
        ...


@dataclass(frozen=True)
class Share:
    """The starts of one of several parts of an ensemble, which are run by themselves.

    They are dealt in turn, `unit` of them at once, so that no start changes its part when more are run.

    Attributes:
        part: The part, from 0.
        parts: How many there are.
        unit: Starts that are dealt together: as many as there are first rungs, so that all parts have each.
    """

    part: int = 0
    parts: int = 1
    unit: int = 1

    def number(self, position: int) -> int:
        """Number of the start at a position among the part's own."""
        hand, place = divmod(position, self.unit)
        return (hand * self.parts + self.part) * self.unit + place

    def count(self, starts: int) -> int:
        """How many of the first `starts` starts are the part's own."""
        hands, rest = divmod(starts, self.unit * self.parts)
        return hands * self.unit + min(max(rest - self.part * self.unit, 0), self.unit)


class Listed:
    """A round of a few tasks."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = sorted(tasks, key=lambda task: (task.first, task.start))

    def __len__(self) -> int:
        """See `Round`."""
        return len(self._tasks)

    def task(self, position: int) -> Task:
        """See `Round`."""
        return self._tasks[position]

    def rungs(self, ladder: Ladder) -> int:
        """See `Round`."""
        return sum(ladder.rungs - task.first for task in self._tasks)


class Stretch:
    """Starts first … end - 1 of the plain ensemble, which are not listed one by one.

    Args:
        way: Name of the way.
        ladder: The ladder.
        first: The first of them.
        end: The one after the last.
        share: The share of all starts of which they are.
    """

    def __init__(self, way: str, ladder: Ladder, first: int, end: int, share: Share | None = None) -> None:
        self._way, self._ladder, self._first, self._end = way, ladder, first, end
        self._share = share or Share(unit=len(ladder.first_rungs))
        many = len(ladder.first_rungs)
        self._places = sorted(range(many), key=lambda place: ladder.first_rungs[place])

    def __len__(self) -> int:
        """See `Round`."""
        return self._end - self._first

    def task(self, position: int) -> Task:
        """See `Round`."""
        many = len(self._ladder.first_rungs)
        for place in self._places:
            members = range(self._first + (place - self._first) % many, self._end, many)
            if position < len(members):
                number = self._share.number(members[position])
                return Task(number, self._way, self._ladder.first_rungs[place])
            position -= len(members)
        raise IndexError(position)

    def rungs(self, ladder: Ladder) -> int:
        """See `Round`."""
        many = len(ladder.first_rungs)
        counts = [len(range(self._first + (k - self._first) % many, self._end, many)) for k in range(many)]
        return sum(n * (ladder.rungs - first) for n, first in zip(counts, ladder.first_rungs, strict=True))


class Plain:
    """The ensemble of the papers: every start begins in one way; all of them are run.

    Args:
        way: Name of the way.
        ladder: The ladder.
        starts: How many starts there are.
        at_once: How many of them make a round.
        share: The share of all starts that `starts` counts; by default all of them.
    """

    informed = False
    cap = math.inf

    def __init__(
        self, way: str, ladder: Ladder, starts: int, at_once: int, share: Share | None = None
    ) -> None:
        self._way, self._ladder, self._starts, self._at_once = way, ladder, starts, at_once
        self._share = share
        self._given = 0

    def replay(self, starts: int, cap: float) -> None:
        """See `Plan`."""
        self._given += starts

    def next(self, found: Sequence[Found]) -> Round | None:
        """See `Plan`."""
        first, end = self._given, min(self._given + self._at_once, self._starts)
        self._given = end
        return Stretch(self._way, self._ladder, first, end, self._share) if first < end else None
