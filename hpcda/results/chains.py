"""Starts merged into another start: which start continued for which, from which rung."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Chains:
    """Who went on for whom.

    Attributes:
        leader: Position of the start whose path each has become at last, shape (S,).

    Args:
        start: Numbers of the starts, rising, shape (S,).
        same_as: Number of the start that each has become, or -1, shape (S,).
        own: Rungs that each has climbed by itself, shape (S, R).
    """

    def __init__(self, start: Positions, same_as: Positions, own: Flags) -> None:
        self._next, self._own = _next(start, same_as), own
        self.leader = _leaders(self._next)

    def hops(self, positions: Positions) -> Iterator[tuple[Positions, Positions, Flags]]:
        """Who went on for these starts, and who for those, and so on.

        Yields:
            Which of `positions` had become the same as another, shape (m,); the positions of those others;
            and the rungs above the last own ones of all before them, shape (m, R).
        """
        members, current = np.arange(len(positions)), positions
        later = np.ones((len(positions), self._own.shape[1]), dtype=bool)
        while len(members):
            later &= np.cumsum(self._own[current][:, ::-1], axis=1)[:, ::-1] == 0
            gone = self._next[current] != current
            members, later, current = members[gone], later[gone], self._next[current[gone]]
            if len(members):
                yield members, current, later


def _next(start: Positions, same_as: Positions) -> Positions:
    """Position of the start that went on for each, its own where that one left nothing, or none did."""
    place = np.minimum(np.searchsorted(start, same_as), max(len(start) - 1, 0))
    known = (same_as >= 0) & (start[place] == same_as) if len(start) else same_as >= 0
    return np.asarray(np.where(known, place, np.arange(len(start))), dtype=np.int64)


def _leaders(leader: Positions) -> Positions:
    """Position of the start whose path each has become at last."""
    while not np.array_equal(leader[leader], leader):
        leader = leader[leader]
    return leader
