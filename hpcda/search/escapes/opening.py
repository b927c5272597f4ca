"""Displaces the beginning of a window, where the data determine a path least.

Data tell a path through what follows from it: of its first times they tell least, and a smoothed path is
wrong there most often. What is not measured is shifted at the first time, by a normal number for each state
in units of its spread, and less and less at the next ones; the rest of the path is kept, which pins down
where the beginning has to lead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape
from hpcda.search.way import log_uniform, measured_states

LENGTHS = 0.05, 0.3
"""Shares of a window between which the beginning's length lies, evenly in its logarithm."""
SHIFTS = 1.0, 2.5
"""Deviations of the shifts, in units of a state's spread along what is kept, drawn in the same way."""
RUNGS = 0.3, 0.8
"""Shares of the ladder between which the first rung lies: minima that are close to each other at the last
rung are one lower down."""


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    problem = context.problem
    blocks, parameters = problem.split(minima[0].copy())
    number = int(rng.integers(len(blocks)))
    block, window = blocks[number], problem.windows[number]
    seen = measured_states(problem, window)
    free = [state for state in range(problem.dimension) if state not in seen] or [*range(problem.dimension)]
    share, shift = log_uniform(rng, LENGTHS), log_uniform(rng, SHIFTS)
    length = min(max(1, round(share * len(block))), len(block) - 1)
    spread = shift * block[length:, free].std(axis=0)
    fading = np.linspace(1.0, 0.0, length, endpoint=False)[:, None]
    block[:length, free] += fading * spread * rng.standard_normal(len(free))
    return problem.join(blocks, parameters), context.rung(rng.uniform(*RUNGS))


ESCAPE = Escape(
    "opening", "the beginning of a window is perturbed", 1, _path, weight=3.0, probes=True, place=40
)
