"""Free runs: the model integrated from a random state with random parameters, regardless of the data.

The path obeys the model from the first rung on; only its beginning and its parameters are wrong. Where a run
grows without bound, or away from where the states are, its further states are noise about their middle.
"""

from __future__ import annotations

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.way import Way, center_and_spread

FAR = 10.0
"""Distance from the middle of a state, in its spreads, at which a run is lost."""


def _path(context: SearchContext, rng: np.random.Generator) -> Array:
    problem = context.problem
    blocks, constants = [], np.array([rng.uniform(*p.start) for p in problem.constants])
    for number, window in enumerate(problem.windows):
        center, spread = center_and_spread(problem, window)
        varying = [rng.uniform(*q.start) for q in problem.varying]
        begin = center + spread * rng.standard_normal(problem.dimension)
        member = np.concatenate([begin, varying, constants[problem.layout.seen(number)]])[:, None]
        substeps = context.forecast.substeps(window, member)
        run = context.forecast.run(window, 0, window.times - 1, member, substeps)[:, :, 0]
        block = run[:, : problem.layout.block].copy()
        away = np.abs(block[:, : problem.dimension] - center) / np.where(spread > 0.0, spread, np.inf)
        lost = ~(np.isfinite(block).all(axis=1) & (away <= FAR).all(axis=1))
        first = int(np.argmax(lost)) if lost.any() else window.times
        noise = rng.standard_normal((window.times - first, problem.dimension))
        block[first:, : problem.dimension] = center + spread * noise
        block[first:, problem.dimension :] = varying
        blocks.append(block)
    return problem.join(blocks, constants)


WAY = Way("free", "a free run of the model from a random initial state", _path, searched=False, place=25)
