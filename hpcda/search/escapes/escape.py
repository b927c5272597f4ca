"""An escape: a first path made from minima that a search has found, and the rung from which it climbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.annealing.lockstep import MOST_MEMORY
from hpcda.problem import Array, Problem
from hpcda.search.scene import Scene


@dataclass(frozen=True)
class Escape:
    """One way out of minima.

    Attributes:
        name: As results name it.
        sentence: What it does.
        parents: Number of minima it needs.
        path: (scene, minima at the last rung, each of shape (size,), rng) -> (path, first rung); bounds are
            seen to by `draw`.
        memory: Bytes that drawing a path takes, beside the path.
    """

    name: str
    sentence: str
    parents: int
    path: Callable[[Scene, Sequence[Array], np.random.Generator], tuple[Array, int]]
    memory: Callable[[Problem], float] = lambda problem: 0.0

    def fits(self, problem: Problem) -> bool:
        """Whether drawing a path takes no more than `MOST_MEMORY`."""
        return self.memory(problem) <= MOST_MEMORY

    def draw(self, scene: Scene, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
        """A first path, shape (size,), inside the bounds, and its first rung."""
        lower, upper = scene.problem.bounds
        path, first = self.path(scene, minima, rng)
        return np.clip(path, lower, upper), first
