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
    """An escape: how an initial path is made from known minima.

    Attributes:
        name: Its name in results.
        sentence: Description in one line, for people.
        parents: Number of minima it starts from.
        path: (context, minima at the last rung, each of shape (size,), rng) -> (path of shape (size,), first
            rung). The path may lie outside the bounds: `draw` clips it.
        memory: (problem) -> bytes needed to draw a path, apart from the path itself.
        weight: Prior weight, relative to other escapes, with which a search draws it; 0 if it cannot find a
            new minimum, so that it is not counted as a search for one.
        probes: Whether a search uses it to confirm the lowest level, repeatedly, before it stops.
        settles: Whether a search uses it to find how a level depends on Rf, if the ladder was too short.
        place: Position in lists of escapes, smallest first.
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
        """Whether drawing a path needs at most `MOST_MEMORY` bytes."""
        return self.memory(problem) <= MOST_MEMORY

    def draw(
        self, context: SearchContext, minima: Sequence[Array], rng: np.random.Generator
    ) -> tuple[Array, int]:
        """An initial path, shape (size,), clipped to the bounds, and its first rung.

        Raises:
            InputError: The escape returns an array of another shape or type, or a rung outside the ladder,
                or raises an exception.
        """
        lower, upper = context.problem.bounds
        place = f"escape {self.name!r}"
        path, first = called(self.path, place, context, minima, rng)
        if not 0 <= first < context.ladder.rungs:
            remedy = f"return one from 0 to {context.ladder.rungs - 1}, as SearchContext.rung gives it"
            raise InputError(Mistake(place, f"its first rung is {first}", remedy))
        path = np.clip(checked_path(place, path, context.problem), lower, upper)
        return context.problem.ties.tied(path), int(first)
