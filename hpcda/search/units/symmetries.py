"""Canonical form of paths under permutations and reversals of units of parameter arrays.

A recurrent network, or a network inside an equation, stays as it is where two hidden units are exchanged
with all their weights and states, and where one is reversed whose activation is odd (V. Kůrková,
P. Kainen, Neural Computation 6, 543 (1994)). So does the action where nothing else tells them apart: data,
priors, bounds, first guesses. What goes with a unit is read from the traced equations
(`hpcda.models.automorphisms`), and tried at points of the problem.

In the canonical form of a path all units have one sign and one order. The sums by which they are chosen are
exact, so that the form is the same, bit by bit, for all paths that differ by symmetries. Layered networks
have theirs in `hpcda.search.canonical`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np

from hpcda.action.native import Equations
from hpcda.annealing.scale import scales
from hpcda.models.automorphisms import Ints
from hpcda.problem import Array, Problem
from hpcda.search.units.found import Family, Finder
from hpcda.search.units.plan import Sort, Turn, steps


class Symmetries:
    """The symmetries of a problem's action that come from arrays of parameters; none where it has no arrays.

    Args:
        equations: The problem's equations.

    Attributes:
        families: Units that may be exchanged.
        reversals: Sets of variables that may change their sign: the sign of each, shape (variables,).
    """

    def __init__(self, equations: Equations) -> None:
        self._problem = problem = equations.problem
        self.families: tuple[Family, ...] = ()
        self.reversals: tuple[Array, ...] = ()
        self._steps: list[tuple[Turn, ...] | Sort] = []
        if not problem.model.arrays:
            return
        finder = Finder(equations)
        self.families, self.reversals = finder.families(), finder.reversals()
        if self:
            natural = self._of_variables(scales(problem))
            self._steps = list(steps(self.families, self.reversals, natural, _counts(problem)))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.families or self.reversals)

    def canonical(self, path: Array) -> Array:
        """The canonical form of a flat path, shape (size,), which has the same action.

        A path that is not finite stays as it is.
        """
        if not self._steps or not np.isfinite(path).all():
            return path
        for step in self._steps:
            means = self._means(path)
            if isinstance(step, Sort):
                keys = [fsum(one) for one in (step.weights * means[step.judged]).tolist()]
                path = self.moved(path, _sorting(keys, step.family))
                continue
            signs = np.ones(len(means))
            for turn in step:
                if fsum((turn.weights * means[turn.judged]).tolist()) < 0.0:
                    signs *= turn.signs
            path = self.moved(path, np.arange(len(signs)), signs)
        return path

    def moved(self, path: Array, comes: Ints, signs: Array | None = None) -> Array:
        """A path whose variables are exchanged, as `Family.swaps` holds it, and then change their signs."""
        layout = self._problem.layout
        signs = np.ones(len(comes)) if signs is None else signs
        blocks, tail = layout.split(path)
        constants = tail.copy()
        for window in range(len(blocks)):
            seen = layout.seen(window)
            constants[seen] = (tail[seen][comes[layout.block :] - layout.block]) * signs[layout.block :]
        points = comes[: layout.block]
        return layout.join([one[:, points] * signs[: layout.block] for one in blocks], constants)

    def _of_variables(self, values: Array) -> Array:
        """Values of the first time and window, shape (variables,)."""
        layout = self._problem.layout
        blocks, tail = layout.split(values)
        return np.concatenate([blocks[0][0], tail[layout.seen(0)]])

    def _means(self, path: Array) -> Array:
        """Mean of every variable over times and windows, from exact sums, shape (variables,)."""
        layout = self._problem.layout
        blocks, tail = layout.split(path)
        constants = np.stack([tail[layout.seen(window)] for window in range(len(blocks))])
        every: Sequence[list[float]] = [*np.concatenate(blocks).T.tolist(), *constants.T.tolist()]
        return np.array([fsum(one) / len(one) for one in every])


def _counts(problem: Problem) -> Array:
    """How many numbers of a path each variable is, shape (variables,)."""
    layout = problem.layout
    return np.repeat(
        [float(sum(layout.times)), float(len(layout.own) and len(layout.times)), 1.0],
        [layout.block, len(layout.own), len(layout.shared)],
    )


def _sorting(keys: Sequence[float], family: Family) -> Ints:
    """The exchange that puts units in the rising order of their keys."""
    left, comes = list(keys), np.arange(len(family.swaps[0]))
    for end in range(len(left) - 1, 0, -1):
        for k in range(end):
            if left[k] > left[k + 1]:
                left[k], left[k + 1] = left[k + 1], left[k]
                comes = comes[family.swaps[k]]
    return comes
