"""Defines `Escape`: an initial path made from known minima, and the rung from which it climbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.annealing.lockstep import MOST_MEMORY
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array, Problem
from hpcda.search.context import SearchContext
from hpcda.search.way import checked_path
from hpcda.userfile import called


@dataclass(frozen=True)
class Escape:
    """One way out of minima.

    Attributes:
        name: As results name it.
        sentence: What it does.
        parents: Number of minima it needs.
        path: (context, minima at the last rung, each of shape (size,), rng) -> (path, first rung); bounds are
            seen to by `draw`.
        memory: Bytes that drawing a path takes, beside the path.
        weight: How often a search draws it where it knows nothing better, beside the others; 0 for one that
            leads nowhere new, and counts for nothing.
        probes: Whether it is the one that asks whether a level holds: it begins from the lowest one again and
            again before that counts as confirmed.
        settles: Whether it is the one that tells of a level what the ladder did not: how it depends on Rf.
        place: Where it stands among others.
    """

    name: str
    sentence: str
    parents: int
    path: Callable[[SearchContext, Sequence[Array], np.random.Generator], tuple[Array, int]]
    memory: Callable[[Problem], float] = lambda problem: 0.0
    weight: float = 1.0
    probes: bool = False
    settles: bool = False
    place: int = 100

    def fits(self, problem: Problem) -> bool:
        """Whether drawing a path takes no more than `MOST_MEMORY`."""
        return self.memory(problem) <= MOST_MEMORY

    def draw(
        self, context: SearchContext, minima: Sequence[Array], rng: np.random.Generator
    ) -> tuple[Array, int]:
        """A first path, shape (size,), inside the bounds, and its first rung.

        Raises:
            InputError: What the escape gives is no path of this problem, or no rung of its ladder; or it
                raises an exception.
        """
        lower, upper = context.problem.bounds
        place = f"escape {self.name!r}"
        path, first = called(self.path, place, context, minima, rng)
        if not 0 <= first < context.ladder.rungs:
            remedy = f"return one from 0 to {context.ladder.rungs - 1}, as SearchContext.rung gives it"
            raise InputError(Mistake(place, f"its first rung is {first}", remedy))
        path = np.clip(checked_path(place, path, context.problem), lower, upper)
        return context.problem.ties.tied(path), int(first)
