"""Scheduling of starts on a group of ranks: pure logic, without clock or messages.

A start is one sequence of steps, so an ensemble takes at least as long as its longest start, and a start that
is begun late is waited for. Therefore starts with long ladders come first. A group holds more climbs than it
has lanes, the first of them dealt without a message; it takes the next one when a whole start's worth of its
work is done, so that all groups hold the same work when none are left. From then on lanes go to the climbs
that are least far, from rung to rung, so that all climbs of a group end together and its lanes stay full
(McNaughton, Manage. Sci. 6, 1 (1959): with preemption the makespan is the larger of the mean load and the
longest job). Where no more climbs are left than half of the lanes, they go over to fewer lanes, whose steps
take less time. A rung is a pure step from path to path, and so is a step with all that a lane keeps: no
result depends on any of this.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")

RESERVE = 1
"""Starts that a group holds beyond its lanes, in units of the lanes; with more, slow ranks end late."""
BATCHES = 4
"""A group takes at most this part of its share of what is left at once."""
NARROW = ((2, 2), (4, 5))
"""Lanes of narrow batches, and the starts a group up to which they end sooner: a step of 4 lanes takes 0.57
to 0.76 of one of 8, one of 2 takes 0.46 to 0.73 (tests/benchmarks/scaling.py measures it)."""
LEAST = 2
"""Fewest lanes worth having: a step of 1 takes longer than one of 2."""
PATIENCE = 0.01
"""Seconds for which lanes stay empty before the climbs go over to fewer, which takes 0.003: what has been
lost is then what it costs, and nobody knows how long the last climbs are."""


@dataclass(frozen=True)
class Schedule:
    """How the starts of an ensemble go to groups of ranks.

    Attributes:
        starts: How many starts there are.
        groups: How many groups of ranks.
        lanes: Starts that a group advances together.
    """

    starts: int
    groups: int
    lanes: int

    @property
    def capacity(self) -> int:
        """Climbs that a group holds at once: no more than its share, so that none is without."""
        return capacity(self.starts / self.groups, self.lanes)

    def dealt(self, group: int) -> range:
        """The positions that are a group's own: what it holds in the beginning, which costs no message."""
        return range(group, self.dealt_to_all, self.groups)

    @property
    def dealt_to_all(self) -> int:
        """Positions that are dealt in the beginning; the queue hands out the rest."""
        return min(self.starts, self.capacity * self.groups)

    @property
    def at_once(self) -> bool:
        """Whether all starts are handed out in the beginning, but for the remainder."""
        return self.lanes > 1 and self.starts < (self.capacity + 1) * self.groups

    def batch(self, seen: int) -> int:
        """How many starts to take at once, where those up to position `seen` have gone: 1 toward the end."""
        left = (self.starts - seen) / self.groups
        return max(1, min(self.lanes, self.capacity, int(left / BATCHES)))


def capacity(share: float, lanes: int) -> int:
    """Climbs that a group holds at once, where there are `share` starts for each group."""
    return max(1, min(int(share), lanes + RESERVE * lanes)) if lanes > 1 else 1


def width(share: float, lanes: int) -> int:
    """Lanes that are worth having, at most `lanes`, where there are `share` starts for each group."""
    return next((narrow for narrow, most in NARROW if narrow < lanes and share <= most), lanes)


def few(climbs: int, lanes: int) -> bool:
    """Whether so many climbs, to which none are added, would do with fewer lanes."""
    return 0 < climbs <= lanes // 2 and lanes > LEAST


class Pool(Generic[Key]):
    """The climbs of a group that have no lane, and how much work there is.

    Args:
        capacity: Work that the group holds, in starts up a whole ladder.
        rungs: Rungs of the ladder.

    Attributes:
        last: Whether hardly any starts are left beyond those here, so that all should end together.
    """

    def __init__(self, capacity: int, rungs: int) -> None:
        self._capacity, self._rungs = capacity, rungs
        self._waiting: list[tuple[int, int, Key]] = []
        self._left = 0
        self._number = 0
        self.last = False

    def __len__(self) -> int:
        """Climbs without a lane."""
        return len(self._waiting)

    def free(self, rungs: Sequence[int]) -> int:
        """Starts to take, where the climbs in lanes have these rungs before them."""
        left = self._left + sum(self._rungs - rung for rung in rungs)
        return max(0, (self._capacity * self._rungs - left) // self._rungs)

    def add(self, key: Key, rung: int) -> None:
        """A climb waits for a lane, with this rung before it."""
        heapq.heappush(self._waiting, (rung, self._number, key))
        self._left += self._rungs - rung
        self._number += 1

    def remove(self, unwanted: Callable[[Key], bool]) -> None:
        """Climbs that need no lane any more."""
        gone = [one for one in self._waiting if unwanted(one[2])]
        if gone:
            self._left -= sum(self._rungs - rung for rung, _, _ in gone)
            self._waiting = [one for one in self._waiting if not unwanted(one[2])]
            heapq.heapify(self._waiting)

    def next(self) -> Key | None:
        """The climb that an empty lane is given: lowest rung first, then first come, first served."""
        if not self._waiting:
            return None
        rung, _, key = heapq.heappop(self._waiting)
        self._left -= self._rungs - rung
        return key

    def gives_way(self, rung: int) -> bool:
        """Whether a climb that has come to this rung leaves its lane to one that waits."""
        return self.last and bool(self._waiting) and self._waiting[0][0] < rung
