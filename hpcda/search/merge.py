"""Starts that have become the same path: found by what little is kept of each path at the end of a rung.

After the first rungs most starts of an ensemble are few distinct paths, and a rung is a pure step: what is
the same path now stays the same. Two paths are compared by random sums of their unknowns (a count sketch:
Charikar, Chen, Farach-Colton, Theor. Comput. Sci. 312, 3 (2004)), whose differences have the root mean square
of the paths' differences.
"""

from __future__ import annotations

import numpy as np

from hpcda.annealing.scale import scales
from hpcda.problem import Array, Problem

SUMS = 24
"""Numbers kept of a path."""
DISTANCE = 3e-3
"""Root mean square difference up to which two paths are the same, in units of their unknowns' sizes."""
ACTION = 1e-4
"""Relative difference of the action up to which they may be."""


class Sketch:
    """Random sums of a path's unknowns.

    Args:
        problem: The problem whose paths they are.
    """

    def __init__(self, problem: Problem) -> None:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), size=problem.size)
        self._weights = signs / scales(problem) * np.sqrt(SUMS / problem.size)
        self._begins = np.linspace(0, problem.size, min(SUMS, problem.size), endpoint=False).astype(int)
        self._order = np.random.default_rng(1).permutation(problem.size)

    def __call__(self, path: Array) -> Array:
        """What is kept of a path of shape (size,), shape (SUMS,) or shorter."""
        return np.asarray(np.add.reduceat((self._weights * path)[self._order], self._begins))


def alike(action: float, sketch: Array, actions: Array, sketches: Array) -> Array:
    """Which of several paths are the same as one, by the action and the sketch of each.

    Returns:
        Whether they are, shape (n,).
    """
    near = np.abs(actions - action) <= ACTION * np.minimum(np.abs(actions), abs(action)) + 1e-12
    distance = np.sqrt(np.mean((sketches - sketch) ** 2, axis=-1))
    return np.asarray(near & (distance <= DISTANCE))


class Merger:
    """Finds, rung by rung, starts that have become the same path as an earlier one."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[list[int], list[float], list[Array]]] = {}

    def same(self, start: int, rung: int, action: float, sketch: Array) -> int | None:
        """The first start that was the same path at this rung, None for none; remembers this one."""
        starts, actions, sketches = self._seen.setdefault(rung, ([], [], []))
        found = None
        if starts:
            which = np.flatnonzero(alike(action, sketch, np.array(actions), np.array(sketches)))
            found = min((starts[i] for i in which if starts[i] != start), default=None)
        starts.append(start)
        actions.append(action)
        sketches.append(sketch)
        return found
