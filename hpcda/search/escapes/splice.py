"""Crossover of two minima at one or two times: outside from the first path, inside from the second.

Times of all windows are counted on, so that a cut can give whole windows to either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape

RUNG = 0.4
"""Share of the ladder below the first rung."""


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    problem = context.problem
    ends = problem.layout.tail.start
    first, second = (minimum[:ends].reshape(-1, problem.layout.block) for minimum in minima)
    times = len(first)
    begin, end = (
        sorted(rng.integers(1, times, size=2)) if rng.random() < 0.5 else (rng.integers(1, times), times)
    )
    if begin == end:  # two cuts at one time leave the first path as it is
        end = times
    inside = np.zeros((times, 1), dtype=bool)
    inside[begin:end] = True
    share = inside.mean()
    parameters = (1.0 - share) * minima[0][ends:] + share * minima[1][ends:]
    joined = np.where(inside, second, first)
    return np.concatenate([joined.ravel(), parameters]), context.rung(RUNG)


ESCAPE = Escape("splice", "two minima are cut in time and spliced", 2, _path, weight=2.0, place=20)
