"""The beginning of a window drawn anew.

Data tell a path through what follows from it: of its first times they tell least, and a smoothed path is
wrong there most often. What is left of the path is kept, which pins down where the beginning has to lead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.escapes.escape import Escape
from hpcda.search.scene import Scene
from hpcda.search.ways.way import measured_states

LENGTHS = 0.04, 0.35
"""Shares of a window between which the beginning's length lies."""
RUNGS = 0.2, 0.5
"""Shares of the ladder between which the first rung lies."""


def _path(scene: Scene, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    problem = scene.problem
    blocks, parameters = problem.split(minima[0].copy())
    number = int(rng.integers(len(blocks)))
    block, window = blocks[number], problem.windows[number]
    seen = measured_states(problem, window)
    free = [state for state in range(problem.dimension) if state not in seen] or [*range(problem.dimension)]
    length = min(max(1, round(rng.uniform(*LENGTHS) * len(block))), len(block) - 1)
    rest = block[length:, free]
    match rng.integers(3):
        case 0:
            drawn = np.repeat(rest[:1], length, axis=0)
        case 1:
            begin = rng.integers(max(len(rest) - length, 0) + 1)
            drawn = rest[np.minimum(begin + np.arange(length), len(rest) - 1)]
        case _:
            spread = rest.std(axis=0) * rng.standard_normal((length, len(free)))
            drawn = rest.mean(axis=0) + spread
    block[:length, free] = drawn
    return problem.join(blocks, parameters), scene.rung(rng.uniform(*RUNGS))


OPENING = Escape("opening", "the beginning of a window is drawn anew", 1, _path)
