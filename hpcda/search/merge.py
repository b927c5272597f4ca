"""Finds starts whose paths have become the same, from a random sketch of each path at the end of a rung.

After the first rungs most starts of an ensemble are few distinct paths, and a rung is a pure step: what is
the same path now stays the same. Two paths are compared by random sums of their unknowns (a count sketch:
Charikar, Chen, Farach-Colton, Theor. Comput. Sci. 312, 3 (2004)), whose differences have the root mean square
of the paths' differences.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable

import numpy as np

from hpcda.annealing.scale import scales
from hpcda.problem import Array, Problem

SUMS = 24
"""Numbers kept of a path."""
DISTANCE = 3e-3
"""Root mean square difference up to which two paths are the same, in units of their unknowns' sizes."""
ACTION, TINY = 1e-4, 1e-12
"""Relative difference of the action up to which they may be, and the least one."""
MOST = 4096
"""Distinct paths that are remembered at a rung; those of the lowest action stay."""


class RandomSums:
    """Random sums of numbers, each in units of its size.

    Args:
        scale: Size of each, shape (n,).
    """

    def __init__(self, scale: Array) -> None:
        size = len(scale)
        signs = np.random.default_rng(0).choice((-1.0, 1.0), size=size)
        self._weights = signs / scale * np.sqrt(SUMS / size)
        self._begins = np.linspace(0, size, min(SUMS, size), endpoint=False).astype(int)
        self._order = np.random.default_rng(1).permutation(size)

    def __call__(self, values: Array) -> Array:
        """What is kept of numbers of shape (n,), shape (SUMS,) or shorter."""
        return np.asarray(np.add.reduceat((self._weights * values)[self._order], self._begins))


class Sketch(RandomSums):
    """Random sums of a path's unknowns.

    Args:
        problem: The problem whose paths they are.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(scales(problem))


def alike(action: float, sketch: Array, actions: Array, sketches: Array) -> Array:
    """Which of several paths are the same as one, by the action and the sketch of each.

    Returns:
        Whether they are, shape (n,).
    """
    near = np.abs(actions - action) <= ACTION * np.minimum(np.abs(actions), abs(action)) + TINY
    distance = np.sqrt(np.mean((sketches - sketch) ** 2, axis=-1))
    return np.asarray(near & (distance <= DISTANCE))


class Known:
    """Distinct paths by the number of the first start that came to each, in the order of their actions.

    Attributes:
        starts: The first start of each, lowest action first.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self._actions: list[float] = []
        self._sketches: list[Array] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self.starts)

    def find(self, action: float, sketch: Array) -> int | None:
        """The first start whose path is the same as this one, None for none."""
        near = ACTION * abs(action) + TINY
        low, high = bisect_left(self._actions, action - near), bisect_right(self._actions, action + near)
        if low == high:
            return None
        same = alike(action, sketch, np.array(self._actions[low:high]), np.array(self._sketches[low:high]))
        return min((self.starts[low + int(i)] for i in np.flatnonzero(same)), default=None)

    def add(self, start: int, action: float, sketch: Array) -> None:
        """One more."""
        place = bisect_right(self._actions, action)
        self.starts.insert(place, start)
        self._actions.insert(place, action)
        self._sketches.insert(place, sketch)

    def keep(self, wanted: Callable[[int], bool], most: int | None = None) -> None:
        """Forget all but those whose start is wanted, and of these the lowest `most`."""
        places = [place for place, start in enumerate(self.starts) if wanted(start)][:most]
        self.starts = [self.starts[place] for place in places]
        self._actions = [self._actions[place] for place in places]
        self._sketches = [self._sketches[place] for place in places]


class Merger:
    """Finds, rung by rung, starts that have become the same path as an earlier one."""

    def __init__(self) -> None:
        self._seen: dict[int, Known] = {}

    def same(self, start: int, rung: int, action: float, sketch: Array) -> int | None:
        """The first start that was the same path at this rung, None for none; remembers the first of all."""
        known = self._seen.setdefault(rung, Known())
        found = known.find(action, sketch)
        if found is None or start < found:
            if found is not None:
                known.keep(lambda one: one != found)
            known.add(start, action, sketch)
            if len(known) > MOST:
                known.keep(lambda one: True, MOST)
        return None if found == start else found

    def keep(self, wanted: Callable[[int], bool]) -> None:
        """Forget all starts but those that are wanted."""
        for known in self._seen.values():
            known.keep(wanted)
