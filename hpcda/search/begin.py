"""The first path of a start, from its number alone."""

from __future__ import annotations

import numpy as np

from hpcda.annealing import Climb
from hpcda.search.scene import Scene
from hpcda.search.ways import Way


def begin(scene: Scene, way: Way, seed: int, start: int) -> Climb:
    """A start of the plain ensemble; its random numbers depend on (seed, start) alone."""
    path = way.draw(scene, np.random.default_rng([seed, start]))
    first = scene.ladder.first(start)
    return Climb(start, way.name, first, first, path)
